/** A checkpoint cannot harm the page, and the page sends nothing of a checkpoint. */
import { HOSTILE_SITE, gpt2, hostile } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, siteRows, test, transfer } from './helpers/page.ts';

test('hostile names are text everywhere', async ({ page }) => {
  const { norms } = await openFromCode(page, hostile());
  const title = await page.title();
  expect(norms.map(({ name }) => name)).toContain(HOSTILE_SITE);
  await expect(siteRows(page).filter({ hasText: '<img' })).toHaveText(HOSTILE_SITE);
  for (let row = 0; row < norms.length; row += 1) {
    await siteRows(page).nth(row).click();
    await expect(page.locator('tr.detail').nth(row)).toBeVisible();
  }
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
  expect(await page.locator('main img, main script, main iframe, main foreignObject').count()).toBe(0);
  expect(await page.title()).toBe(title);
});

test('a hostile file name in an error is text', async ({ page }) => {
  const [file] = hostile();
  await transfer(
    page,
    [
      {
        name: '<img src=x onerror=alert(1)>.safetensors',
        mimeType: '',
        buffer: file?.buffer.subarray(0, 20) ?? Buffer.alloc(0),
      },
    ],
    'drop',
  );
  await expect(page.getByRole('alert')).toContainText('<img src=x onerror=alert(1)>');
  expect(await page.locator('[role=alert] img').count()).toBe(0);
});

test('while the page reads a checkpoint, it requests only its own code, styles, wasm, icon and tables', async ({ page }) => {
  await page.waitForLoadState('networkidle');
  const requested: string[] = [];
  page.on('request', (request) => requested.push(request.url()));
  await openFromCode(page, gpt2());
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
  for (const url of requested) expect(url).toMatch(/\.(js|css|wasm)$|\/favicon-[^/]+\.svg$|\/assets\/later\/tables-[^/]+\/[^/]+\.txt$/);
});

test('the page works if storage is forbidden', async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(window, 'localStorage', {
      get() {
        throw new DOMException('forbidden', 'SecurityError');
      },
    });
  });
  await page.reload();
  await page.getByRole('button', { name: /^Theme/ }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await openFromCode(page, gpt2());
  await expect(sentence(page)).toContainText('LayerNorm');
});

test('the page declares a policy that allows nothing by default', async ({ page }) => {
  const policy = await page.locator('meta[http-equiv=Content-Security-Policy]').getAttribute('content');
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe-inline');
  expect(policy).not.toContain("'unsafe-eval'");
});
