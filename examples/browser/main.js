// Describes a checkpoint, and draws the kernel direction of its final norm.

import { Checkpoint } from '@gammascope/gammascope';

const status = document.querySelector('[role=status]');
document.querySelector('input').addEventListener('change', async ({ currentTarget: { files } }) => {
  try {
    const checkpoint = await Checkpoint.open(files, {
      onProgress: ({ stage, done, total }) => (status.textContent = `${stage}: ${done} of ${total}`),
    });
    const { sentence, final_norm: site } = checkpoint.report.model;
    status.textContent = sentence;
    if (site) document.querySelector('#kernel').innerHTML = checkpoint.figure('kernel_direction', { site }).svg;
    checkpoint.close();
  } catch (error) {
    status.textContent = error.message;
  }
});
