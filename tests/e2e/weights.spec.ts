/** Sampling the weights: it comes after the verdict, is visible, can be stopped or turned off, and can decide the kind. */
import { mixed, opaque, sparse } from './helpers/checkpoints.ts';
import { quantisedSample } from './helpers/gguf.ts';
import { packedSample } from './helpers/packed.ts';
import { expect, openFromCode, sentence, siteRows, test, transfer } from './helpers/page.ts';

test('the LayerNorm sample shows the energy of its writers and counts it as evidence', async ({ page }) => {
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  const weights = page.locator('#weights');
  await expect(weights.locator('svg[role=img]')).toBeVisible();
  await expect(weights.locator('figcaption')).toContainText('of 9 writers below the band');
  await expect(page.locator('#verdict .reasons')).toContainText('writer energy');
  await weights.locator('summary', { hasText: 'writers' }).click();
  await expect(weights.getByRole('rowheader').first()).toContainText('wte');
  await siteRows(page).first().click();
  const bars = page.locator('tr.detail .evidence li', { hasText: 'writer energy' });
  await expect(bars).toContainText('LayerNorm');
});

test('packed weights are decoded: they are sampled, and the model runs', async ({ page }) => {
  await transfer(page, packedSample('layernorm'), 'drop');
  await expect(sentence(page)).toContainText('LayerNorm model');
  const weights = page.locator('#weights');
  await expect(weights.locator('figcaption')).toContainText('of 9 writers below the band', { timeout: 30_000 });
  await expect(page.locator('#verdict .reasons')).toContainText('writer energy');
  await expect(page.locator('#warnings')).toContainText('The values are decoded as they are read');
  const { verification } = await page.evaluate(() => window.gammascope.verify({ blocks: 1, device: 'cpu', input: 'uniform' }));
  expect(verification?.sites.length).toBe(3);
  await expect(page.locator('#measured')).toContainText('3 sites measured: 3 subtract the mean');
});

test('a quantised GGUF file is sampled, and it runs as the model that it was made from', async ({ page }) => {
  await transfer(page, [quantisedSample()], 'drop');
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
  await expect(page.locator('#weights figcaption')).toContainText('of 9 writers', { timeout: 30_000 });
  const run = () => page.evaluate(() => window.gammascope.verify({ device: 'cpu', input: 'uniform' }));
  const quantised = await run();
  expect(quantised.verification?.sites.length).toBe(9);
  // No direction of an RMSNorm is dead.
  expect(quantised.verification?.sites.every(({ depth }) => depth > 1e-6)).toBe(true);
  await page.reload();
  await page.getByRole('button', { name: 'RMSNorm sample' }).first().click();
  await expect(sentence(page)).toContainText('RMSNorm model');
  const original = await run();
  const streams = [quantised, original].map(({ verification }) => verification?.residual ?? []);
  expect(streams.map(({ length }) => length)).toEqual([4, 4]);
  // Eight bits for each value change little.
  streams[0]?.forEach(({ sigma_min }, block) => {
    const ratio = sigma_min / (streams[1]?.[block]?.sigma_min ?? 0);
    expect(Math.abs(ratio - 1)).toBeLessThan(0.02);
  });
});

test('if names say nothing, the weights decide, and the page says what changed', async ({ page }) => {
  const says = 'RMSNorm model: no dead directions';
  const report = await openFromCode(page, opaque('rmsnorm'));
  expect(report.model.sentence).toContain(says);
  await expect(sentence(page)).toContainText(says);
  await expect(page.locator('.sr-only[role=status]')).toContainText('The weights change the verdict');
  // Weights that ignore the mean fit a LayerNorm and a group norm.
  const { norms } = await openFromCode(page, opaque('layernorm'));
  expect(norms.every(({ kind }) => kind === 'unknown')).toBe(true);
  const behaviours = norms[0]?.alternatives.filter(({ probability }) => probability > 0.05);
  expect(behaviours?.map(({ behaviour }) => behaviour)).toEqual(['layernorm', 'spanning']);
});

test('if sampling is off, the site says what would decide its kind, and the weights can be sampled later', async ({
  page,
}) => {
  await page.getByLabel('sample up to 64 MB of weights').first().uncheck();
  await transfer(page, opaque('rmsnorm'), 'drop');
  await expect(sentence(page)).toContainText('Norms of unknown kind');
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail .settle')).toContainText('a sample of the weights');
  await page.getByRole('button', { name: 'Sample at most 64 MB' }).click();
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
  await expect(page.locator('tr.detail .settle'), 'the open row follows').toBeHidden();
});

test('the choice survives a reload, and code can override it', async ({ page }) => {
  await page.getByLabel('sample up to 64 MB of weights').first().uncheck();
  await page.reload();
  await expect(page.getByLabel('sample up to 64 MB of weights').first()).not.toBeChecked();
  const { checkpoint } = await openFromCode(page, opaque('layernorm'), { weights: true });
  expect(checkpoint.weight_bytes_read).toBeGreaterThan(0);
});

test('sampling a large checkpoint shows progress, can be stopped, and keeps the verdict', async ({ page }, info) => {
  await page.locator('.pick-opened').first().setInputFiles(sparse(info.outputPath('.')));
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
  const progress = page.getByRole('progressbar', { name: 'Progress of sampling the weights' });
  await expect(progress).toBeVisible();
  // Figures are drawn while sampling runs.
  await expect(page.locator('#sites figure svg[role=img]')).toBeVisible();
  await expect(progress).toBeVisible();
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(progress).toBeHidden();
  await expect(page.getByRole('button', { name: 'Sample at most 64 MB' })).toBeVisible();
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
});

test('a model with two parts has a sentence for each', async ({ page }) => {
  await openFromCode(page, mixed());
  await expect(sentence(page)).toContainText('Model with both kinds of norm');
  const parts = page.locator('.parts > div');
  await expect(parts).toHaveCount(2);
  await expect(parts.filter({ hasText: 'encoder' })).toContainText('LayerNorm: all 9 norms ignore one direction');
  await expect(parts.filter({ hasText: 'decoder' })).toContainText('RMSNorm: no dead directions in 9 norms');
});
