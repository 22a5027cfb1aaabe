/** The page without a network, and a newer version of the page. Each test serves its own copy of dist/, which it can change. */
import { cpSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BrowserContext, type Page, expect, test } from '@playwright/test';
import { preview } from 'vite';
import { gpt2 } from './helpers/checkpoints.ts';
import { chooseOptions, openFromCode, sentence } from './helpers/page.ts';

test.use({ serviceWorkers: 'allow' });

const BASE = '/some/where/';

type Site = { address: string; folder: string; close: () => Promise<void> };

async function serve(folder: string): Promise<Site> {
  cpSync('dist', folder, { recursive: true });
  const server = await preview({
    base: BASE,
    build: { outDir: folder },
    preview: { host: '127.0.0.1', port: 0 },
    logLevel: 'silent',
  });
  return { address: server.resolvedUrls?.local[0] ?? '', folder, close: () => server.close() };
}

/** Visits the page for the first time, until the service worker has stored everything. */
async function visit(context: BrowserContext, { address }: Site): Promise<Page> {
  const page = await context.newPage();
  await page.goto(address);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await expect.poll(() => page.evaluate(async () => (await caches.keys()).length)).toBeGreaterThan(0);
  return page;
}

test('after one visit, samples, files and the verifier work without the server', async ({ context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  const first = await visit(context, site);
  await first.close();
  await site.close();
  await context.setOffline(true);

  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(site.address);
  await page.getByRole('button', { name: 'RMSNorm sample' }).first().click();
  await expect(sentence(page)).toContainText('RMSNorm model: no dead directions');
  await openFromCode(page, gpt2());
  await expect(sentence(page)).toContainText('LayerNorm model. All 7 norms ignore one direction');
  await chooseOptions(page, '#measure');
  await page.getByRole('button', { name: 'Measure the norm alone' }).click();
  await expect(page.locator('#alone')).toBeVisible({ timeout: 30_000 });
  const link = await page.evaluate(() => window.gammascope.share());
  await page.goto(link);
  await expect(page.locator('#shared')).toBeVisible();
  expect(problems).toEqual([]);
});

/** Serves a newer version. Any changed file of a build changes the list in the service worker. */
function renew({ folder }: Site): void {
  const worker = join(folder, 'service-worker.js');
  writeFileSync(worker, `${readFileSync(worker, 'utf8')}\n// a newer version\n`);
}

const update = (page: Page) => page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());

test('a newer version waits, and a notice says so beside the report', async ({ context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  await (await visit(context, site)).close();
  const page = await context.newPage();
  await page.goto(site.address);
  await openFromCode(page, gpt2());
  await expect(sentence(page)).toContainText('All 7 norms ignore one direction');
  renew(site);
  await update(page);
  const notice = page.locator('#renewal');
  await expect(notice).toContainText('A newer version of this page is ready.');
  await expect(sentence(page), 'the report is as it was').toContainText('All 7 norms ignore one direction');
  await notice.getByRole('button', { name: 'Reload' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('See which directions');
  await expect(notice).toHaveCount(0);
  await site.close();
});

test('if one tab activates a newer version, the other tab keeps its report and shows a notice', async ({ context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  await (await visit(context, site)).close();
  const [reading, other] = [await context.newPage(), await context.newPage()];
  for (const page of [reading, other]) await page.goto(site.address);
  await openFromCode(reading, gpt2());
  renew(site);
  await update(other);
  await other.locator('#renewal').getByRole('button', { name: 'Reload' }).click();
  await expect(other.locator('#renewal')).toHaveCount(0);
  const notice = reading.locator('#renewal');
  await expect(notice).toContainText('A newer version of this page is in use in another tab.');
  await expect(sentence(reading)).toContainText('All 7 norms ignore one direction');
  await notice.getByRole('button', { name: 'Reload' }).click();
  await expect(reading.getByRole('heading', { level: 1 })).toContainText('See which directions');
  await expect(notice).toHaveCount(0);
  await site.close();
});

/** Renames the files of the verifier, like a build of changed code, and changes all files that name them. */
function rename({ folder }: Site): void {
  const assets = join(folder, 'assets');
  const old = readdirSync(assets).filter((name) => name.includes('verifier'));
  for (const name of old) renameSync(join(assets, name), join(assets, newer(name)));
  const texts = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(js|html|css)$/.test(name));
  for (const name of texts) {
    const text = readFileSync(join(folder, name), 'utf8');
    writeFileSync(join(folder, name), old.reduce((all, file) => all.replaceAll(file, newer(file)), text));
  }
}

const newer = (name: string): string => name.replace(/(\.\w+)$/, 'newer$1');

test('if another tab activates a newer version, a run continues in its own version, and the tab can run again', async ({ context }, testInfo) => {
  test.setTimeout(180_000);
  const site = await serve(testInfo.outputPath('site'));
  await (await visit(context, site)).close();
  const [running, other] = [await context.newPage(), await context.newPage()];
  for (const page of [running, other]) await page.goto(site.address);
  // No worker is loaded in advance.
  await running.evaluate(() => Object.defineProperty(navigator, 'connection', { value: { saveData: true } }));
  await running.getByRole('button', { name: 'RMSNorm sample' }).first().click();
  await expect(running.locator('#weights svg[role=img]')).toBeVisible();
  const run = () =>
    running.evaluate(async () => {
      const { verification } = await window.gammascope.verify({ device: 'cpu', input: 'uniform' });
      // The alert says why a run ended early.
      return [verification?.sites.length, document.querySelector('#verify [role=alert]')?.textContent];
    });
  const first = run();
  await expect(running.locator('#verify progress')).toBeVisible();
  rename(site);
  await update(other);
  await other.locator('#renewal').getByRole('button', { name: 'Reload' }).click();
  await expect(running.locator('#renewal')).toContainText('This tab keeps working with its own version');
  expect(await first).toEqual([9, undefined]);
  expect(await run(), 'its files are not on the server any more').toEqual([9, undefined]);
  await site.close();
});

test('the page of a first visit can also activate the newer version', async ({ context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  // No service worker controls the first page. One controls the second page and makes the newer version wait.
  const first = await visit(context, site);
  const second = await context.newPage();
  await second.goto(site.address);
  renew(site);
  await update(first);
  await first.locator('#renewal').getByRole('button', { name: 'Reload' }).click();
  await expect(first.locator('#renewal')).toHaveCount(0);
  await expect(second.locator('#renewal')).toContainText('in use in another tab');
  await site.close();
});

test('the page can be installed: the manifest has what browsers require, and icons of the right sizes', async ({ page, context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  await (await visit(context, site)).close();
  await page.goto(site.address);
  const session = await context.newCDPSession(page);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  // Playwright's contexts are incognito, in which no page can be installed.
  expect(installabilityErrors.map(({ errorId }) => errorId).filter((error) => error !== 'in-incognito')).toEqual([]);
  const { errors, url, data } = await session.send('Page.getAppManifest');
  expect([errors, url]).toEqual([[], `${site.address}manifest.webmanifest`]);
  expect(JSON.parse(data ?? '{}')).toMatchObject({
    file_handlers: [{ action: './', accept: { 'application/octet-stream': ['.safetensors', '.sft', '.gguf', '.onnx', '.bin', '.pt', '.pth', '.ckpt', '.npz', '.msgpack', '.h5'] } }],
  });
  await site.close();
});

test('without service workers, the page works from the network', async ({ page }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  await page.addInitScript(() => {
    navigator.serviceWorker.register = () => Promise.reject(new DOMException('Storage is refused.', 'SecurityError'));
  });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(site.address);
  await openFromCode(page, gpt2());
  await expect(sentence(page)).toContainText('All 7 norms ignore one direction');
  expect(problems).toEqual([]);
  await site.close();
});

test('range requests go to the server, not to the cache', async ({ context }, testInfo) => {
  const site = await serve(testInfo.outputPath('site'));
  await (await visit(context, site)).close();
  const page = await context.newPage();
  await page.goto(`${site.address}#open=${site.address}samples/layernorm/model.safetensors`);
  await expect(sentence(page)).toContainText('LayerNorm model. All 9 norms ignore one direction');
  await site.close();
});
