/** Everything in the file: the list of all tensors, the values of small ones, the configuration and metadata, one block as a diagram. */
import { readFile } from 'node:fs/promises';
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { gpt2, manyTensors } from './helpers/checkpoints.ts';
import { expect, openFromCode, test } from './helpers/page.ts';
import type { Tensor } from './helpers/safetensors.ts';

const part = (page: Page, name: string) => page.locator('#file > details').filter({ has: page.getByText(name, { exact: true }) });

const open = (page: Page, name: string) => part(page, name).locator('summary').first().click();

const rows = (page: Page) => page.locator('#file .datatable > .scroll > table > tbody > tr:not(.detail) > th button');

test('a table of 100,000 tensors has a window of rows, filters, sorts, and scrolls to its end', async ({ page }) => {
  const count = 100_000;
  await openFromCode(page, manyTensors(count));
  await open(page, 'Tensors');
  const table = page.locator('#file table[aria-rowcount]');
  await expect(table).toHaveAttribute('aria-rowcount', String(count + 2));
  expect(await rows(page).count()).toBeLessThan(100);
  await rows(page).first().focus();
  await page.keyboard.press('End');
  await expect(rows(page).last()).toHaveText(`table.${count - 1}.rows`);
  await expect(rows(page).last()).toBeFocused();
  expect(await rows(page).count()).toBeLessThan(100);
  const values = page.locator('#file thead').getByRole('button', { name: 'Bytes' });
  await values.click();
  await expect(rows(page).first()).toHaveText('norm.weight');
  await page.getByRole('searchbox', { name: 'Filter tensors' }).fill('77777');
  await expect(rows(page)).toHaveText(['table.77777.rows']);
  await expect(page.locator('#file .tally')).toHaveText('1 of 100,001 tensors');
});

test('the values of a scale are those of the file, and its row names its norm', async ({ page }) => {
  let scale: Tensor | undefined;
  await openFromCode(page, gpt2({ tune: (tensors) => (scale = tensors['h.1.ln_2.weight']) }));
  await open(page, 'Tensors');
  await page.getByRole('searchbox', { name: 'Filter tensors' }).fill('h.1.ln_2.weight');
  const line = page.locator('#file tbody tr').first();
  await expect(line).toContainText(/F32\s*32\s*128 B\s*scale/);
  await rows(page).first().click();
  await expect(page.locator('#file figure svg[role=img]')).toBeVisible();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download CSV: Values of h.1.ln_2.weight' }).click(),
  ]);
  const [heading, ...lines] = (await readFile(await download.path(), 'utf8')).trim().split('\n');
  expect(heading).toBe('index,value');
  expect(lines.map((text) => Number(text.split(',')[1]))).toEqual([...(scale?.data ?? [])]);
  await page.locator('#file tr.detail').getByRole('button', { name: 'h.1.ln_2', exact: true }).click();
  await expect(page.locator('#sites th button[aria-expanded=true]')).toHaveText('h.1.ln_2');
});

test('the configuration is a tree with a search, and the diagram of a block has its norms, readers and dead directions', async ({ page }) => {
  await openFromCode(page, gpt2(), { weights: true });
  await open(page, 'Configuration and metadata');
  const tree = part(page, 'Configuration and metadata');
  await expect(tree.locator('li', { hasText: 'n_embd' })).toContainText('32');
  await tree.getByRole('searchbox').fill('epsilon');
  await expect(tree.locator('li')).toHaveText([/layer_norm_epsilon\s*0.00001|layer_norm_epsilon\s*1e-5/]);
  await open(page, 'One block as a diagram');
  const block = part(page, 'One block as a diagram');
  await block.getByRole('combobox', { name: 'Block' }).selectOption('block 2');
  const drawing = block.getByRole('img');
  for (const name of ['h.2.ln_1', 'h.2.ln_2', 'h.2.attn.c_attn.weight', 'h.2.mlp.c_fc.weight', 'h.2.mlp.c_proj.weight'])
    await expect(drawing.locator('title', { hasText: name })).toHaveCount(1);
  await expect(drawing.locator('path.dead.end')).toHaveCount(2);
  expect((await new AxeBuilder({ page }).include('#file').analyze()).violations.map(({ id }) => id)).toEqual([]);
});
