/** Measures on activations in the page: the verifier loads on demand, and its numbers are those of the command line. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { Report } from '../../www/report';
import { WIDTH, outputs, picked } from './helpers/activations.ts';
import { gpt2 } from './helpers/checkpoints.ts';
import { chooseOptions, expect, openFromCode, sentence, siteRows, test } from './helpers/page.ts';

test.beforeEach(async ({ page }) => {
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
});

test('a measurement finds that the final norm subtracts the mean, and becomes evidence', async ({ page }) => {
  const verifiers: string[] = [];
  page.on('request', (request) => /verifier/.test(request.url()) && verifiers.push(request.url()));
  expect(verifiers, 'nothing of it is loaded before').toEqual([]);
  await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(600) }));
  await expect(page.locator('#measured')).toContainText('1 site measured: 1 subtract the mean', { timeout: 30_000 });
  expect(verifiers.length).toBeGreaterThan(0);
  await expect(page.locator('#measure-result svg[role=img]')).toBeVisible();
  await expect(page.locator('#measure-result').getByRole('rowheader')).toContainText('transformer.ln_f');
  await expect(page.locator('#weights svg[role=img]'), 'the energies are still there').toBeVisible();
  await siteRows(page).last().click();
  await expect(page.locator('tr.detail .evidence li', { hasText: 'activations' })).toContainText('LayerNorm');
});

test('the page on the GPU, the page on the CPU and the command line give the same bits', async ({ page }, testInfo) => {
  const terminal = process.env['GAMMASCOPE'];
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  const { name, buffer } = picked({ 'transformer.ln_f': outputs(1031) });
  const measured = (device: 'gpu' | 'cpu') =>
    page.evaluate(
      async ([base64, file, on]) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        return (await window.gammascope.measure(new File([bytes], file), { device: on })).verification;
      },
      [buffer.toString('base64'), name, device] as const,
    );
  const [gpu, cpu] = [await measured('gpu'), await measured('cpu')];
  expect(gpu?.device, 'the adapter of these tests').not.toBe('cpu');
  expect(gpu?.kernel_seconds, 'SwiftShader has a clock').toBeGreaterThan(0);
  expect(gpu?.kernel_seconds, 'a part of the whole').toBeLessThan(gpu?.seconds ?? 0);
  expect(cpu?.kernel_seconds).toBeNull();
  expect(cpu?.device).toBe('cpu');
  expect(gpu?.sites, 'every number, to the last bit').toEqual(cpu?.sites);

  const file = testInfo.outputPath(name);
  writeFileSync(file, buffer);
  const report = execFileSync(terminal ?? '', ['measure', 'samples/layernorm', '--activations', file, '--json']);
  const native = (JSON.parse(report.toString()) as Report).verification?.sites[0];
  expect(native?.gram_crc32).toBe(cpu?.sites[0]?.gram_crc32);
  expect(native?.verdict).toBe(cpu?.sites[0]?.verdict);
  expect(native?.depth).toBe(cpu?.sites[0]?.depth);
});

test('without WebGPU, the CPU measures, and one sentence says so', async ({ page }) => {
  // Makes the worker see a browser without WebGPU.
  await page.route(/verifier.*\.js$/, async (route) => {
    const response = await route.fetch();
    const worker = "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined });";
    const script = await response.text();
    await route.fulfill({ response, body: `${worker}${script}` });
  });
  await chooseOptions(page, '#measure');
  await page.locator('.pick-device').selectOption('gpu');
  await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(600) }));
  await expect(page.locator('#measured')).toContainText('s on the CPU', { timeout: 30_000 });
  await expect(page.getByText('no GPU can be used here')).toBeVisible();
  await page.getByRole('button', { name: 'Measure the norm alone' }).click();
  await expect(page.locator('#alone').getByText('no GPU can be used here'), 'of a norm alone too').toBeVisible({ timeout: 30_000 });
});

test('a norm alone is measured as both kinds, and the page says that this is no evidence', async ({ page }) => {
  const before = await sentence(page).textContent();
  await chooseOptions(page, '#measure');
  await page.getByRole('button', { name: 'Measure the norm alone' }).click();
  const alone = page.locator('#alone');
  await expect(alone.getByRole('heading')).toHaveText('transformer.ln_f alone, on random inputs: no evidence about the model', {
    timeout: 30_000,
  });
  const depth = async (kind: string) =>
    Number(await alone.getByRole('row', { name: kind }).getByRole('cell').first().textContent());
  expect(await depth('LayerNorm')).toBeLessThan(1e-12);
  expect(await depth('RMSNorm')).toBeGreaterThan(0.5);
  await expect(sentence(page), 'the verdict is what it was').toHaveText(before ?? '');
  await expect(page.locator('#measured')).toHaveCount(0);
  await openFromCode(page, gpt2());
  await expect(siteRows(page)).toHaveCount(7);
  await expect(alone, 'it was of another checkpoint').toHaveCount(0);
});

test('activations that contradict the checkpoint are evidence against it', async ({ page }) => {
  await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(600, false) }));
  await expect(page.locator('#measured')).toContainText('1 do not', { timeout: 30_000 });
  await siteRows(page).last().click();
  await expect(page.locator('tr.detail .settle')).toContainText('Evidence for RMSNorm: activations');
});

test('a site with NaN is reported and the others are measured; a site shows its ranges and its direction', async ({ page }) => {
  const spoilt = outputs(600);
  spoilt.data[5 * WIDTH + 9] = NaN;
  const file = picked({ 'transformer.h.0.ln_1': spoilt, 'transformer.ln_f': outputs(600) });
  await page.locator('.pick-activations').setInputFiles(file);
  await expect(page.locator('#measured')).toContainText('1 site measured', { timeout: 30_000 });
  await expect(page.getByText('token 5, channel 9 is NaN')).toBeVisible();
  await siteRows(page).last().click();
  const detail = page.locator('tr.detail');
  await expect(detail.getByRole('row', { name: 'Schur' })).toContainText('…');
  await expect(detail.getByRole('paragraph').filter({ hasText: 'they are the same direction' })).toBeVisible();
});

test('code can get the plan of a measurement without measuring', async ({ page }) => {
  const { buffer, name } = picked({ 'transformer.ln_f': outputs(600) });
  const plan = await page.evaluate(
    ([base64, file]) => window.gammascope.plan(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], file)),
    [buffer.toString('base64'), name] as const,
  );
  expect(plan).toMatchObject({ sites: ['transformer.ln_f'], tokens: [600, 600], bytes: 600 * WIDTH * 4, input: name });
  expect(plan.operations).toBeGreaterThan(600 * WIDTH * WIDTH);
  expect(plan.seconds).toBeGreaterThan(0);
  await expect(page.locator('#measured'), 'nothing is measured by that').toHaveCount(0);
});

test('a message says what cannot be measured, and the report stays', async ({ page }) => {
  const before = await sentence(page).textContent();
  const alert = page.locator('#measure [role=alert]');
  for (const [file, says] of [
    [picked({ 'transformer.ln_f': outputs(100) }), 'Capture at least 129 tokens'],
    [picked({ mine: outputs(600) }), 'name the site they are of'],
    [{ ...picked({}), buffer: Buffer.from('nothing') }, 'captured.safetensors'],
  ] as const) {
    await page.locator('.pick-activations').setInputFiles(file);
    await expect(alert).toContainText(says, { timeout: 30_000 });
    await expect(sentence(page)).toHaveText(before ?? '');
    await alert.getByRole('button', { name: 'Dismiss' }).click();
  }
  await chooseOptions(page, '#measure');
  await page.locator('#measure .pick-site').selectOption('transformer.ln_f');
  await page.locator('.pick-activations').setInputFiles(picked({ mine: outputs(600) }));
  await expect(page.locator('#measured')).toContainText('1 site measured', { timeout: 30_000 });
});

test('opening another checkpoint ends a measurement', async ({ page }) => {
  await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(3000) }));
  await openFromCode(page, gpt2());
  await expect(siteRows(page)).toHaveCount(7);
  await expect(page.locator('#measured')).toBeHidden();
  await expect(page.locator('#measure .notice')).toBeHidden();
});
