/** Faults of the browser and the device, outside a run: workers die, memory and storage end, files change, the GPU fails. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outputs, picked } from './helpers/activations.ts';
import { gpt2, manyTensors } from './helpers/checkpoints.ts';
import { chooseOptions, expect, openFromCode, pressRun, savedReport, sentence, siteRows, test, transfer } from './helpers/page.ts';
import { FileServer } from './helpers/server.ts';
import { endWorker, inspectorsStarted, limitMemory, recordWorkers } from './helpers/workers.ts';

test('if the worker dies while it opens a checkpoint, the page says so and keeps the open report', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  await recordWorkers(page);
  await openFromCode(page, gpt2());
  const address = server.put('/m/model.safetensors', gpt2()[0]?.buffer ?? '', 'slow');
  const opened = page.evaluate((text) => window.gammascope.open(text).catch((error: Error) => error.message), address);
  // The first worker holds the open report. The second one waits for the server.
  await expect.poll(() => server.seen.length).toBeGreaterThan(0);
  await endWorker(page, 1);
  expect(await opened).toContain('The worker of this checkpoint ended');
  await expect(page.getByRole('alert')).toContainText('Close other tabs and try again');
  await expect(siteRows(page)).toHaveCount(7);
  await openFromCode(page, gpt2({ layers: 1 }));
  await expect(siteRows(page)).toHaveCount(3);
  server.close();
});

test('the worker that was loaded in advance opens the checkpoint, and if it dies before, another one does', async ({ page }) => {
  await recordWorkers(page, { ahead: true });
  await expect.poll(() => inspectorsStarted(page), 'before anything is opened').toBe(1);
  await openFromCode(page, gpt2());
  await expect(siteRows(page)).toHaveCount(7);
  expect(await inspectorsStarted(page)).toBe(1);
  await page.reload();
  await endWorker(page, 0);
  // The page notices by the lock.
  await page.waitForFunction(async () => (await navigator.locks.query()).held?.length === 0);
  await openFromCode(page, gpt2({ layers: 1 }));
  await expect(siteRows(page)).toHaveCount(3);
  expect(await inspectorsStarted(page)).toBe(2);
});

test('if the connection should save data, the worker starts with the drag or with the focus, and opens what is dropped', async ({ page }) => {
  await recordWorkers(page);
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible();
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(['x'], 'model.safetensors'));
    document.body.dispatchEvent(new DragEvent('dragover', { bubbles: true, cancelable: true, dataTransfer }));
  });
  expect(await inspectorsStarted(page)).toBe(1);
  await transfer(page, gpt2(), 'drop');
  await expect(siteRows(page)).toHaveCount(7);
  expect(await inspectorsStarted(page)).toBe(1);
  await page.getByRole('button', { name: 'Open…' }).click();
  await page.getByRole('button', { name: 'Choose files' }).first().focus();
  expect(await inspectorsStarted(page), 'for the next checkpoint').toBe(2);
});

test('if the memory ends while a checkpoint opens, the page says so and keeps the open report', async ({ page }) => {
  await openFromCode(page, gpt2());
  await limitMemory(page, 'inspector', 64);
  await expect(openFromCode(page, manyTensors(100_000))).rejects.toThrow('does not have enough memory');
  await expect(page.getByRole('alert')).toContainText('use the command line');
  await expect(siteRows(page)).toHaveCount(7);
});

test('if a file changes after it was opened, the next read says so and the report stays', async ({ page }) => {
  const folder = mkdtempSync(join(tmpdir(), 'gammascope-'));
  const files = ['model.safetensors', 'config.json'].map((name) => join(folder, name));
  for (const file of files) copyFileSync(file.replace(folder, 'samples/rmsnorm'), file);
  try {
    await page.locator('.pick-opened').first().setInputFiles(files);
    await expect(page.locator('#weights svg[role=img]')).toBeVisible();
    const before = await sentence(page).innerText();
    const [weights = ''] = files;
    const bytes = readFileSync(weights);
    bytes.fill(0x3f, bytes.length - 4096);
    writeFileSync(weights, bytes);
    await pressRun(page);
    const refused = page.locator('#verify').getByRole('alert');
    await expect(refused).toContainText('model.safetensors', { timeout: 30_000 });
    await expect(refused).toContainText('check that the file was not changed, moved or deleted');
    await expect(sentence(page)).toHaveText(before);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('if the GPU fails during an exact measurement, the CPU finishes it', async ({ page, browser }) => {
  test.setTimeout(240_000);
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
  const sites = ['transformer.h.0.ln_1', 'transformer.h.0.ln_2', 'transformer.h.1.ln_1', 'transformer.h.1.ln_2', 'transformer.ln_f'];
  const file = picked(Object.fromEntries(sites.map((site, at) => [site, outputs(12_000 + at, true, site)])));
  await chooseOptions(page, '#measure');
  await page.locator('.pick-device').selectOption('gpu');
  await page.locator('.pick-activations').setInputFiles(file);
  // On a busy machine the plan comes first.
  const begin = page.locator('#measure').getByRole('button', { name: 'Measure', exact: true });
  await expect(async () => {
    if (await begin.isVisible()) await begin.click();
    await expect(page.locator('#measure progress[value]:not([value="0"])')).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 120_000 });
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess').catch(() => undefined);
  await expect(page.locator('#measured')).toContainText('5 sites measured: 5 subtract the mean', { timeout: 120_000 });
  await expect(page.getByText('The measurement continued on the CPU').first()).toBeVisible();
  const { warnings } = await savedReport(page);
  expect(warnings.map(({ code }) => code), 'the report says what happened').toContain('gpu_failed');
});

test('if the storage is full, a run finishes, and the list of recent checkpoints says why it keeps nothing', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  await page.getByRole('button', { name: 'RMSNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
  const run = page.evaluate(async () => (await window.gammascope.verify({ device: 'cpu', input: 'uniform' })).verification?.sites.length);
  await expect(page.locator('#verify progress')).toBeVisible();
  const session = await page.context().newCDPSession(page);
  const { origin } = new URL(page.url());
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 });
  expect(await run, 'every norm is measured').toBe(9);
  await page.evaluate((text) => window.gammascope.open(text), server.put('/m/model.safetensors', gpt2()[0]?.buffer ?? ''));
  await expect(siteRows(page)).toHaveCount(7);
  await page.getByRole('button', { name: 'Open…' }).click();
  const recent = page.locator('#open-menu .recent');
  await recent.locator('summary').click();
  await expect(recent).toContainText('This browser cannot keep a list here');
  server.close();
});

test('if the tokenizer makes its library panic, the run says that the tokenizer is damaged', async ({ page }) => {
  const files = ['model.safetensors', 'config.json', 'tokenizer.json'].map((name) => {
    const buffer = readFileSync(`samples/rmsnorm/${name}`);
    if (name !== 'tokenizer.json') return { name, mimeType: '', buffer };
    const tokenizer = JSON.parse(buffer.toString()) as Record<string, unknown>;
    tokenizer['normalizer'] = { type: 'Precompiled', precompiled_charsmap: 'AAAAAA==' };
    return { name, mimeType: '', buffer: Buffer.from(JSON.stringify(tokenizer)) };
  });
  await openFromCode(page, files);
  const { verification, warnings } = await page.evaluate(() => window.gammascope.verify({ input: 'usual', device: 'cpu' }));
  expect(warnings.map(({ message }) => message).join()).toContain('tokenizer.json');
  expect(verification?.sites.length, 'the model runs on ids instead of the text').toBe(9);
});
