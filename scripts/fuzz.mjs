// npm run fuzz -- --minutes 10: tries damaged files of every kind for ten minutes and prints a table. The inputs differ each time.
// Failing inputs are written to tests/fuzz/corpus/. `--kind NAME` tries one kind.

import { Failure, main, show } from "./lib/run.mjs";
import { requireRust } from "./lib/rust.mjs";

await main(async () => {
  await requireRust();
  const args = process.argv.slice(2);
  // A seed far from those of CI, and different each time.
  const from = args.includes("--from") ? [] : ["--from", String(Date.now() * 1000)];
  const { code } = await show("cargo", ["test", "--locked", "--test", "fuzz", "--", ...args, ...from]);
  if (code !== 0) throw new Failure("Some inputs fail, see above. They are in tests/fuzz/corpus/.");
});
