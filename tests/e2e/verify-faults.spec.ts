/** Faults during a run: a file disappears, a worker does not start, the GPU fails, the tab freezes. */
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, savedReport, test } from './helpers/page.ts';
import { endWorker, limitMemory, recordWorkers } from './helpers/workers.ts';

const MODEL = '.cache/models/SmolLM2-135M';
const FILES = ['model.safetensors', 'config.json'];

async function openSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'RMSNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
}

/** Begins a run and waits until the page shows its progress. */
async function begin(page: Page, options: object): Promise<void> {
  await page.evaluate((options) => {
    const run = window.gammascope.verify(options);
    Object.assign(window, { run });
    run.catch(() => undefined);
  }, options);
  await expect(page.locator('#verify progress[value]:not([value="0"])')).toBeVisible({ timeout: 120_000 });
}

const finished = (page: Page) => page.evaluate(() => (window as unknown as { run: ReturnType<typeof window.gammascope.verify> }).run);

test('if a file disappears, the run stops, and it goes on once the file is back', async ({ page }) => {
  test.skip(!FILES.every((name) => existsSync(join(MODEL, name))), `skipped: SmolLM2 is not in ${MODEL}; npm test -- rust fetches it`);
  test.setTimeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'gammascope-'));
  const [weights, away] = [join(folder, 'model.safetensors'), join(folder, 'elsewhere')];
  try {
    for (const name of FILES) copyFileSync(join(MODEL, name), join(folder, name));
    await page.locator('.pick-opened').first().setInputFiles(FILES.map((name) => join(folder, name)));
    await expect(page.locator('#verify')).toBeVisible();
    await begin(page, { device: 'cpu', tokens: 640, blocks: 8, sites: 'final', input: 'uniform' });
    renameSync(weights, away);
    const stopped = page.locator('#verify').getByRole('alert');
    await expect(stopped).toContainText(/Stopped after \d+ of 8 blocks/, { timeout: 120_000 });
    await expect(stopped, 'which file').toContainText('model.safetensors');
    renameSync(away, weights);
    await page.getByRole('button', { name: 'Go on' }).click();
    await expect(page.locator('#measured')).toContainText('1 site measured', { timeout: 180_000 });
    await expect(page.locator('#verify')).not.toContainText('Stopped after');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('if a measuring worker cannot start, the run stops, and Go on completes it without gaps', async ({ page, elsewhere }) => {
  // The browser logs separately that there is no such worker.
  elsewhere.add(new URL(page.url()).origin);
  // Without a verifier loaded in advance, the second one to start is the one that measures. A third start tries the same again.
  await page.evaluate(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await openSample(page);
  await page.evaluate(() => {
    const { Worker } = window;
    let started = 0;
    // The first worker runs the model, the next would measure.
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super([2, 3].includes(++started) ? '/there-is-no-such-worker.js' : url, options);
      }
    };
  });
  await page.evaluate(() => {
    window.gammascope.verify({ device: 'cpu', tokens: 1024, input: 'uniform', preservation: false }).catch(() => undefined);
  });
  const stopped = page.locator('#verify').getByRole('alert');
  await expect(stopped).toContainText(/Stopped after \d of 4 blocks. The inspector could not be loaded/, { timeout: 60_000 });
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(page.locator('#measured')).toContainText('9 sites measured', { timeout: 60_000 });
  const { verification } = await savedReport(page);
  expect(verification?.residual.map(({ block }) => block), 'the stream after every block').toEqual([0, 1, 2, 3]);
  expect(verification?.residual.every(({ sigma_min }) => sigma_min !== null)).toBe(true);
});

test('a worker whose request gets no answer while a newer version takes over is started once more', async ({ page }) => {
  await page.evaluate(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await openSample(page);
  await page.route('**/never-answered.js', () => undefined);
  await page.evaluate(() => {
    const { Worker } = window;
    let started = 0;
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(++started === 2 ? './never-answered.js' : url, options);
      }
    };
  });
  const asked = page.waitForRequest('**/never-answered.js');
  const run = page.evaluate(async () => (await window.gammascope.verify({ device: 'cpu', input: 'uniform', preservation: false })).verification?.sites.length);
  await asked;
  await page.evaluate(() => navigator.serviceWorker.dispatchEvent(new Event('controllerchange')));
  expect(await run).toBe(9);
});

const BLOCKS = [0, 1, 2, 3];

/** Begins a run of the open sample on the CPU and waits until something is measured. */
async function beginMeasured(page: Page): Promise<void> {
  await page.evaluate(() => {
    window.gammascope.verify({ device: 'cpu', tokens: 8192, input: 'uniform', preservation: false }).catch(() => undefined);
  });
  await expect(page.locator('#verify').getByText(/[1-9]\d* of the \d+ norms and streams/)).toBeVisible({ timeout: 90_000 });
}

/** The run has stopped with `reason` and keeps its measurements. *Go on* completes it. */
async function stopsAndGoesOn(page: Page, reason: RegExp, measured: boolean): Promise<void> {
  const stopped = page.locator('#verify').getByRole('alert');
  await expect(stopped).toContainText(/Stopped after \d of 4 blocks/, { timeout: 90_000 });
  await expect(stopped).toContainText(reason);
  if (measured) await expect(page.locator('#measured'), 'what was measured stays').toContainText('measured');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(page.locator('#measured')).toContainText('9 sites measured', { timeout: 120_000 });
  const { verification } = await savedReport(page);
  expect(verification?.residual.map(({ block }) => block), 'each block once').toEqual(BLOCKS);
  expect(new Set(verification?.sites.map(({ name }) => name)).size, 'each norm once').toBe(9);
}

test('if the worker that runs the model dies, the run keeps its measurements and can go on', async ({ page }) => {
  test.setTimeout(300_000);
  await recordWorkers(page);
  await openSample(page);
  await beginMeasured(page);
  // The first worker opened the sample, the second runs the model.
  await endWorker(page, 1);
  await stopsAndGoesOn(page, /The worker of this checkpoint ended/, true);
});

test('if a worker that measures dies, the run finishes without what it was measuring', async ({ page }) => {
  test.setTimeout(300_000);
  await recordWorkers(page);
  await openSample(page);
  await beginMeasured(page);
  await endWorker(page, 2);
  await expect(page.locator('#measured')).toContainText(/[89] sites measured/, { timeout: 120_000 });
  const { verification, warnings } = await savedReport(page);
  const missing = 9 - (verification?.sites.length ?? 0) + (verification?.residual ?? []).filter(({ sigma_min }) => sigma_min === null).length;
  // The worker loses what it measures, and nothing if it waits for a job.
  expect(missing).toBeLessThanOrEqual(1);
  if (missing === 1) expect(warnings.map(({ message }) => message).join()).toContain('The worker of this checkpoint ended');
});

test('if the memory ends during a run, the run keeps its measurements and can go on', async ({ page }) => {
  test.setTimeout(300_000);
  await page.evaluate(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await openSample(page);
  // The first verifier runs the model.
  await limitMemory(page, 'verifier', 256, true);
  await page.evaluate(() => {
    window.gammascope.verify({ device: 'cpu', tokens: 8192, input: 'uniform', preservation: false }).catch(() => undefined);
  });
  await stopsAndGoesOn(page, /does not have enough memory/, false);
});

test('if a file changes during a run, the run stops with its name and keeps its measurements', async ({ page }) => {
  test.skip(!FILES.every((name) => existsSync(join(MODEL, name))), `skipped: SmolLM2 is not in ${MODEL}; npm test -- rust fetches it`);
  test.setTimeout(300_000);
  const folder = mkdtempSync(join(tmpdir(), 'gammascope-'));
  try {
    for (const name of FILES) copyFileSync(join(MODEL, name), join(folder, name));
    await page.locator('.pick-opened').first().setInputFiles(FILES.map((name) => join(folder, name)));
    await expect(page.locator('#verify')).toBeVisible();
    await begin(page, { device: 'cpu', tokens: 640, blocks: 12, sites: 'final', input: 'uniform' });
    const file = openSync(join(folder, 'model.safetensors'), 'r+');
    writeSync(file, Buffer.alloc(4096, 0x3f), 0, 4096, statSync(join(folder, 'model.safetensors')).size - 4096);
    closeSync(file);
    const stopped = page.locator('#verify').getByRole('alert');
    await expect(stopped).toContainText(/Stopped after \d+ of 12 blocks/, { timeout: 120_000 });
    await expect(stopped).toContainText('model.safetensors');
    await expect(stopped).toContainText('check that the file was not changed, moved or deleted');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('if the GPU fails, the CPU continues with the same numbers', async ({ page, browser }) => {
  test.setTimeout(180_000);
  await openSample(page);
  const options = { tokens: 4096, input: 'uniform', preservation: false } as const;
  const cpu = await page.evaluate((options) => window.gammascope.verify({ ...options, device: 'cpu' }), options);
  await begin(page, { ...options, device: 'gpu' });
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess').catch(() => undefined);
  const report = await finished(page);
  const failed = report.warnings.find(({ code, message }) => code === 'gpu_failed' && message.includes('The run went on on the CPU'));
  expect(failed?.message).toMatch(/from block [1-4] on/);
  expect(report.verification?.sites.length).toBe(9);
  report.verification?.sites.forEach(({ name, depth_scale_free }, at) => {
    expect(name).toBe(cpu.verification?.sites[at]?.name);
    expect((depth_scale_free ?? 0) / (cpu.verification?.sites[at]?.depth_scale_free ?? NaN)).toBeCloseTo(1, 4);
  });
});

test('a tab that freezes during a run continues when it resumes', async ({ page }) => {
  await openSample(page);
  await begin(page, { device: 'cpu', tokens: 8192, input: 'uniform', preservation: false });
  const session = await page.context().newCDPSession(page);
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await session.send('Page.setWebLifecycleState', { state: 'active' });
  const { verification } = await finished(page);
  expect(verification?.sites.length).toBe(9);
  expect(verification?.residual.length).toBe(4);
});
