// npm run accuracy [-- FOLDER… --faults --mode MODE]: the verdicts on measured architectures against what their modules do.
// Without a folder, on those of tests/architectures. Ends with 1 under the bars.

import { Failure, main, show } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

await main(async () => {
  await setUp();
  const args = ["run", "--release", "--locked", "--quiet", "--example", "accuracy", "--", ...process.argv.slice(2)];
  const { code } = await show("cargo", args);
  if (code !== 0) throw new Failure("The verdicts are under the bars: the table above says where.");
});
