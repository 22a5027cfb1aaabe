/** Figures: their size on the page, values by pointer and keyboard, their data, and the downloads. */
import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { gpt2 } from './helpers/checkpoints.ts';
import { expect, openFromCode, siteRows, test } from './helpers/page.ts';

const figure = (page: Page) => page.locator('#kernel figure');

async function downloaded(page: Page, click: () => Promise<void>): Promise<{ name: string; content: Buffer }> {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  return { name: download.suggestedFilename(), content: await readFile(await download.path()) };
}

test('a figure has the width of its place and is drawn again when that changes', async ({ page }) => {
  await openFromCode(page, gpt2());
  const svg = figure(page).locator('svg');
  const drawnWidth = async () => Number(await svg.getAttribute('data-width'));
  const place = async () => Math.round((await figure(page).locator('.stage').boundingBox())?.width ?? 0);
  await expect.poll(drawnWidth).toBe(await place());
  await page.setViewportSize({ width: 700, height: 700 });
  await expect.poll(drawnWidth).toBe(await place());
  expect(await place()).toBeLessThan(700);
});

test('the pointer shows the nearest value', async ({ page }) => {
  await openFromCode(page, gpt2());
  const stage = figure(page).locator('.stage');
  await expect(stage.locator('svg')).toBeVisible();
  await stage.hover({ position: { x: 200, y: 100 } });
  await expect(figure(page).locator('.readout b').first()).not.toBeEmpty();
  await expect(figure(page).locator('.here')).toBeVisible();
});

test('arrow keys show every value, and screen readers read only those', async ({ page }) => {
  await openFromCode(page, gpt2());
  const stage = figure(page).locator('.stage');
  const [readout, spoken] = [figure(page).locator('.readout'), figure(page).locator('.spoken')];
  await expect(stage.locator('svg')).toBeVisible();
  await stage.hover({ position: { x: 200, y: 100 } });
  await expect(readout).toBeVisible();
  await expect(spoken).toHaveAttribute('aria-live', 'polite');
  await expect(spoken).toBeEmpty();
  await stage.focus();
  await page.keyboard.press('Home');
  const first = await readout.innerText();
  await expect(spoken).toContainText('channel');
  await page.keyboard.press('End');
  await expect(readout).not.toHaveText(first);
  await page.keyboard.press('Escape');
  await expect(figure(page).locator('.here')).toBeHidden();
  await expect(readout).toBeHidden();
});

for (const width of [1280, 360]) {
  test(`a reading stays inside the window at every edge, ${width} pixels wide`, async ({ page }) => {
    await page.setViewportSize({ width, height: 640 });
    await openFromCode(page, gpt2());
    const stage = figure(page).locator('.stage');
    await expect(stage.locator('svg')).toBeVisible();
    await stage.focus();
    for (const key of ['Home', 'End']) {
      await page.keyboard.press(key);
      await expect(figure(page).locator('.readout')).toBeInViewport({ ratio: 1 });
    }
    const box = await stage.boundingBox();
    await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) - 2, (box?.y ?? 0) + 20);
    await expect(figure(page).locator('.readout')).toBeInViewport({ ratio: 1 });
  });
}

test('the data of a figure are on the page', async ({ page }) => {
  await openFromCode(page, gpt2());
  await figure(page).locator('summary').click();
  await expect(figure(page).locator('details tbody tr')).toHaveCount(32);
});

test('a mark of the site map opens that site', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const map = page.locator('#sites figure[data-kind=site_map]');
  await expect(map.locator('svg')).toBeVisible();
  await map.locator('.stage').focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page.locator('#sites th button[aria-expanded=true]')).toHaveCount(1);
  const name = await page.locator('#sites th button[aria-expanded=true]').innerText();
  expect(norms.map((norm) => norm.name)).toContain(name);
});

test('the SVG download is standalone: no CSS variables, and the background of the page', async ({ page }) => {
  await openFromCode(page, gpt2());
  await page.emulateMedia({ colorScheme: 'dark' });
  const { name, content } = await downloaded(page, () => figure(page).getByRole('button', { name: 'SVG' }).click());
  const text = content.toString();
  expect(name).toMatch(/ln_f-kernel_direction\.svg$/);
  expect(text).toMatch(/^<svg /);
  expect(text).not.toContain('var(');
  expect(text).toContain('fill="rgb(26, 30, 35)"');
  const valid = await page.evaluate(
    (source) => !new DOMParser().parseFromString(source, 'image/svg+xml').querySelector('parsererror'),
    text,
  );
  expect(valid).toBe(true);
});

test('the PNG download has twice the size of the figure', async ({ page }) => {
  await openFromCode(page, gpt2());
  const width = Number(await figure(page).locator('svg').getAttribute('data-width'));
  const { name, content } = await downloaded(page, () => figure(page).getByRole('button', { name: 'PNG' }).click());
  expect(name).toMatch(/\.png$/);
  expect(content.subarray(1, 4).toString()).toBe('PNG');
  expect(content.readUInt32BE(16)).toBe(2 * width);
});

test('the CSV download holds every row of the data', async ({ page }) => {
  await openFromCode(page, gpt2());
  const { name, content } = await downloaded(page, () => figure(page).getByRole('button', { name: 'CSV' }).click());
  expect(name).toMatch(/\.csv$/);
  const lines = content.toString().trim().split(/\r?\n/);
  expect(lines).toHaveLength(33);
});

test('the JSON download is the report', async ({ page }) => {
  const report = await openFromCode(page, gpt2());
  const { name, content } = await downloaded(page, () => page.getByRole('button', { name: 'Report as JSON' }).click());
  expect(name).toMatch(/\.json$/);
  expect(JSON.parse(content.toString())).toEqual(report);
});

test('the figures of an open row are those of its site', async ({ page }) => {
  await openFromCode(page, gpt2());
  await siteRows(page).nth(2).click();
  const panel = page.locator('tr.detail');
  const { name } = await downloaded(page, () => panel.getByRole('button', { name: 'CSV' }).first().click());
  expect(name).toContain('h.1.ln_1');
});

test('if the code that draws does not load, the verdict stays, and the figure shows the error and can be tried again', async ({ page, context }) => {
  await context.route('**/figures_bg-*.wasm', (route) => route.abort());
  const { norms } = await openFromCode(page, gpt2());
  const kernel = page.locator('#kernel');
  await expect(kernel).toContainText('No figure: The code that draws figures did not load');
  await expect(siteRows(page)).toHaveCount(norms.length);
  await context.unroute('**/figures_bg-*.wasm');
  await kernel.getByRole('button', { name: 'Try again' }).click();
  await expect(figure(page).locator('svg')).toBeVisible();
});
