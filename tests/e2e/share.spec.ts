/** Shares a report: as a link that holds it, as a link to the checkpoint, and as one HTML file. */
import { readFileSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { preview } from 'vite';
import type { Report } from '../../www/report';
import { outputs, picked } from './helpers/activations.ts';
import { gpt2 } from './helpers/checkpoints.ts';
import { chooseColumns, expect, openFromCode, sentence, siteRows, test } from './helpers/page.ts';
import { FileServer } from './helpers/server.ts';

/** Serves the built page on a separate server. */
async function serve(): Promise<{ address: string; close: () => Promise<void> }> {
  const server = await preview({ preview: { host: '127.0.0.1', port: 0 }, logLevel: 'silent' });
  return { address: server.resolvedUrls?.local[0] ?? '', close: () => server.close() };
}

/** All numbers and words of the open report, without figures. */
async function shown(page: Page): Promise<string[]> {
  const parts = '#sentence, .reasons li, #verdict dd, #kernel dd, #sites .datatable td, #sites .datatable th, .classes dd, #dead .datatable td, #measure-result .datatable td';
  await expect(page.locator('#sites .datatable tbody tr').first()).toBeVisible();
  await page.locator('#dead details').evaluateAll((folded) => folded.forEach((one) => one.setAttribute('open', '')));
  for (const section of ['#sites', '#dead', '#measure-result']) await chooseColumns(page, section);
  return page.locator(parts).allTextContents();
}

/** Every number of a report. */
function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(numbersOf) : [];
}

async function measureSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
  await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(600) }));
  await expect(page.locator('#measured')).toBeVisible({ timeout: 30_000 });
}

/** Opens the dialog and waits for its link. */
async function openDialog(page: Page): Promise<string> {
  await page.getByRole('button', { name: 'Share…' }).click();
  const made = page.locator('dialog .made');
  await expect(made).toHaveValue(/#report=1\./, { timeout: 30_000 });
  return made.inputValue();
}

test('a link and the HTML file open elsewhere, without the checkpoint, with the same numbers', async ({ browser }, testInfo) => {
  const [sender, receiver] = [await serve(), await serve()];
  const first = await browser.newContext();
  const page = await first.newPage();
  await page.goto(sender.address);
  await measureSample(page);
  const [before, report] = [await shown(page), await page.evaluate(() => window.gammascope.share({ as: 'html' }))];
  const link = await openDialog(page);
  await page.getByRole('radio', { name: 'One HTML file' }).check();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: /^Save, \d/ }).click();
  const file = testInfo.outputPath('report.html');
  await (await download).saveAs(file);
  await first.close();
  await sender.close();

  const fresh = await browser.newContext();
  const opened = await fresh.newPage();
  const asked: string[] = [];
  opened.on('request', (request) => asked.push(request.url()));
  await opened.goto(receiver.address + link.slice(link.indexOf('#')));
  await expect(opened.locator('#shared')).toContainText('This report came in a link.');
  await expect(opened.locator('#shared')).toContainText('by Gammascope 0.1.0 from layernorm, 1.7 MB');
  expect(await shown(opened)).toEqual(before);
  await expect(opened.locator('#kernel svg[role=img]')).toBeVisible();
  await expect(opened.locator('#shared')).toContainText('Open the checkpoint to see everything, to measure and to export');
  await expect(opened.locator('#tools')).toHaveCount(0);
  await siteRows(opened).last().click();
  await expect(opened.locator('tr.detail svg[role=img]')).toHaveCount(4);
  expect(asked.filter((url) => !url.startsWith(receiver.address) && !url.startsWith('blob:'))).toEqual([]);
  expect(asked.filter((url) => url.includes('report=') && !url.includes('#')), 'nothing of it reaches a host').toEqual([]);

  // Opens the file from disk, without a server.
  await receiver.close();
  const offline = await fresh.newPage();
  const problems: string[] = [];
  offline.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await offline.goto(`file://${file}`);
  await expect(offline.locator('#sentence')).toHaveText(before[0] ?? '');
  const cells = await offline.locator('#sites tbody td, #sites tbody th, #measured tbody td, #readers tbody td').allTextContents();
  const known = new Set(before.map((text) => text.trim()));
  const held = JSON.parse((await offline.locator('#report').textContent()) ?? '') as Report;
  // The file writes each number with four digits. The page writes all numbers of a column with the same decimals.
  const digits = new Set(numbersOf(held).map((number) => number.toPrecision(4)));
  const isShown = (text: string) => known.has(text) || digits.has(Number(text.replaceAll(',', '')).toPrecision(4));
  expect(cells.filter((text) => !isShown(text.trim()) && !/^(mean|subtracts)/.test(text))).toEqual([]);
  expect(cells.length).toBeGreaterThan(100);
  expect(report).toContain(held.model.sentence);
  expect(held.verification?.sites[0]?.name).toBe('transformer.ln_f');
  expect(problems).toEqual([]);
  await fresh.close();
});

test('the dialog says what is in the link, can leave out names, and copies the link by keyboard', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
  const link = await openDialog(page);
  const dialog = page.getByRole('dialog', { name: 'Share this report' });
  await expect(dialog).toContainText('9 norm sites');
  await expect(dialog).toContainText('No weights.');
  expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id)).toEqual([]);
  await dialog.getByRole('button', { name: 'Copy link' }).press('Enter');
  await expect(dialog.getByRole('status')).toHaveText('Copied.');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);

  await dialog.getByRole('checkbox', { name: 'Leave names out' }).check();
  await expect(dialog.locator('.made')).not.toHaveValue(link);
  await expect(dialog.locator('.made')).toHaveValue(/#report=/);
  const nameless = await dialog.locator('.made').inputValue();
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  const report = await page.evaluate((text) => window.gammascope.open(text), nameless);
  expect(JSON.stringify(report)).not.toMatch(/transformer\.|ln_f|gpt2/);
  expect(report.shared).toMatchObject({ names: false });
  await expect(page.locator('#shared')).toContainText('whose names were left out');
  await expect(sentence(page)).toContainText('LayerNorm model. All 9 norms ignore one direction');
});

test('a link to a remote checkpoint contains the site', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  const address = server.put('/m/model.safetensors', readFileSync('samples/layernorm/model.safetensors'));
  server.put('/m/config.json', readFileSync('samples/layernorm/config.json'));
  await page.goto(`./#open=${encodeURIComponent(address)}&site=transformer.h.2.ln_1`);
  await expect(page.locator('tr.detail')).toHaveCount(1);
  await expect(page.locator('tbody tr:has(+ tr.detail)')).toContainText('transformer.h.2.ln_1');
  await openDialog(page);
  await page.getByRole('radio', { name: 'A link to the checkpoint' }).check();
  await page.getByRole('checkbox', { name: 'Open it at' }).check();
  const made = page.locator('dialog .made');
  await expect(made).toHaveValue(/#open=.*&site=transformer\.h\.2\.ln_1$/);
  expect(await made.inputValue()).toContain(encodeURIComponent(address));
  server.close();
});

test('a broken link shows an error, and the open report stays', async ({ page }) => {
  await openFromCode(page, gpt2());
  const before = await sentence(page).textContent();
  const link = await page.evaluate(() => window.gammascope.share());
  const fragment = link.slice(link.indexOf('#'));
  const at = fragment.length - 40;
  const broken: [string, RegExp][] = [
    [fragment.slice(0, -30), /this link is damaged: its checksum is/],
    [`${fragment.slice(0, at)}${fragment[at] === 'A' ? 'B' : 'A'}${fragment.slice(at + 1)}`, /this link is damaged/],
    [fragment.replace('=1.', '=9.'), /has version 9, and this page reads versions up to 1/],
    ['#report=', /this link holds no report/],
    ['#report=1.00000000.', /holds no report that can be read/],
  ];
  for (const [text, said] of broken) {
    await page.evaluate((hash) => (location.hash = hash), text);
    await expect(page.getByRole('alert')).toContainText(said);
    await expect(sentence(page)).toHaveText(before ?? '');
  }
  // A valid link opens afterwards.
  await page.evaluate((hash) => (location.hash = hash), fragment);
  await expect(page.locator('#shared')).toBeVisible();
  await expect(sentence(page)).toHaveText(before ?? '');
});
