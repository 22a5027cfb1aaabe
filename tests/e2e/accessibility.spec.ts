/** The page is accessible in every state, has themes, and is never wider than the screen. */
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { gpt2, truncated } from './helpers/checkpoints.ts';
import { expect, openFromCode, siteRows, test, transfer } from './helpers/page.ts';

const PHONES = [320, 360, 400];

async function violations(page: Page) {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' · ')}`);
}

async function openWithRow(page: Page): Promise<void> {
  await openFromCode(page, gpt2());
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail svg[role=img]')).toHaveCount(4);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(`in ${colorScheme}`, () => {
    test.use({ colorScheme });

    test('the welcome has no axe violations', async ({ page }) => {
      expect(await violations(page)).toEqual([]);
    });

    test('a report with an open row has no axe violations', async ({ page }) => {
      await openWithRow(page);
      expect(await violations(page)).toEqual([]);
    });

    test('a failure beside a report has no axe violations', async ({ page }) => {
      await openFromCode(page, gpt2());
      await transfer(page, truncated(), 'drop');
      await expect(page.getByRole('alert')).toBeVisible();
      expect(await violations(page)).toEqual([]);
    });
  });
}

for (const width of PHONES) {
  test.describe(`${width} pixels wide`, () => {
    test.use({ viewport: { width, height: 700 }, hasTouch: true });

    test('the page never scrolls sideways', async ({ page }) => {
      const overflow = () =>
        page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(await overflow()).toBe(0);
      await openWithRow(page);
      await page.locator('#how summary').click();
      await page.locator('#kernel summary').click();
      expect(await overflow()).toBe(0);
    });

    test('a report on a phone has no axe violations', async ({ page }) => {
      await openWithRow(page);
      expect(await violations(page)).toEqual([]);
    });
  });
}

test('every statistic shows its explanation on focus and on hover', async ({ page }) => {
  await openFromCode(page, gpt2());
  const word = page.locator('#kernel .facts').getByRole('button', { name: 'Participation' });
  const tip = page.getByRole('tooltip');
  // A figure that arrives may move the word away from the pointer, which hides the explanation.
  await expect(async () => {
    await page.mouse.move(0, 0);
    await word.hover();
    await expect(tip).toContainText('1/Σvᵢ⁴', { timeout: 2_000 });
  }).toPass();
  await page.keyboard.press('Escape');
  await expect(tip).toBeHidden();
  await page.locator('#kernel .facts').getByRole('button', { name: 'Kernel' }).focus();
  await page.keyboard.press('Tab');
  await expect(tip).toContainText('1/Σvᵢ⁴');
  await expect(word).toHaveAccessibleDescription(/1\/Σvᵢ⁴/);
});

test('the chosen theme survives a reload and applies to the figures', async ({ page }) => {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const button = page.getByRole('button', { name: /^Theme/ });
  const light = await paper();
  await button.click();
  await button.click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  expect(await paper()).not.toBe(light);
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('a report has landmarks and headings for screen readers', async ({ page }) => {
  await openFromCode(page, gpt2());
  await expect(page.getByRole('banner')).toBeVisible();
  await expect(page.getByRole('main')).toBeVisible();
  await expect(page.getByRole('contentinfo')).toBeVisible();
  await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  await expect(page.getByRole('status').filter({ hasText: 'Report ready' })).toHaveCount(1);
});

test('printing keeps the report and drops the controls', async ({ page }) => {
  await openFromCode(page, gpt2());
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await expect(page.getByRole('banner')).toBeHidden();
  await expect(page.locator('#sites table').first()).toBeVisible();
  const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  expect(paper).toBe('rgb(255, 255, 255)');
});
