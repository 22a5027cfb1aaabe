// node inspect.mjs CHECKPOINT: shows the dead directions of a checkpoint with the npm package. CI runs it on the samples.

import { Checkpoint } from '@gammascope/gammascope';

const [source] = process.argv.slice(2);
if (!source) throw new Error('give a folder, a file, a URL or org/model');
const checkpoint = await Checkpoint.open(source);
const { model, norms, dead_parameters: dead } = checkpoint.report;
console.log(model.sentence);
for (const { name, kind, kernel } of norms) {
  if (kernel.form !== 'inverse_scale') continue;
  console.log(`${name}: ${kind}, as if ${kernel.participation.toFixed(1)} channels shared the direction, most at ${kernel.max_index}`);
}
console.log(`${dead.outright} parameter directions are dead outright, ${dead.with_bias_shift} once the bias is moved`);
checkpoint.close();
