/** All ways to open a checkpoint: samples, pickers, drops, pastes and code. Also opens that fail or are cancelled. */
import { mkdtemp, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { type TestFile, gpt2, truncated } from './helpers/checkpoints.ts';
import { dropFolder, expect, openFromCode, sentence, siteRows, test, transfer } from './helpers/page.ts';

/** Writes files into a new folder, one level down, and returns the outer folder. */
async function onDisk(files: TestFile[]): Promise<string> {
  const outer = await mkdtemp(join(tmpdir(), 'gammascope-'));
  await mkdir(join(outer, 'tiny-gpt2'));
  await Promise.all(files.map(({ name, buffer }) => writeFile(join(outer, 'tiny-gpt2', name), buffer)));
  return outer;
}

/** Delays the wasm until the returned function is called, so that a running open can be seen. */
async function holdWasm(page: Page): Promise<() => void> {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue().catch(() => undefined);
  });
  return release;
}

for (const kind of ['LayerNorm', 'RMSNorm']) {
  test(`the ${kind} sample opens with a click, and the page says that it is a sample`, async ({ page }) => {
    await page.getByRole('button', { name: `${kind} sample` }).click();
    await expect(sentence(page)).toContainText(kind);
    await expect(page.locator('.verdict .badge')).toHaveText(kind);
    await expect(page.locator('.reasons li').first()).not.toBeEmpty();
    await expect(sentence(page)).toBeFocused();
  });
}

test('the LayerNorm sample shows its kernel direction, the RMSNorm sample says why there is none', async ({ page }) => {
  await page.getByRole('button', { name: 'LayerNorm sample' }).click();
  await expect(page.locator('#kernel svg[role=img]')).toBeVisible();
  await expect(page.locator('#kernel figure')).toHaveAttribute('data-kind', 'kernel_direction');
  await page.getByRole('button', { name: 'Open…' }).click();
  await page.getByRole('button', { name: 'RMSNorm sample' }).click();
  await expect(page.locator('.verdict .badge')).toHaveText('RMSNorm');
  await expect(page.locator('#kernel figure')).toHaveAttribute('data-kind', 'scale_distribution');
  await expect(page.locator('#kernel .lead').nth(1)).not.toBeEmpty();
});

test('picked files open', async ({ page }) => {
  await page.locator('.pick-opened').first().setInputFiles(gpt2());
  await expect(sentence(page)).toContainText('LayerNorm');
  await expect(siteRows(page)).toHaveCount(7);
});

test('a picked folder opens', async ({ page }) => {
  await page
    .locator('.pick-opened-folder')
    .first()
    .setInputFiles(join(await onDisk(gpt2()), 'tiny-gpt2'));
  await expect(sentence(page)).toContainText('LayerNorm');
  await expect(page.locator('.kicker')).toContainText('tiny-gpt2');
});

test('dropped files open anywhere on the page', async ({ page }) => {
  await transfer(page, gpt2(), 'drop');
  await expect(sentence(page)).toContainText('LayerNorm');
});

test('a dropped folder opens with all its subfolders', async ({ page }) => {
  await dropFolder(page, await onDisk(gpt2()));
  await expect(sentence(page)).toContainText('LayerNorm');
  await expect(page.locator('.veil')).toBeHidden();
});

test('pasted files open', async ({ page }) => {
  await transfer(page, gpt2(), 'paste');
  await expect(sentence(page)).toContainText('LayerNorm');
});

test('code opens files and gets the report that the page shows', async ({ page }) => {
  const report = await openFromCode(page, gpt2());
  expect(report.schema).toBe('gammascope.report/1');
  expect(report.norms).toHaveLength(7);
  expect(report.model.verdict).toBe('layernorm');
  await expect(sentence(page)).toHaveText(report.model.sentence);
});

test('code can give the path of each file', async ({ page }) => {
  const [model, config] = gpt2();
  const report = await page.evaluate(
    async ([modelBytes, configText]) => {
      const bytes = Uint8Array.from(atob(modelBytes ?? ''), (c) => c.charCodeAt(0));
      return window.gammascope.open([
        { path: 'somewhere/model.safetensors', file: new File([bytes], 'a') },
        { path: 'somewhere/config.json', file: new File([configText ?? ''], 'b') },
      ]);
    },
    [model?.buffer.toString('base64'), config?.buffer.toString()],
  );
  expect(report.checkpoint.name).toContain('somewhere');
});

test('a failed drop shows an error and leaves the earlier report with its figures', async ({ page }) => {
  const { model } = await openFromCode(page, gpt2());
  await transfer(page, truncated(), 'drop');
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('truncated.safetensors');
  await expect(sentence(page)).toHaveText(model.sentence);
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
  await alert.getByRole('button', { name: 'Dismiss' }).click();
  await expect(alert).toBeHidden();
});

test('after a failed first drop the welcome stays, and the next success clears the alert', async ({ page }) => {
  await transfer(page, truncated(), 'drop');
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Choose files…' })).toBeVisible();
  await openFromCode(page, gpt2());
  await expect(page.getByRole('alert')).toBeHidden();
});

test('code gets the error that the page shows', async ({ page }) => {
  const message = await page.evaluate(() => window.gammascope.open([]).catch((error: Error) => error.message));
  await expect(page.getByRole('alert')).toContainText(String(message));
});

test('cancelling stops the open and leaves the earlier report with its figures', async ({ page }) => {
  const { model } = await openFromCode(page, gpt2());
  const release = await holdWasm(page);
  await transfer(page, gpt2({ layers: 1 }), 'drop');
  const cancel = page.getByRole('button', { name: 'Cancel' });
  await expect(cancel).toBeVisible();
  await cancel.click();
  await expect(cancel).toBeHidden();
  release();
  await expect(sentence(page)).toHaveText(model.sentence);
  await expect(siteRows(page)).toHaveCount(7);
  await expect(page.getByRole('alert')).toBeHidden();
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
});

test('a new drop cancels the running one', async ({ page }) => {
  const release = await holdWasm(page);
  await transfer(page, gpt2({ layers: 1 }), 'drop');
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeVisible();
  await transfer(page, gpt2({ layers: 2 }), 'drop');
  release();
  await expect(siteRows(page)).toHaveCount(5);
  await expect(page.getByRole('alert')).toBeHidden();
});

test('the page does not handle dropped text', async ({ page }) => {
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData('text/plain', 'model.safetensors');
    document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data }));
  });
  await expect(page.getByRole('alert')).toBeHidden();
  await expect(page.getByRole('button', { name: 'Choose files…' })).toBeVisible();
});
