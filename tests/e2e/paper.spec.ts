/** The page in little space: on a phone, zoomed in, and on paper. */
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { gpt2 } from './helpers/checkpoints.ts';
import { expect, openFromCode, siteRows, test } from './helpers/page.ts';

const overflow = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true });

  test('the sections are in a menu, and links can be copied without hovering', async ({ page }) => {
    await openFromCode(page, gpt2());
    await page.getByRole('button', { name: 'Sections' }).click();
    const menu = page.getByRole('navigation', { name: 'Sections' });
    await expect(menu.getByRole('link', { name: 'How' })).toBeInViewport();
    expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id)).toEqual([]);
    await page.locator('#dead-heading').waitFor();
    await menu.getByRole('link', { name: 'Dead' }).click();
    await expect(menu).toBeHidden();
    await expect(page.locator('#dead-heading')).toBeInViewport();
    await expect(page.locator('#dead .copy-link').first()).toHaveCSS('opacity', '1');
  });
});

test('at 200 % zoom, nothing is cut off', async ({ page }) => {
  await openFromCode(page, gpt2());
  await siteRows(page).first().click();
  for (const [width, height] of [
    [720, 450],
    [640, 400],
  ] as const) {
    await page.setViewportSize({ width, height });
    expect(await overflow(page)).toBe(0);
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('header.bar *, h1, h2, p')].filter((element) => {
        const { left, right, width: wide } = element.getBoundingClientRect();
        return wide > 0 && element.checkVisibility() && !element.closest('.scroll, .sr-only, [popover]') && (left < 0 || right > innerWidth + 1);
      }).length,
    );
    expect(cut).toBe(0);
    await page.getByRole('button', { name: 'Sections' }).click();
    const menu = page.getByRole('navigation', { name: 'Sections' });
    await menu.getByRole('link').last().scrollIntoViewIfNeeded();
    await expect(menu.getByRole('link').last()).toBeInViewport();
    await page.keyboard.press('Escape');
  }
});

test('in print, every row is there, everything is unfolded, and no box scrolls', async ({ page }) => {
  await openFromCode(page, gpt2({ layers: 20, width: 8 }));
  await siteRows(page).last().click();
  await expect(page.locator('tr.detail svg[role=img]')).toHaveCount(4);
  await page.locator('#dead-heading').waitFor();
  // A4 at 96 pixels an inch, without its margins.
  await page.setViewportSize({ width: 703, height: 1017 });
  await page.emulateMedia({ media: 'print' });
  const found = await page.evaluate(() => {
    const boxes = [...document.querySelectorAll('main .scroll')];
    return {
      scrolls: boxes.filter((box) => box.checkVisibility() && (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)).length,
      folded: document.querySelectorAll('main details:not([open], .data, .options, #how *, :has(.hook))').length,
      wider: document.documentElement.scrollWidth - innerWidth,
    };
  });
  expect(found).toEqual({ scrolls: 0, folded: 0, wider: 0 });
  await expect(siteRows(page)).toHaveCount(41);
  await page.emulateMedia({ media: 'screen' });
  expect(await page.locator('main details:not(.data)[open]').count(), 'as it was').toBe(0);
  for (const format of ['A4', 'Letter']) expect((await page.pdf({ format })).length).toBeGreaterThan(10_000);
});
