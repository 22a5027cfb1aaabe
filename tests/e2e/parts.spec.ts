/** A run that does not fit into memory runs in parts, and its activations lie in the browser's private storage. */
import type { Page } from '@playwright/test';
import { expect, test } from './helpers/page.ts';

async function openSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await page.locator('#verify').waitFor();
}

/** Names of the files that runs have left in the private storage. */
function left(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('gammascope-scratch', { create: true });
    const names: string[] = [];
    for await (const name of folder.keys()) names.push(name);
    return names;
  });
}

test('a run in little memory gives the numbers of the whole run, and its file is deleted', async ({ page }) => {
  await openSample(page);
  const options = { device: 'cpu', input: 'uniform', tokens: 1280 } as const;
  const whole = await page.evaluate((chosen) => window.gammascope.planVerify(chosen), options);
  const memory = whole.memory_of_site + Math.round((whole.memory * 2) / 3);
  const planned = await page.evaluate((chosen) => window.gammascope.planVerify(chosen), { ...options, memory });
  expect(whole.parts).toBe(1);
  expect(planned.parts).toBeGreaterThan(1);
  expect(planned.memory + planned.memory_of_site).toBeLessThanOrEqual(memory);
  const numbers = (chosen: object) =>
    page.evaluate(async (of) => {
      const { verification } = await window.gammascope.verify(of);
      return { sites: verification?.sites, residual: verification?.residual };
    }, chosen);
  const [expected, found] = [await numbers(options), await numbers({ ...options, memory })];
  expect(expected.residual?.length).toBe(4);
  expect(found).toEqual(expected);
  // The file was in the private storage, and the next report deletes it.
  await expect.poll(() => left(page)).toHaveLength(1);
  await page.reload();
  await openSample(page);
  await expect.poll(() => left(page)).toEqual([]);
});

test('without private storage the activations stay in memory', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(StorageManager.prototype, 'getDirectory', { value: () => Promise.reject(new DOMException('denied', 'SecurityError')) }));
  await openSample(page);
  const sites = await page.evaluate(async () => {
    const options = { device: 'cpu', input: 'uniform', tokens: 1280 } as const;
    const { memory, memory_of_site } = await window.gammascope.planVerify(options);
    const { verification } = await window.gammascope.verify({ ...options, memory: memory_of_site + Math.round((memory * 2) / 3) });
    return verification?.sites.length;
  });
  expect(sites).toBe(9);
});
