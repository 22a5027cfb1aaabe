/** The table of sites: sorting, filters, the keyboard, and a window of rows in the document. */
import { gpt2, manySites } from './helpers/checkpoints.ts';
import { readFile } from 'node:fs/promises';
import { chooseColumns, expect, openFromCode, siteRows, test } from './helpers/page.ts';

test('a click on a heading sorts by it, a second click reverses the order', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const ascending = [...norms]
    .sort((a, b) => (a.kernel.scale_min_abs ?? 0) - (b.kernel.scale_min_abs ?? 0))
    .map(({ name }) => name);
  await chooseColumns(page, '#sites', 'min |γ|');
  const heading = page.locator('#sites thead th', { hasText: 'min |γ|' });
  await heading.getByRole('button').click();
  await expect(heading).toHaveAttribute('aria-sort', 'ascending');
  await expect(siteRows(page)).toHaveText(ascending);
  await heading.getByRole('button').click();
  await expect(heading).toHaveAttribute('aria-sort', 'descending');
  await expect(siteRows(page)).toHaveText(ascending.reverse());
  await heading.getByRole('button').click();
  await expect(siteRows(page), 'a third one restores the order of the network').toHaveText(norms.map(({ name }) => name));
});

test('names sort by their numbers', async ({ page }) => {
  await openFromCode(page, gpt2({ layers: 12, width: 8 }));
  await page.locator('#sites').getByRole('button', { name: 'Group blocks' }).click();
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

test('the arrow keys move along the rows, and Enter opens a row', async ({ page }) => {
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

test('a reader in the table of dead directions links to the site that it reads', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2());
  const site = norms.find(({ readers }) => readers.length > 0);
  await page.getByRole('searchbox', { name: 'Filter sites' }).fill('nothing is called this');
  await page.locator('#dead summary').first().click();
  await page.locator('#dead tbody button', { hasText: site?.readers[0]?.name ?? '?' }).click();
  const row = siteRows(page).filter({ hasText: site?.name ?? '?' });
  await expect(row).toBeFocused();
  await expect(row).toHaveAttribute('aria-expanded', 'true');
});

test('a very long table has a window of rows in the document and can scroll to its end', async ({ page }) => {
  const count = 5000;
  const { norms } = await openFromCode(page, manySites(count));
  expect(norms).toHaveLength(count);
  const rows = siteRows(page);
  await rows.first().focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('#sites table[aria-rowcount]').first()).toHaveAttribute('aria-rowcount', String(count + 2));
  expect(await rows.count()).toBeLessThan(100);
  await page.keyboard.press('End');
  const last = page.locator(`#sites [data-place="${count}"]`);
  await expect(last).toBeFocused();
  await expect(last).toBeInViewport();
  expect(await rows.count()).toBeLessThan(100);
  await page.keyboard.press('Enter');
  await expect(page.locator('tr.detail')).toBeVisible();
  await page.keyboard.press('ArrowUp');
  await expect(page.locator(`#sites [data-place="${count - 1}"]`)).toBeFocused();
  await page.keyboard.press('Home');
  await expect(rows.first()).toBeFocused();
});

test('a table starts with few columns, and the choice of others is stored', async ({ page }) => {
  await openFromCode(page, gpt2());
  const headings = page.locator('#sites thead th');
  await expect(headings).toHaveText([/^Site/, /^Kind/, /^What is dead/]);
  await chooseColumns(page, '#sites', 'min |γ|', 'Role');
  await page.reload();
  const { norms } = await openFromCode(page, gpt2());
  await expect(headings).toHaveText([/^Site/, /^Kind/, /^What is dead/, /^Role/, /^min \|γ\|/]);
  // All rows have the same number of decimals.
  const decimals = (await page.locator('#sites tbody td.numeric').allInnerTexts()).map((text) => text.split('.')[1]?.length);
  expect(decimals).toHaveLength(norms.length);
  expect(new Set(decimals).size).toBe(1);
});

test('the CSV of a table has the shown rows, filtered and sorted', async ({ page }) => {
  await openFromCode(page, gpt2());
  await page.getByRole('searchbox', { name: 'Filter sites' }).fill('ln_2');
  const site = page.locator('#sites thead').getByRole('button', { name: 'Site' });
  await site.click();
  await site.click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.locator('#sites').getByRole('button', { name: 'Download CSV: Norm sites', exact: true }).click(),
  ]);
  const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
  expect(lines).toEqual(['Site,Kind,What is dead', ...[2, 1, 0].map((layer) => `h.${layer}.ln_2,LayerNorm,1 direction`)]);
});

test('similar sites of many blocks are one group with their range; a click or a link to a site opens the group', async ({ page }) => {
  const { norms } = await openFromCode(page, gpt2({ layers: 12, width: 8 }));
  await chooseColumns(page, '#sites', 'min |γ|');
  await expect(siteRows(page)).toHaveText(['h.*.ln_1 × 12', 'h.*.ln_2 × 12', 'ln_f']);
  await expect(page.locator('#sites tbody tr').first()).toContainText('…');
  await siteRows(page).first().click();
  await expect(siteRows(page)).toHaveCount(15);
  await siteRows(page).first().click();
  await expect(siteRows(page)).toHaveCount(3);
  const site = norms.find(({ name }) => name === 'h.7.ln_2');
  await page.locator('#dead details').evaluateAll((all) => all.forEach((details) => details.setAttribute('open', '')));
  const readers = page.locator('#dead tbody');
  await readers.getByRole('button', { name: 'h.*.mlp.c_fc.weight' }).click();
  await readers.getByRole('button', { name: site?.readers[0]?.name ?? '?' }).click();
  const row = siteRows(page).filter({ hasText: 'h.7.ln_2' });
  await expect(row).toBeFocused();
  await expect(row).toHaveAttribute('aria-expanded', 'true');
});
