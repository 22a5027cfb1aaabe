/** The table of sites: sorted, filtered, walked with the keyboard, and never longer in the document than a window. */
import { gpt2, manySites } from './helpers/checkpoints.ts';
import { expect, openFromCode, siteRows, test } from './helpers/page.ts';

test('a click on a heading sorts by it, a second one turns the order round', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const ascending = [...norms]
    .sort((a, b) => (a.kernel.scale_min_abs ?? 0) - (b.kernel.scale_min_abs ?? 0))
    .map(({ name }) => name);
  const heading = page.locator('#sites thead th', { hasText: 'min |γ|' });
  await heading.getByRole('button').click();
  await expect(heading).toHaveAttribute('aria-sort', 'ascending');
  await expect(siteRows(page)).toHaveText(ascending);
  await heading.getByRole('button').click();
  await expect(heading).toHaveAttribute('aria-sort', 'descending');
  await expect(siteRows(page)).toHaveText(ascending.reverse());
});

test('names sort by their numbers', async ({ page }) => {
  await openFromCode(page, gpt2({ layers: 12, width: 8 }));
  await page.locator('#sites thead').getByRole('button', { name: 'Site' }).click();
  await expect(siteRows(page).nth(4)).toHaveText('h.2.ln_1');
});

test('text and chips filter together', async ({ page }) => {
  await openFromCode(page, gpt2());
  const tally = page.locator('#sites .tally');
  await page.getByRole('searchbox', { name: 'Filter sites' }).fill('ln_2');
  await expect(siteRows(page)).toHaveText(['h.0.ln_2', 'h.1.ln_2', 'h.2.ln_2']);
  await expect(tally).toHaveText('3 of 7 sites');
  const final = page.locator('#sites .chip', { hasText: 'final' });
  await final.click();
  await expect(final).toHaveAttribute('aria-pressed', 'true');
  await expect(tally).toHaveText('0 of 7 sites');
  await page.getByRole('searchbox', { name: 'Filter sites' }).fill('');
  await expect(siteRows(page)).toHaveText(['ln_f']);
});

test('the keyboard walks the rows and Enter opens the one it is on', async ({ page }) => {
  await openFromCode(page, gpt2());
  const rows = siteRows(page);
  await rows.first().focus();
  await page.keyboard.press('ArrowDown');
  await expect(rows.nth(1)).toBeFocused();
  await page.keyboard.press('End');
  await expect(rows.last()).toBeFocused();
  await page.keyboard.press('Home');
  await expect(rows.first()).toBeFocused();
  await page.keyboard.press('PageDown');
  await expect(rows.last()).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(rows.last()).toHaveAttribute('aria-expanded', 'true');
  await page.keyboard.press('ArrowLeft');
  await expect(rows.last()).toHaveAttribute('aria-expanded', 'false');
  await expect(rows.last()).toHaveAttribute('tabindex', '0');
  await expect(rows.first()).toHaveAttribute('tabindex', '-1');
});

test('an open row shows its evidence with its strength, its figures and its readers', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const site = norms[0];
  await siteRows(page).first().click();
  const panel = page.locator('tr.detail');
  for (const { source, detail } of site?.evidence ?? []) {
    const piece = panel.locator('.evidence li').filter({ has: page.locator('.source').getByText(source, { exact: true }) });
    await expect(piece).toContainText(detail.replaceAll('`', ''));
  }
  await expect(panel.locator('.bar.layernorm').first()).toBeVisible();
  await expect(panel.locator('figure')).toHaveCount(4);
  await expect(panel.locator('figure svg[role=img]')).toHaveCount(4);
  for (const { name } of site?.readers ?? []) await expect(panel.getByRole('rowheader', { name })).toBeVisible();
});

test('a reader in the table of dead directions leads to the site it reads', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const site = norms.find(({ readers }) => readers.length > 0);
  await page.getByRole('searchbox', { name: 'Filter sites' }).fill('nothing is called this');
  await page.locator('#dead summary').first().click();
  await page.locator('#dead tbody button', { hasText: site?.readers[0]?.name ?? '?' }).click();
  const row = siteRows(page).filter({ hasText: site?.name ?? '?' });
  await expect(row).toBeFocused();
  await expect(row).toHaveAttribute('aria-expanded', 'true');
});

test('a very long table keeps one window of rows and still reaches its end', async ({ page }) => {
  const count = 5000;
  const { norms } = await openFromCode(page, manySites(count));
  expect(norms).toHaveLength(count);
  const rows = siteRows(page);
  await expect(rows).toHaveCount(200);
  await rows.first().focus();
  await page.keyboard.press('End');
  await expect(page.locator(`#sites [data-place="${count - 1}"]`)).toBeFocused();
  await expect(rows).toHaveCount(200);
  await page.keyboard.press('Home');
  await page.locator('#sites .pager').getByRole('button', { name: 'Next 200' }).click();
  await expect(page.locator('#sites .pager')).toContainText('201–400 of 5,000');
});
