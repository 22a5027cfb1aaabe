/** Rewriting the open checkpoint: the plan, the files in a folder, the proof, and what happens when it does not work. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { Download, Page, TestInfo } from '@playwright/test';
import type { FoldOperation, FoldReport } from '../../www/report';
import { gpt2 } from './helpers/checkpoints.ts';
import { quantisedSample } from './helpers/gguf.ts';
import { packedSample } from './helpers/packed.ts';
import { expect, openFromCode, savedReport, test } from './helpers/page.ts';
import { FileServer } from './helpers/server.ts';

const OPERATIONS: FoldOperation[] = ['scales', 'shifts', 'centre', 'canonical'];
const RESULT = ['config.json', 'fold.html', 'fold.json', 'model.safetensors', 'tokenizer.json'];

const fold = (page: Page) => page.locator('#fold');
const alert = (page: Page) => fold(page).getByRole('alert');

/** Makes the picker return a folder of the private file system of the origin: headless Chromium shows no dialog. */
async function withFolder(page: Page, name: string): Promise<void> {
  await page.evaluate(async (folder) => {
    const root = await navigator.storage.getDirectory();
    const made = await root.getDirectoryHandle(folder, { create: true });
    window.showDirectoryPicker = () => Promise.resolve(made);
  }, name);
}

/** The files of such a folder. */
async function filesIn(page: Page, name: string): Promise<Record<string, Buffer>> {
  const files = await page.evaluate(async (folder) => {
    const handle = await (await navigator.storage.getDirectory()).getDirectoryHandle(folder);
    const found: [string, string][] = [];
    for await (const [file, entry] of handle.entries()) {
      const bytes = new Uint8Array(await (await (entry as FileSystemFileHandle).getFile()).arrayBuffer());
      let text = '';
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      found.push([file, btoa(text)]);
    }
    return found;
  }, name);
  return Object.fromEntries(files.sort().map(([file, base64]) => [file, Buffer.from(base64, 'base64')]));
}

async function openSample(page: Page, name: 'LayerNorm' | 'RMSNorm'): Promise<void> {
  await page.getByRole('button', { name: `${name} sample` }).first().click();
  await expect(fold(page)).toBeVisible();
}

/** Chooses these operations and waits for the plan. */
async function plan(page: Page, operations: readonly FoldOperation[]): Promise<void> {
  for (const operation of OPERATIONS) {
    await fold(page).getByRole('checkbox', { name: operation, exact: false }).first().setChecked(operations.includes(operation));
  }
  await fold(page).getByRole('button', { name: 'See the plan' }).click();
  await expect(page.locator('#fold-plan')).toBeVisible({ timeout: 60_000 });
}

const write = (page: Page) => fold(page).getByRole('button', { name: 'Choose an empty folder and write…' }).click();

const terminal = process.env['GAMMASCOPE'];

/** The weights that the terminal writes for the same options. */
function byTerminal(testInfo: TestInfo, checkpoint: string, operations: readonly FoldOperation[]): Buffer {
  const out = testInfo.outputPath(`${operations.join('-')}`);
  execFileSync(terminal ?? '', ['fold', checkpoint, '-o', out, ...operations.map((operation) => `--${operation}`)]);
  return readFileSync(join(out, 'model.safetensors'));
}

test('the sample is planned, written, proved and opened again', async ({ page }) => {
  await withFolder(page, 'folded');
  await openSample(page, 'LayerNorm');
  const before = await savedReport(page);
  await plan(page, OPERATIONS);
  const planned = page.locator('#fold-plan');
  await expect(planned.locator('h4')).toContainText(/^\d+ tensors of layernorm would change\.$/);
  await expect(planned).toContainText(/MB in 5 files|kB in 5 files/);
  await expect(page.locator('#fold-left')).toContainText('(tied)');
  await expect(planned.locator('.datatable')).toContainText('W ← W diag γ');
  expect((await new AxeBuilder({ page }).include('#fold').analyze()).violations.map(({ id }) => id)).toEqual([]);
  await expect(planned.locator('.pick-proof'), 'a small model runs').toBeChecked();
  await write(page);
  const result = page.locator('#fold-result');
  await expect(result.locator('h4')).toContainText('The result computes the same as the original: its logits differ by', { timeout: 90_000 });
  await expect(result).toContainText('5 files in the folder folded.');
  await expect(page.locator('#fold-run')).toContainText('KL divergence');
  await expect(result.locator('.datatable')).toContainText('Bound');
  expect((await new AxeBuilder({ page }).include('#fold').analyze()).violations.map(({ id }) => id)).toEqual([]);

  const files = await filesIn(page, 'folded');
  expect(Object.keys(files)).toEqual(RESULT);
  const report = JSON.parse(files['fold.json']?.toString() ?? '') as FoldReport;
  expect(report.proof?.same).toBe(true);
  expect(report.tensors.length).toBeGreaterThan(20);
  for (const { name, rounding } of report.tensors) expect(rounding, name).toBeLessThan(4e-3);
  expect(files['fold.html']?.toString(), 'the verdict comes first').toContain(`<h1 id="sentence">${report.sentence}</h1>`);
  expect(files['config.json']).toEqual(readFileSync('samples/layernorm/config.json'));

  await result.getByRole('button', { name: 'Open the result' }).click();
  await expect(fold(page).locator('#fold-result'), 'another checkpoint').toHaveCount(0);
  const after = await savedReport(page);
  expect(after.model.verdict).toBe(before.model.verdict);
  expect(after.norms.map(({ name, kind }) => [name, kind])).toEqual(before.norms.map(({ name, kind }) => [name, kind]));
});

test('the bytes are those of the command line, for every option', async ({ page }, testInfo) => {
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  await openSample(page, 'LayerNorm');
  for (const [at, operations] of ([['scales'], ['scales', 'shifts'], ['centre'], ['canonical'], OPERATIONS] as FoldOperation[][]).entries()) {
    await withFolder(page, `same-${at}`);
    await plan(page, operations);
    await page.locator('.pick-proof').uncheck();
    await write(page);
    await expect(page.locator('#fold-result h4')).toContainText('exact up to one rounding', { timeout: 60_000 });
    const written = (await filesIn(page, `same-${at}`))['model.safetensors'];
    expect(written?.equals(byTerminal(testInfo, 'samples/layernorm', operations)), operations.join()).toBe(true);
  }
});

test('shards keep their names', async ({ page }, testInfo) => {
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  const folder = testInfo.outputPath('shards');
  mkdirSync(folder);
  const files = gpt2({ shards: 3 });
  for (const { name, buffer } of files) writeFileSync(join(folder, name), buffer);
  await openFromCode(page, files);
  await withFolder(page, 'sharded');
  await plan(page, ['scales', 'shifts']);
  await page.locator('.pick-proof').uncheck();
  await write(page);
  await expect(page.locator('#fold-result')).toBeVisible({ timeout: 60_000 });
  const written = await filesIn(page, 'sharded');
  const out = testInfo.outputPath('out');
  execFileSync(terminal ?? '', ['fold', folder, '-o', out, '--scales', '--shifts']);
  const shards = files.map(({ name }) => name).filter((name) => name.endsWith('.safetensors'));
  expect(Object.keys(written)).toEqual(['config.json', 'fold.html', 'fold.json', ...shards]);
  for (const name of shards) expect(written[name]?.equals(readFileSync(join(out, name))), name).toBe(true);
});

test('cancelling leaves nothing in the folder', async ({ page }) => {
  await openFromCode(page, gpt2());
  await withFolder(page, 'cancelled');
  // A slow disk: the bytes arrive a few seconds after they were given.
  await page.evaluate(async () => {
    const folder = await window.showDirectoryPicker();
    const get = folder.getFileHandle.bind(folder);
    folder.getFileHandle = async (name, options) => {
      const handle = await get(name, options);
      const create = handle.createWritable.bind(handle);
      handle.createWritable = async () => {
        const stream = await create();
        const write = stream.write.bind(stream);
        stream.write = async (bytes) => {
          await new Promise((resolve) => setTimeout(resolve, 4000));
          return write(bytes);
        };
        return stream;
      };
      return handle;
    };
  });
  await plan(page, ['scales', 'shifts']);
  await write(page);
  await expect(fold(page).locator('.opening')).toContainText('Writing');
  await expect.poll(async () => Object.keys(await filesIn(page, 'cancelled'))).toContain('model.safetensors.part');
  expect(Object.keys(await filesIn(page, 'cancelled'))).not.toContain('model.safetensors');
  await fold(page).getByRole('button', { name: 'Cancel' }).click();
  await expect(fold(page).getByRole('button', { name: 'Cancelling…' }), 'until the files are gone').toBeDisabled();
  await expect(fold(page).locator('.opening')).toHaveCount(0);
  await expect(page.locator('#fold-result')).toHaveCount(0);
  await expect(alert(page)).toHaveCount(0);
  expect(await filesIn(page, 'cancelled')).toEqual({});
  await expect(fold(page).getByRole('button', { name: 'Choose an empty folder and write…' })).toBeEnabled();
});

test('a full disk is an error that leaves nothing', async ({ page }) => {
  await openFromCode(page, gpt2());
  await withFolder(page, 'full');
  await plan(page, ['scales', 'shifts']);
  const browser = await page.context().newCDPSession(page);
  await browser.send('Storage.overrideQuotaForOrigin', { origin: new URL(page.url()).origin, quotaSize: 60_000 });
  await write(page);
  await expect(alert(page)).toContainText(/Not written\. model\.safetensors cannot be written: .*quota.*; nothing is left of it\./);
  expect(await filesIn(page, 'full')).toEqual({});
  await browser.send('Storage.overrideQuotaForOrigin', { origin: new URL(page.url()).origin });
  await write(page);
  await expect(page.locator('#fold-result'), 'with room it works').toBeVisible({ timeout: 60_000 });
});

test('a folder that has such a file is refused, and keeps it', async ({ page }) => {
  await openFromCode(page, gpt2());
  await withFolder(page, 'taken');
  await page.evaluate(async () => {
    const handle = await window.showDirectoryPicker();
    const stream = await (await handle.getFileHandle('Model.safetensors', { create: true })).createWritable();
    await stream.write('mine');
    await stream.close();
  });
  await plan(page, ['scales']);
  await write(page);
  await expect(alert(page)).toContainText('model.safetensors is already in the folder taken, and the page overwrites nothing');
  expect(await filesIn(page, 'taken')).toEqual({ 'Model.safetensors': Buffer.from('mine') });
});

test('a checkpoint with nothing to fold says why, and is not written', async ({ page }) => {
  await openSample(page, 'RMSNorm');
  await plan(page, ['centre']);
  await expect(page.locator('#fold-plan h4')).toHaveText('Nothing would change, so there is nothing to write.');
  await expect(page.locator('#fold-left')).toContainText('is an RMSNorm, which does not subtract the mean');
  await expect(fold(page).getByRole('button', { name: /write…|Download/ })).toHaveCount(0);
});

test('packed weights are refused by name', async ({ page }) => {
  await openFromCode(page, packedSample('layernorm'));
  await plan(page, ['scales', 'shifts']);
  await expect(page.locator('#fold-plan h4')).toHaveText('Nothing would change, so there is nothing to write.');
  await expect(page.locator('#fold-left')).toContainText(/c_attn\.weight is stored as packed weights/);
});

test('another format is refused with its conversion', async ({ page }) => {
  await openFromCode(page, [quantisedSample()]);
  await fold(page).getByRole('button', { name: 'See the plan' }).click();
  await expect(alert(page)).toContainText('sample-Q8_0.gguf is not safetensors, and fold rewrites only that');
});

test('a model whose run is not known is written without it, and says so', async ({ page }) => {
  await page.getByRole('button', { name: 'LayerNorm vision' }).first().click();
  await expect(fold(page)).toBeVisible();
  await withFolder(page, 'vision');
  await plan(page, ['scales']);
  await page.locator('.pick-proof').check();
  await write(page);
  await expect(page.locator('#fold-result')).toContainText('Not run. only models that read token ids', { timeout: 60_000, ignoreCase: true });
});

test('without access to folders, what fits is downloaded', async ({ page }) => {
  await page.evaluate(() => {
    delete (window as { showDirectoryPicker?: unknown }).showDirectoryPicker;
  });
  await openFromCode(page, gpt2());
  await plan(page, ['scales', 'shifts']);
  await page.locator('.pick-proof').uncheck();
  const downloads: Download[] = [];
  page.on('download', (download) => downloads.push(download));
  await fold(page).getByRole('button', { name: 'Download 4 files' }).click();
  await expect(page.locator('#fold-result')).toContainText('4 files in your downloads', { timeout: 60_000 });
  await expect.poll(() => downloads.map((download) => download.suggestedFilename()).sort()).toEqual(
    ['config.json', 'fold.html', 'fold.json', 'model.safetensors'],
  );
});

test('a checkpoint at an address is not rewritten, and says what to do', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  try {
    for (const { name, buffer } of gpt2()) server.put(`/m/${name}`, buffer);
    await page.evaluate((address) => window.gammascope.open(address), `${server.origin}/m/model.safetensors`);
    await expect(page.locator('#fold-not')).toContainText('Download this checkpoint, then open its folder here.');
  } finally {
    server.close();
  }
});
