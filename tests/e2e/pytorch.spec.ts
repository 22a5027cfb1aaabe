/** PyTorch files and others like them: the verifier opens them instead of the small wasm, and the page shows the same kind of report. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gpt2 } from './helpers/checkpoints.ts';
import { dropFolder, expect, openFromCode, savedReport, sentence, siteRows, test, transfer } from './helpers/page.ts';

const file = (name: string, path = name) => ({ name, mimeType: 'application/octet-stream', buffer: readFileSync(`tests/pytorch/${path}`) });

/** On a busy machine the verifier takes a while to load. */
const LOADING_MS = 30_000;

for (const name of ['model.bin', 'whole.pt', 'training.ckpt']) {
  test(`${name} opens with a drop`, async ({ page }) => {
    await transfer(page, [file(name)], 'drop');
    await expect(sentence(page)).toContainText('LayerNorm', { timeout: LOADING_MS });
    await expect(siteRows(page)).toHaveCount(3);
    await siteRows(page).first().click();
    await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
  });
}

test('shards open with their index, and the report names the format', async ({ page }) => {
  const shards = [1, 2].map((number) => `pytorch_model-0000${number}-of-00002.bin`);
  const report = await openFromCode(
    page,
    [...shards, 'pytorch_model.bin.index.json'].map((name) => file(name, `sharded/${name}`)),
  );
  expect(report.checkpoint).toMatchObject({ format: 'pytorch', shards: 2 });
  expect(report.norms).toHaveLength(3);
  expect(report.warnings.map(({ code }) => code)).not.toContain('shard_missing');
});

test('a dropped folder of torch.distributed.checkpoint opens, with the file whose name begins with a dot', async ({ page }) => {
  await dropFolder(page, resolve('tests/pytorch/distributed/two'));
  await expect(siteRows(page)).toHaveCount(2, { timeout: LOADING_MS });
  const { checkpoint, warnings } = await savedReport(page);
  expect(checkpoint).toMatchObject({ format: 'pytorch', shards: 2 });
  expect(warnings.map(({ code }) => code)).not.toContain('shard_missing');
});

test('a picked folder of torch.distributed.checkpoint opens', async ({ page }) => {
  await page.locator('.pick-opened-folder').first().setInputFiles(resolve('tests/pytorch/distributed/one'));
  await expect(siteRows(page)).toHaveCount(2, { timeout: LOADING_MS });
});

test('a file of TensorFlow opens with a drop', async ({ page }) => {
  const name = 'tf_model.h5';
  await transfer(page, [{ ...file('model.bin'), name, buffer: readFileSync(`tests/keras/${name}`) }], 'drop');
  await expect(sentence(page)).toContainText('LayerNorm', { timeout: LOADING_MS });
  await expect(siteRows(page)).toHaveCount(6);
});

test('code in a file is a warning, and a file without tensors is an error', async ({ page }) => {
  await transfer(page, [file('runs-code.bin')], 'drop');
  await expect(page.locator('#warnings')).toContainText('posix.system', { timeout: LOADING_MS });
  await transfer(page, [file('training_args.bin')], 'drop');
  await expect(page.getByRole('alert')).toContainText('no tensor');
});

test('a safetensors file after a PyTorch file opens in the small wasm again', async ({ page }) => {
  await transfer(page, [file('model.bin')], 'drop');
  await expect(siteRows(page)).toHaveCount(3, { timeout: LOADING_MS });
  await transfer(page, gpt2(), 'drop');
  await expect(siteRows(page)).toHaveCount(7);
});
