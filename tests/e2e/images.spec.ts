/** Runs a model that reads images in the page, on dropped images. */
import { readFileSync } from 'node:fs';
import type { TestFile } from './helpers/checkpoints.ts';
import { expect, openFromCode, pressRun, savedReport, test, transfer } from './helpers/page.ts';

const MODEL = 'tests/forward_images/dinov2';

const read = (folder: string, name: string): TestFile => ({ name, mimeType: 'application/octet-stream', buffer: readFileSync(`${folder}/${name}`) });

/** A tiny DINOv2 for images of 16 × 16 pixels. */
function dinov2(): TestFile[] {
  const processor = { image_processor_type: 'BitImageProcessor', size: { shortest_edge: 16 }, crop_size: { height: 16, width: 16 } };
  return [
    read(MODEL, 'model.safetensors'),
    read(MODEL, 'config.json'),
    { name: 'preprocessor_config.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(processor)) },
  ];
}

test('the model runs on images that are dropped on its report', async ({ page }) => {
  await openFromCode(page, dinov2());
  const verify = page.locator('#verify');
  await expect(verify.getByRole('button', { name: 'Run', exact: true })).toBeVisible();
  const photographs = ['rgb.jpg', 'turned6.jpg', 'animated.gif', 'rgba.png'].map((name) => read('tests/inputs', name));
  await transfer(page, photographs, 'drop');
  await expect(page.locator('#media-chosen')).toHaveText('4 files chosen');
  await pressRun(page);
  await expect(page.locator('#verified')).toContainText('run as dinov2 in f32', { timeout: 60_000 });
  await expect(page.locator('#measured')).toContainText('5 sites measured: 5 subtract the mean');
  await expect(page.locator('#measured')).toContainText('4 images');
  await expect(page.locator('#warnings')).toContainText('turned6.jpg: turned upright');
});

for (const { label, kind, family, found } of [
  { label: 'LayerNorm vision', kind: 'layernorm', family: 'vit', found: '9 sites measured: 9 subtract the mean' },
  { label: 'RMSNorm vision', kind: 'rmsnorm', family: 'aimv2_vision_model', found: '10 sites measured: 0 subtract the mean, 10 do not' },
]) {
  test(`one click opens ${label} with its images, and another runs it on them`, async ({ page }) => {
    await page.getByRole('button', { name: label }).click();
    await expect(page.locator('#media-chosen')).toHaveText('8 files chosen');
    await pressRun(page);
    await expect(page.locator('#verified')).toContainText(`run as ${family} in f32`, { timeout: 120_000 });
    await expect(page.locator('#measured')).toContainText(found);
    await expect(page.locator('#measured')).toContainText('8 images');
    expect((await savedReport(page)).model.verdict).toBe(kind);
  });
}

test('the images of a sample are not those of the next model', async ({ page }) => {
  await page.getByRole('button', { name: 'RMSNorm vision' }).click();
  await expect(page.locator('#media-chosen')).toHaveText('8 files chosen');
  await openFromCode(page, dinov2());
  await expect(page.locator('#verify').getByRole('button', { name: 'Run', exact: true })).toBeVisible();
  await expect(page.locator('.pick-input')).toHaveValue('usual');
});

test('without images, the model runs on noise, and a file that is not an image gets a message', async ({ page }) => {
  await openFromCode(page, dinov2());
  const plan = await page.evaluate(() => window.gammascope.planVerify({ device: 'cpu' }));
  expect(plan.input).toContain('noise with a 1/f spectrum');
  const refused = await page.evaluate(() =>
    window.gammascope.verify({ input: 'images', files: [new File(['not an image'], 'notes.png')], device: 'cpu' }).catch((error: Error) => error.message),
  );
  expect(refused).toContain('`notes.png` is not an image that can be read');
});
