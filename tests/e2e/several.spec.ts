/** Several checkpoints in one drop: the page asks about two, and shows a table of more. */
import { readFileSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import { type TestFile, gpt2, manySites, truncated } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, siteRows, test, transfer } from './helpers/page.ts';

const named = (name: string, layers: number) => gpt2({ layers, name }).slice(0, 1);

test('the page lists two checkpoints, and can open each or compare them', async ({ page }) => {
  const both = [...named('step-1000.safetensors', 2), ...named('step-900.safetensors', 1)];
  await transfer(page, both, 'drop');
  const asked = page.getByRole('alertdialog');
  await expect(asked.getByRole('listitem')).toContainText(['step-900.safetensors', 'step-1000.safetensors']);
  expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id)).toEqual([]);
  await asked.getByRole('button', { name: 'Open step-1000.safetensors' }).click();
  await expect(siteRows(page)).toHaveCount(5);
  await expect(asked).toHaveCount(0);

  // These names are so different that they must be two models.
  await page.locator('.pick-opened').first().setInputFiles([...named('alpha.safetensors', 1), ...named('beta.safetensors', 2)]);
  await expect(asked.getByRole('button', { name: 'Open both as one model' })).toHaveCount(0);
  await asked.getByRole('button', { name: 'Open alpha.safetensors' }).click();
  await expect(siteRows(page)).toHaveCount(3);
});

/** Five checkpoints in one folder, one of them broken. */
function folder(): TestFile[] {
  const [broken] = truncated();
  const [rms] = manySites(4);
  const all: Record<string, TestFile[]> = {
    'run/step-1': gpt2({ layers: 1 }),
    'run/step-2': gpt2({ layers: 2 }),
    'run/step-10': gpt2({ layers: 3 }),
    'run/llama': [...manySites(4).slice(1), ...(rms ? [rms] : [])],
    'run/broken': broken ? [{ ...broken, name: 'model.safetensors' }] : [],
  };
  return Object.entries(all).flatMap(([path, files]) => files.map((file) => ({ ...file, name: `${path}/${file.name}` })));
}

test('a folder of five checkpoints gives a table with one line each; rows sort, open and fail separately, and Back returns', async ({ page }) => {
  const said = await openFromCode(page, folder()).catch((error: Error) => error.message);
  expect(said).toContain('5 checkpoints');
  await expect(page).toHaveTitle('run · Gammascope');
  const rows = page.locator('#scan tbody tr');
  await expect(rows).toHaveCount(5);
  await expect(page.locator('#scan progress')).toHaveCount(0);
  const step = rows.filter({ hasText: 'step-10' });
  await expect(step).toContainText('LayerNorm');
  await expect(step.getByRole('cell').nth(1)).toHaveText('7');
  await expect(rows.filter({ hasText: 'llama' })).toContainText('RMSNorm');
  await expect(rows.filter({ hasText: 'broken' })).toContainText('model.safetensors');
  expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id)).toEqual([]);

  await page.locator('#scan thead').getByRole('button', { name: 'Norm sites' }).click();
  await expect(rows.getByRole('rowheader')).toHaveText(['step-1', 'llama', 'step-2', 'step-10', 'broken']);
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download CSV: Checkpoints' }).click();
  const csv = readFileSync(await (await saved).path(), 'utf8').split(/\r?\n/);
  expect(csv[0]).toBe('Checkpoint,Verdict,Norm sites,Dead share,Warnings,Size');
  expect(csv.find((line) => line.startsWith('step-10,LayerNorm,'))).toMatch(/,7,/);
  expect(csv).toHaveLength(7);

  await page.getByRole('button', { name: 'step-10' }).click();
  await expect(siteRows(page)).toHaveCount(7);
  await expect(page).toHaveTitle('run/step-10 · Gammascope');
  await page.goBack();
  await expect(rows).toHaveCount(5);
  await expect(step).toContainText('LayerNorm');
  await page.goForward();
  await expect(sentence(page)).toContainText('7 norm');
});
