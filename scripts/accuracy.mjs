// npm run accuracy [-- FOLDER… --faults --mode MODE]: compares the verdicts on measured architectures with what their modules do.
// The default folder is tests/architectures. The exit code is 1 if the accuracy is too low.

import { Failure, main, show } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

await main(async () => {
  await setUp();
  const args = ["run", "--release", "--locked", "--quiet", "--example", "accuracy", "--", ...process.argv.slice(2)];
  const { code } = await show("cargo", args);
  if (code !== 0) throw new Failure("The verdicts are under the bars: the table above says where.");
});
