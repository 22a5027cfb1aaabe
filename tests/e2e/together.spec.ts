/** Comparing the open checkpoint, measuring an adapter, and exporting kernel directions give the same as the command line. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import { type Page, type TestInfo } from '@playwright/test';
import type { AdapterReport, Comparison } from '../../www/report';
import { type TestFile, gpt2, lora } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, test, transfer } from './helpers/page.ts';
import { type Tensor } from './helpers/safetensors.ts';

/** A fine-tune: one norm of the base is changed, and one of its channels is almost switched off. */
const tuned = (tensors: Record<string, Tensor>) => {
  const scale = tensors['h.1.ln_1.weight']?.data;
  scale?.forEach((value, channel) => (scale[channel] = value * (1 + 0.1 * Math.sin(channel))));
  if (scale) scale[5] = 1e-6;
};

const given = (files: TestFile[]) =>
  files.map(({ name, buffer }) => ({ name, base64: buffer.toString('base64') }));

type Besides = { compare: Comparison; adapter: AdapterReport };

/** Calls `gammascope.compare` or `.adapter` with these files. Returns the message if it fails. */
function beside<Name extends keyof Besides>(page: Page, call: Name, files: TestFile[]): Promise<Besides[Name] | string> {
  return page.evaluate(
    async ([name, list]) => {
      const made = list.map(
        ({ name: file, base64 }) => new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], file),
      );
      const answer = name === 'compare' ? window.gammascope.compare(made) : window.gammascope.adapter(made);
      return answer.catch((error: Error) => error.message);
    },
    [call, given(files)] as const,
  ) as Promise<Besides[Name] | string>;
}

function written(testInfo: TestInfo, folder: string, files: TestFile[]): string {
  const path = testInfo.outputPath(folder);
  mkdirSync(path, { recursive: true });
  for (const { name, buffer } of files) writeFileSync(join(path, name), buffer);
  return path;
}

const terminal = process.env['GAMMASCOPE'];
const run = (...args: string[]) => execFileSync(terminal ?? '', args, { maxBuffer: 2 ** 26 });

test.beforeEach(async ({ page }) => {
  await openFromCode(page, gpt2());
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
});

test('choosing the files of a fine-tune compares it, and the largest change comes first', async ({ page }) => {
  await page.locator('.pick-compared').setInputFiles(gpt2({ tune: tuned }));
  await expect(page.locator('#compared')).toContainText('7 norm sites in common, 1 of them changed', { timeout: 30_000 });
  const rows = page.locator('#compare-result .datatable > .scroll > table > tbody > tr');
  await expect(rows.first()).toContainText('h.1.ln_1');
  await expect(rows.first().getByRole('cell').first()).not.toHaveText('0°');
  await expect(page.locator('#compare-result figure svg[role=img], #compare-result .figure svg[role=img]')).toHaveCount(2);
  expect((await new AxeBuilder({ page }).include('#compare-result').analyze()).violations.map(({ id }) => id)).toEqual([]);
  await expect(sentence(page), 'the one on show stays').toContainText('All 7 norms ignore one direction');
});

test('the comparison is that of the command line, across shards and prefixes', async ({ page }, testInfo) => {
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  const base = written(testInfo, 'base', gpt2());
  for (const [name, other] of [
    ['tuned', gpt2({ tune: tuned })],
    ['wrapped', gpt2({ prefix: 'transformer.', shards: 2, tune: tuned })],
  ] as const) {
    const native = JSON.parse(run('compare', base, written(testInfo, name, other), '--json').toString()) as Comparison;
    const here = await beside(page, 'compare', other);
    expect(here, name).toMatchObject({ sites: native.sites, only_before: [], only_after: [] });
    expect(native.sites[0], name).toMatchObject({ near_dead_gained: [5] });
  }
});

test('a drop on the right half compares, and a drop on the left half opens', async ({ page }) => {
  await transfer(page, gpt2({ layers: 2 }), 'paste');
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');
  await page.evaluate(
    (list) => {
      const data = new DataTransfer();
      for (const { name, base64 } of list) data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      document.querySelector('[data-drop=compare]')?.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data }));
    },
    given(gpt2({ layers: 2, tune: tuned })),
  );
  await expect(page.locator('#compared')).toContainText('5 norm sites in common, 1 of them changed', { timeout: 30_000 });
});

test('the measurement of an adapter is that of the command line, also if it is dropped together with its base', async ({ page }, testInfo) => {
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  const native = JSON.parse(
    run('adapter', written(testInfo, 'base', gpt2()), written(testInfo, 'lora', lora()), '--json').toString(),
  ) as AdapterReport;
  expect(native.modules).toHaveLength(3);
  expect(await beside(page, 'adapter', lora())).toMatchObject({ modules: native.modules });
  await transfer(page, lora(), 'drop');
  await expect(page.locator('#weighed')).toBeVisible({ timeout: 30_000 });
  await expect(page.locator('#adapter-result .datatable tbody tr')).toHaveCount(3);
  await expect(page.locator('#adapter-result svg[role=img]')).toBeVisible();
  expect((await new AxeBuilder({ page }).include('#adapter-result').analyze()).violations.map(({ id }) => id)).toEqual([]);
  await expect(sentence(page), 'the base stays').toContainText('All 7 norms ignore one direction');
});

test('exported kernels are the same bytes as those of the command line', async ({ page }, testInfo) => {
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  const base = written(testInfo, 'model', gpt2());
  for (const format of ['safetensors', 'json'] as const) {
    const native = testInfo.outputPath(`kernels.${format}`);
    run('export', base, '-o', native);
    const saved = page.waitForEvent('download');
    const label = format === 'json' ? 'JSON' : 'safetensors';
    await page.locator('#export').getByRole('button', { name: `as ${label}` }).click();
    const file = await (await saved).path();
    const [here, there] = [readFileSync(file), readFileSync(native)];
    // Only the name of the checkpoint differs: the command line opened a folder, the page a file.
    const unnamed = (text: string) => JSON.parse(text.replace(/"checkpoint": ?"model(.safetensors)?"/, '"checkpoint":""')) as unknown;
    if (format === 'json') expect(unnamed(here.toString())).toEqual(unnamed(there.toString()));
    else {
      const start = (bytes: Buffer) => 8 + Number(bytes.readBigUInt64LE(0));
      const header = (bytes: Buffer) => unnamed(bytes.subarray(8, start(bytes)).toString());
      expect(header(here)).toEqual(header(there));
      expect(here.subarray(start(here)).equals(there.subarray(start(there))), 'every byte of every direction').toBe(true);
    }
  }
  await page.locator('.pick-exported').fill('nothing is called so');
  await page.locator('#export').getByRole('button', { name: 'as JSON' }).click();
  await expect(page.locator('#export').getByRole('alert')).toContainText('Not exported.');
});

test('if a comparison or an adapter does not fit, a message says so, and the report stays', async ({ page }) => {
  const before = await sentence(page).textContent();
  const other = gpt2({ layers: 1, width: 16, tune: (tensors) => {
    for (const name of Object.keys(tensors)) {
      const tensor = tensors[name];
      delete tensors[name];
      if (tensor) tensors[`other.${name.replace('ln_', 'norm_')}`] = tensor;
    }
  } });
  const refused: [keyof Besides, TestFile[], RegExp][] = [
    ['compare', other, /nothing in common|no site/i],
    ['compare', [], /no file/],
    ['adapter', lora({ width: 48 }), /width|rows|another base|48/],
    ['adapter', lora({ module: 'elsewhere.map' }), /another base|no module|of this base/i],
    ['adapter', lora({ config: { use_dora: true } }), /DoRA/],
    ['adapter', lora({ config: { r: 0 }, rank: 0 }), /rank/i],
  ];
  for (const [call, files, said] of refused) {
    const answer = await beside(page, call, files);
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer.warnings) + JSON.stringify((answer as AdapterReport).skipped ?? '');
    expect(text).toMatch(said);
    await expect(sentence(page)).toHaveText(before ?? '');
  }
});

test('an adapter alone asks for its base', async ({ page }) => {
  await page.goto('./');
  await transfer(page, lora(), 'drop');
  await expect(page.getByRole('alert')).toContainText('open its base first');
});

test('after a drop of two checkpoints, the page asks, and can compare them', async ({ page }) => {
  const [first, second] = [gpt2({ name: 'step-900.safetensors' }), gpt2({ name: 'step-1000.safetensors', tune: tuned })];
  const both = [...second.slice(0, 1), ...first.slice(0, 1)];
  await transfer(page, both, 'paste');
  const question = page.getByRole('alertdialog');
  await expect(question).toContainText('step-900.safetensors');
  await question.getByRole('button', { name: 'Compare the two' }).click();
  await expect(page.locator('#compared')).toContainText('7 norm sites in common, 1 of them changed', { timeout: 30_000 });
  await expect(page.locator('.sides dd').first(), 'the earlier step first').toContainText('step-900');
});
