/** Real trained checkpoints in the page. It says the same as the command line (tests/it/real_models.rs). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import type { Report } from '../../www/report';
import { expect, savedReport, sentence, test } from './helpers/page.ts';

const CACHE = '.cache/models';

/** Opens a cached model and returns the report that the page saves as JSON. */
async function openModel(page: Page, folder: string): Promise<Report> {
  const files = ['model.safetensors', 'config.json'].map((name) => join(CACHE, folder, name));
  test.skip(!files.every(existsSync), `skipped: ${folder} is not in ${CACHE}; npm test -- rust fetches it`);
  await page.locator('.pick-opened').first().setInputFiles(files);
  await expect(sentence(page)).toBeVisible();
  return savedReport(page);
}

test('all-MiniLM: 13 LayerNorms, the last concentrated in three near-dead channels', async ({ page }) => {
  const report = await openModel(page, 'all-MiniLM-L6-v2');
  await expect(sentence(page)).toContainText('LayerNorm model. All 13 norms ignore one direction');
  await expect(page.locator('#kernel figure')).toHaveAttribute('data-kind', 'kernel_direction');
  const last = report.norms.find(({ role }) => role === 'final');
  expect(last?.name).toBe('encoder.layer.5.output.LayerNorm');
  expect(last?.kernel.scale_min_abs).toBeCloseTo(4.8e-33, 34);
  expect(last?.kernel.near_dead).toEqual([127, 223, 319]);
  expect(last?.kernel.near_dead_weight).toBeGreaterThan(0.999);
  expect(report.checkpoint.bytes_read).toBeLessThan(300_000);
});

test('SmolLM2: 61 RMSNorms and no kernel direction', async ({ page }) => {
  const report = await openModel(page, 'SmolLM2-135M');
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
  await expect(page.locator('#kernel figure')).toHaveAttribute('data-kind', 'scale_distribution');
  expect(report.norms.filter(({ kernel }) => kernel.form === 'inverse_scale')).toEqual([]);
});

test('Gemma 3: 109 RMSNorms scaled by 1 + w, 46 with an exactly zero scale', async ({ page }) => {
  const report = await openModel(page, 'gemma-3-270m');
  await expect(sentence(page)).toContainText('RMSNorm model. 46 of 109 norms have scales of exactly zero');
  expect(report.norms.every(({ scale_convention }) => scale_convention === 'one_plus_weight')).toBe(true);
  expect(report.norms.filter(({ kernel }) => kernel.form === 'coordinates')).toHaveLength(46);
});
