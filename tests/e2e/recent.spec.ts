/** The list of recent checkpoints: stored with handles, opened again with a click, and forgotten. */
import type { Page } from '@playwright/test';
import type {} from '../../www/launched';
import { gpt2 } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, test } from './helpers/page.ts';
import { FileServer } from './helpers/server.ts';

/**
 * Makes the picker return a folder of the private file system of the origin. Its handles are like those of a disk but need no permission.
 * Headless Chromium shows no picker, so this replaces the dialog.
 */
async function withFolder(page: Page, folder: string, layers: number): Promise<void> {
  const files = gpt2({ layers }).map(({ name, buffer }) => ({ name, base64: buffer.toString('base64') }));
  await page.evaluate(
    async ([name, list]) => {
      const root = await navigator.storage.getDirectory();
      const made = await root.getDirectoryHandle(name, { create: true });
      for (const { name: file, base64 } of list) {
        const writer = await (await made.getFileHandle(file, { create: true })).createWritable();
        await writer.write(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
        await writer.close();
      }
      window.showDirectoryPicker = () => Promise.resolve(made);
    },
    [folder, files] as const,
  );
}

async function pickFolder(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Choose a folder…' }).first().click();
}

const items = (page: Page) => page.locator('.recent li');

test('a folder that was opened is in the list at the next visit, and opens with a click', async ({ page }) => {
  await withFolder(page, 'tiny-gpt2', 2);
  await pickFolder(page);
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');
  await expect(page.locator('#open-menu .recent li')).toHaveCount(1);
  await page.reload();
  await expect(items(page)).toHaveCount(1);
  await expect(items(page).first()).toContainText('tiny-gpt2');
  await items(page).getByRole('button', { name: 'tiny-gpt2', exact: true }).click();
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');

  // Opened again, it is still one item. Another folder comes before it.
  await withFolder(page, 'larger', 3);
  await page.getByRole('button', { name: 'Open…' }).click();
  await page.locator('#open-menu').getByRole('button', { name: 'Choose a folder…' }).click();
  await expect(sentence(page)).toContainText('All 7 norms ignore one direction');
  await expect(page.locator('#open-menu .recent li')).toHaveCount(2);
  await page.reload();
  await expect(items(page)).toHaveCount(2);
  await expect(items(page).first()).toContainText('larger');
  await page.getByRole('button', { name: 'Forget larger' }).click();
  await expect(items(page)).toHaveCount(1);
  await page.getByRole('button', { name: 'Forget all' }).click();
  await expect(page.locator('.recent')).toHaveCount(0);
});

test('a folder that is gone or not allowed shows an error, and the report stays', async ({ page }) => {
  await withFolder(page, 'gone', 2);
  await pickFolder(page);
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');
  await page.evaluate(async () => (await navigator.storage.getDirectory()).removeEntry('gone', { recursive: true }));
  await page.getByRole('button', { name: 'Open…' }).click();
  const menu = page.locator('#open-menu');
  await menu.getByRole('button', { name: 'gone', exact: true }).click();
  await expect(page.getByRole('alert')).toContainText('is no longer there. It was moved, renamed or deleted');
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');

  await page.evaluate(() => {
    FileSystemHandle.prototype.requestPermission = () => Promise.resolve('denied');
  });
  await page.getByRole('button', { name: 'Open…' }).click();
  await menu.getByRole('button', { name: 'gone', exact: true }).click();
  await expect(page.getByRole('alert')).toContainText('was not allowed to read gone again');
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');
});

test('the list has an address without its token, and no address that contains a key', async ({ page, elsewhere }) => {
  const server = await FileServer.start();
  elsewhere.add(server.origin);
  const [model] = gpt2();
  const address = server.put('/m/model.safetensors', model?.buffer ?? '', { token: 'hf_secret' });
  const open = (text: string) => page.evaluate((asked) => window.gammascope.open(asked, { token: 'hf_secret' }), text);
  await open(`${address}?signature=secret`);
  await open(address);
  await expect(page.locator('#open-menu .recent li')).toHaveCount(1);
  const kept = await page.evaluate(
    () =>
      new Promise<string>((resolve, reject) => {
        const asked = indexedDB.open('keyval-store');
        asked.onerror = () => reject(asked.error as Error);
        asked.onsuccess = () => {
          const all = asked.result.transaction('keyval').objectStore('keyval').getAll();
          all.onsuccess = () => resolve(JSON.stringify(all.result));
        };
      }),
  );
  expect(kept).toContain('/m/model.safetensors');
  expect(kept).not.toContain('secret');
  server.close();
});

test('on a phone, the whole menu can be reached, however long the list is', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 640 });
  await openFromCode(page, gpt2());
  const menu = page.locator('#open-menu');
  for (const [at, letter] of ['a', 'b', 'c'].entries()) {
    await withFolder(page, `${letter}-checkpoint-whose-name-is-much-longer-than-a-phone-is-wide`, 1);
    await page.getByRole('button', { name: 'Open…' }).click();
    await menu.getByRole('button', { name: 'Choose a folder…' }).click();
    await expect(menu.locator('.recent li')).toHaveCount(at + 1);
  }
  await page.getByRole('button', { name: 'Open…' }).click();
  const last = menu.getByText('Or drop files anywhere');
  await last.scrollIntoViewIfNeeded();
  await expect(last).toBeInViewport();
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
});

test('files that the system opens with the installed page are opened and listed', async ({ page }) => {
  // The page is not installed here, so this queue replaces that of the system.
  await page.addInitScript(() => {
    const queue: Window['launchQueue'] = {
      setConsumer: (take) =>
        void navigator.storage
          .getDirectory()
          .then((root) => root.getDirectoryHandle('launched'))
          .then((folder) => folder.getFileHandle('model.safetensors'))
          .then((file) => take({ files: [file] })),
    };
    Object.defineProperty(window, 'launchQueue', { value: queue });
  });
  await withFolder(page, 'launched', 2);
  await page.reload();
  await expect(sentence(page)).toContainText('All 5 norms ignore one direction');
  await expect(page.locator('#open-menu .recent li')).toHaveCount(1);
});

test('if the browser has no picker with handles, the plain picker opens', async ({ page }) => {
  await page.evaluate(() => {
    window.showOpenFilePicker = () => Promise.reject<never>(new DOMException('Not in this frame.', 'SecurityError'));
  });
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Choose files…' }).first().click();
  await (await chooser).setFiles(gpt2());
  await expect(sentence(page)).toContainText('All 7 norms ignore one direction');
});

test('a cancelled picker opens nothing', async ({ page }) => {
  await page.evaluate(() => {
    window.showDirectoryPicker = () => Promise.reject(new DOMException('', 'AbortError'));
  });
  await pickFolder(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('See which directions');
});

test('if storage is refused or full, there is no list, and one sentence says so', async ({ page }) => {
  await page.addInitScript(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
    };
  });
  await page.reload();
  await openFromCode(page, gpt2());
  await expect(sentence(page)).toContainText('All 7 norms ignore one direction');
  await page.getByRole('button', { name: 'Open…' }).click();
  const said = page.locator('#open-menu .recent');
  await said.locator('summary').click();
  await expect(said).toContainText('This browser cannot keep a list here (The quota has been exceeded.)');
});
