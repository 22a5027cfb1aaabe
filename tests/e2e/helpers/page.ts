/**
 * The page under test. Every test also checks that no request left the origin, that nothing violated the content security policy, and
 * that the console has no error.
 */
import { readFile } from 'node:fs/promises';
import { type Page, test as base, expect } from '@playwright/test';
import type { Report } from '../../../www/report';
import type {} from '../../../www/api';
import type { TestFile } from './checkpoints.ts';

export { expect };

export const test = base.extend<{ elsewhere: Set<string> }>({
  /** Other origins that the page may ask in a test. If there are any, errors of the browser about refused requests are allowed too. */
  elsewhere: async ({}, use) => use(new Set()),
  page: async ({ page, baseURL, elsewhere }, use) => {
    const problems: string[] = [];
    const home = new URL(baseURL ?? 'http://localhost').origin;
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith('http') && origin !== home && !elsewhere.has(origin)) problems.push(`request to ${request.url()}`);
    });
    page.on('console', (message) => {
      const refused = elsewhere.size > 0 && /Failed to load resource|blocked by CORS policy/.test(message.text());
      if (message.type() === 'error' && !refused) problems.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
    await page.goto('./');
    await use(page);
    expect(problems).toEqual([]);
  },
});

type Given = { name: string; path: string; base64: string };

const given = (files: TestFile[]): Given[] =>
  files.map(({ name, buffer }) => ({ name, path: name, base64: buffer.toString('base64') }));

/** Opens files from code with `gammascope.open`. */
export async function openFromCode(
  page: Page,
  files: TestFile[],
  options?: { weights?: boolean },
): Promise<Report> {
  return page.evaluate(
    async ({ list, chosen }) => {
      const made = list.map(({ name, base64 }) => ({
        path: name,
        file: new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name),
      }));
      return window.gammascope.open(made, chosen);
    },
    { list: given(files), chosen: options },
  );
}

/** Drops or pastes files from bytes. `over` also sends the drag before the drop. */
export async function transfer(page: Page, files: TestFile[], type: 'drop' | 'paste'): Promise<void> {
  await page.evaluate(
    ({ list, type: event }) => {
      const data = new DataTransfer();
      for (const { name, base64 } of list) {
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      }
      const init = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(
        event === 'paste'
          ? new ClipboardEvent('paste', { ...init, clipboardData: data })
          : new DragEvent('drop', { ...init, dataTransfer: data }),
      );
    },
    { list: given(files), type },
  );
}

/** Drops a folder of this machine, as a file manager does. */
export async function dropFolder(page: Page, folder: string): Promise<void> {
  const browser = await page.context().newCDPSession(page);
  const data = { items: [], files: [folder], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await browser.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    if (type === 'dragOver') await expect(page.locator('.veil')).toBeVisible();
  }
}

/** The open report, as the page saves it. */
export async function savedReport(page: Page): Promise<Report> {
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Report as JSON' }).click();
  return JSON.parse(await readFile(await (await downloading).path(), 'utf8')) as Report;
}

/** The shown verdict. */
export const sentence = (page: Page) => page.locator('#sentence');

/** The buttons that open the rows of the table of sites, top to bottom. */
export const siteRows = (page: Page) =>
  page.locator('#sites .datatable > .scroll > table > tbody > tr:not(.detail) > th button');

/** Clicks Run. */
export const pressRun = (page: Page) => page.locator('#verify').getByRole('button', { name: 'Run', exact: true }).click();

/** Unfolds the options of a tool. */
export async function chooseOptions(page: Page, tool = '#verify'): Promise<void> {
  const options = page.locator(`${tool} details`, { hasText: 'Options' });
  if ((await options.getAttribute('open')) === null) await options.locator('summary').click();
}

/** Shows more columns of the first table in a section: those with these labels, or all columns. */
export async function chooseColumns(page: Page, section: string, ...labels: string[]): Promise<void> {
  const table = page.locator(`${section} .datatable`).first();
  const chooser = table.getByRole('button', { name: 'Columns' });
  await chooser.click();
  const choices = table.locator('.choices label');
  const named = labels.map((label) => choices.filter({ has: page.getByText(label, { exact: true }) }));
  for (const choice of labels.length > 0 ? named : await choices.all()) await choice.getByRole('checkbox').check();
  await chooser.click();
}
