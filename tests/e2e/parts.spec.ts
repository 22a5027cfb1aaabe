/** A run that does not fit into memory runs in parts, and its activations lie in the browser's private storage. */
import type { Page } from '@playwright/test';
import { expect, test } from './helpers/page.ts';

async function openSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await page.locator('#verify').waitFor();
}

/** How many files of runs are in the private storage. */
function files(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('gammascope-scratch', { create: true });
    let count = 0;
    for await (const name of folder.keys()) count += name.length > 0 ? 1 : 0;
    return count;
  });
}

test('a run in little memory gives the numbers of the whole run, and its file is deleted', async ({ page }) => {
  await openSample(page);
  const options = { device: 'cpu', input: 'uniform', tokens: 1280 } as const;
  const whole = await page.evaluate((chosen) => window.gammascope.planVerify(chosen), options);
  const memory = whole.memory_of_site + whole.memory - 1;
  const planned = await page.evaluate((chosen) => window.gammascope.planVerify(chosen), { ...options, memory });
  expect(whole.parts).toBe(1);
  expect(planned.parts).toBeGreaterThan(1);
  expect(planned.memory + planned.memory_of_site).toBeLessThanOrEqual(memory);
  const numbers = (chosen: object) =>
    page.evaluate(async (of) => {
      const { verification } = await window.gammascope.verify(of);
      return { sites: verification?.sites, residual: verification?.residual };
    }, chosen);
  const expected = await numbers(options);
  expect(expected.residual?.length).toBe(4);
  await expect.poll(() => files(page), 'what the plan left behind is deleted').toBe(0);
  const found = numbers({ ...options, memory });
  await expect.poll(() => files(page), { intervals: [50] }).toBe(1);
  expect(await found).toEqual(expected);
  await expect.poll(() => files(page), 'the run deletes its file').toBe(0);
});

test('without private storage the activations stay in memory', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(StorageManager.prototype, 'getDirectory', { value: () => Promise.reject(new DOMException('denied', 'SecurityError')) }));
  await openSample(page);
  const sites = await page.evaluate(async () => {
    const options = { device: 'cpu', input: 'uniform', tokens: 1280 } as const;
    const { memory, memory_of_site } = await window.gammascope.planVerify(options);
    const { verification } = await window.gammascope.verify({ ...options, memory: memory_of_site + memory - 1 });
    return verification?.sites.length;
  });
  expect(sites).toBe(9);
});
