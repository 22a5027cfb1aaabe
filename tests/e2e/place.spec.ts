/** The title and the history of the page, and links to a site and a section. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { gpt2 } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, siteRows, test } from './helpers/page.ts';
import { FileServer } from './helpers/server.ts';

const fragment = (page: Page) => decodeURIComponent(new URL(page.url()).hash);

/** A checkpoint in its own folder, as `gammascope.open` takes it. */
const inFolder = (folder: string, layers: number) =>
  gpt2({ layers }).map((file) => ({ ...file, name: `${folder}/${file.name}` }));

test('title and history follow what the page shows: the welcome, a report, its sections and sites, another report', async ({ page }) => {
  const welcome = await page.title();
  await openFromCode(page, inFolder('alpha', 3));
  await expect(page).toHaveTitle('alpha · Gammascope');
  await page.locator('#dead-heading').waitFor();
  await page.evaluate(() => document.querySelector<HTMLElement>('a[href="#dead"]')?.click());
  await expect(page.locator('#dead-heading')).toBeInViewport();
  expect(fragment(page)).toBe('#dead');
  await page.locator('#dead').evaluate((section) => section.querySelectorAll('details').forEach((folded) => (folded.open = true)));
  await page.locator('#dead tbody button', { hasText: 'h.1.mlp.c_fc' }).click();
  const row = siteRows(page).filter({ hasText: 'h.1.ln_2' });
  await expect(row).toBeInViewport();
  expect(fragment(page)).toBe('#site=h.1.ln_2');

  await page.goBack();
  expect(fragment(page)).toBe('#dead');
  await expect(page.locator('#dead')).toBeInViewport();
  await page.goForward();
  await expect(row).toBeFocused();
  await expect(row).toBeInViewport();

  await openFromCode(page, inFolder('beta', 1));
  await expect(page).toHaveTitle('beta · Gammascope');
  expect(fragment(page)).toBe('');
  await page.goBack();
  await expect(page).toHaveTitle('alpha · Gammascope');
  await expect(siteRows(page)).toHaveCount(7);
  await expect(row, 'at the site it was at').toHaveAttribute('aria-expanded', 'true');
  await page.goForward();
  await expect(siteRows(page)).toHaveCount(3);

  // The wordmark goes to the start without a reload.
  await page.getByRole('link', { name: 'Gammascope' }).click();
  await expect(page.getByRole('button', { name: 'Choose files…' })).toBeVisible();
  await expect(sentence(page)).toHaveCount(0);
  expect(await page.title()).toBe(welcome);
  await page.goBack();
  await expect(page).toHaveTitle('beta · Gammascope');
  await expect(sentence(page)).toContainText('3 norm');
  await page.goForward();
  await expect(page).toHaveTitle(welcome);
});

test('a link goes to the row of a site and stays there while figures above it load; Back returns to it', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  const address = server.put('/m/model.safetensors', readFileSync('samples/layernorm/model.safetensors'));
  server.put('/m/config.json', readFileSync('samples/layernorm/config.json'));
  await page.setViewportSize({ width: 900, height: 500 });
  await page.goto(`./?fresh#open=${encodeURIComponent(address)}&site=transformer.h.3.ln_2`);
  const row = siteRows(page).filter({ hasText: 'transformer.h.3.ln_2' });
  await expect(row).toHaveAttribute('aria-expanded', 'true');
  await expect(page.locator('#kernel svg[role=img]')).toBeVisible();
  await expect(page.locator('#sites > .figure svg[role=img]')).toBeVisible();
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeAttached();
  await expect(row).toBeInViewport();

  // The content above grows, and the row stays in view.
  const top = async () => (await row.boundingBox())?.y ?? 0;
  const before = await top();
  await page.evaluate(() => {
    const late = document.createElement('div');
    late.style.height = '700px';
    document.querySelector('#kernel')?.before(late);
  });
  await expect.poll(async () => Math.abs((await top()) - before)).toBeLessThan(60);

  await page.evaluate(() => document.querySelector<HTMLElement>('a[href="#dead"]')?.click());
  expect(fragment(page)).toBe(`#open=${address}&section=dead`);
  await page.goBack();
  expect(fragment(page)).toContain('&site=transformer.h.3.ln_2');
  await page.reload();
  await expect(row).toHaveAttribute('aria-expanded', 'true');
  await expect(row).toBeInViewport();
  await page.goto(`./?section#open=${encodeURIComponent(address)}&section=dead`);
  await expect(page.locator('#kernel svg[role=img]')).toBeVisible();
  await expect(page.locator('#dead-heading')).toBeInViewport();
  server.close();
});

test('every site and section has a button that copies a link; a link to a site of a file waits until the file is open', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = async () => decodeURIComponent(new URL(await page.evaluate(() => navigator.clipboard.readText())).hash);
  await openFromCode(page, gpt2());
  await page.locator('#sites').getByRole('button', { name: 'Copy link to this section' }).click();
  expect(await copied()).toBe('#sites');
  await siteRows(page).nth(2).click();
  await page.locator('tr.detail').getByRole('button', { name: 'Copy link to h.1.ln_1' }).click();
  expect(await copied()).toBe('#site=h.1.ln_1');
  const headings = page.locator('.report section:not(.panel section):has(> .heading)');
  await expect(headings.getByRole('button', { name: 'Copy link to this section' })).toHaveCount(await headings.count());

  await page.goto('./?fresh#site=h.1.ln_1');
  await expect(page.locator('#awaited')).toContainText('h.1.ln_1');
  await openFromCode(page, gpt2());
  await expect(siteRows(page).nth(2)).toHaveAttribute('aria-expanded', 'true');
  await expect(siteRows(page).nth(2)).toBeInViewport();
});

test('a link of the first version still opens and stays in the address', async ({ page }) => {
  const link = readFileSync('tests/links/version-1.txt', 'utf8').trim();
  const hash = link.slice(link.indexOf('#'));
  await page.goto(`./?fresh${hash}`);
  await expect(page.locator('#shared')).toBeVisible();
  expect(new URL(page.url()).hash).toBe(hash);
  await page.getByRole('link', { name: 'Gammascope' }).click();
  await expect(page.locator('#shared')).toHaveCount(0);
  await page.goBack();
  await expect(page.locator('#shared')).toBeVisible();
});
