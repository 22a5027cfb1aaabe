/** In every state of the page, its sentences and numbers agree with the report and with each other. */
import type { Page } from '@playwright/test';
import type { Report } from '../../www/report';
import { outputs, picked } from './helpers/activations.ts';
import { expect, savedReport, sentence, test } from './helpers/page.ts';

const grouped = (number: number) => number.toLocaleString('en-US');

/** Checks what must be true of the page with a report, in any state. */
async function agree(page: Page, report: Report, state: string): Promise<void> {
  const text = await page.locator('main').innerText();
  const { verification, dead_parameters: dead, warnings, norms } = report;
  const says = (part: string | RegExp, true_: boolean) => {
    const found = typeof part === 'string' ? text.includes(part) : part.test(text);
    expect(found, `${state}: ${part}`).toBe(true_);
  };
  await expect(sentence(page), state).toHaveText(report.model.sentence);
  await expect(page.locator('.findings li'), state).toHaveCount(report.findings.length);
  for (const { text: finding } of report.findings) {
    await expect(page.locator('.findings'), state).toContainText([finding.split('`')[0] ?? '']);
  }
  // A section exists if it has content, and the bar has a link to each section.
  for (const [id, there] of Object.entries({
    '#run-result': verification !== null && verification.pass !== null,
    '#measure-result': verification !== null && verification.pass === null,
    '#warnings': warnings.length > 0,
    '#dead': dead.readers > 0 || norms.some(({ kernel }) => kernel.form === 'inverse_scale'),
    '#tools': report.shared === null,
  })) {
    await expect(page.locator(id), `${state}: ${id}`).toHaveCount(there ? 1 : 0);
    await expect(page.locator(`nav.wide a[href="${id}"]`), `${state}: link to ${id}`).toHaveCount(there ? 1 : 0);
  }
  says(/no warnings/i, false);
  says('has not been sampled', false);
  says(/No weight (of this checkpoint )?ha[sd] been sampled/, report.checkpoint.weight_bytes_read === 0);
  // No text says that the model was not run, or that its weights were not read.
  says(/nothing is run|without a forward pass|never opened/i, false);
  // Every count of readers is the same.
  if (dead.share > 0) {
    says(`parameters of ${grouped(dead.readers)} readers`, true);
    says(new RegExp(`directions in ${grouped(dead.readers)} readers`), true);
    const counts = [...text.matchAll(/(?:parameters of|directions in|Each of the) ([\d,]+) readers\b/g)].map(([, count]) => count);
    expect(new Set(counts), `${state}: counts of readers`).toEqual(new Set([grouped(dead.readers)]));
  }
  if (verification?.pass && verification.loss) {
    const { pass, loss } = verification;
    expect(loss.tokens, state).toBeLessThanOrEqual(pass.sequences * pass.length);
    says(/The same [\d,]+ tokens/, false);
    says(`Predicting ${grouped(loss.tokens)} of these tokens`, true);
  }
  const measured = verification?.sites.filter(({ verdict }) => verdict === 'mean_subtracting').length ?? 0;
  if (verification) says(`${grouped(verification.sites.length)} site${verification.sites.length === 1 ? '' : 's'} measured: ${measured} subtract the mean`, true);
  for (const { found } of verification?.claims ?? []) says(found, true);
}

for (const sample of ['LayerNorm', 'RMSNorm'] as const) {
  test(`the page of the ${sample} sample never contradicts itself: inspected, sampled, run, measured, compared and shared`, async ({ page }) => {
    await page.getByLabel('sample up to 64 MB of weights').first().uncheck();
    await page.getByRole('button', { name: `${sample} sample` }).first().click();
    await expect(page.locator('#tools')).toBeVisible();
    await agree(page, await savedReport(page), 'inspected');
    await page.getByRole('button', { name: 'Sample at most 64 MB' }).click();
    await expect(page.locator('#weights svg[role=img]')).toBeVisible();
    await agree(page, await savedReport(page), 'sampled');
    const ran = await page.evaluate(() => window.gammascope.verify({ device: 'cpu', tokens: 512, preservation: true }));
    await expect(page.locator('#verified')).toBeVisible();
    await agree(page, ran, 'run');
    await page.locator('.pick-compared').setInputFiles(['model.safetensors', 'config.json'].map((file) => `samples/${sample.toLowerCase()}/${file}`));
    await expect(page.locator('#compared')).toBeVisible({ timeout: 30_000 });
    await expect(page.locator('nav.wide a[href="#compare-result"]')).toHaveCount(1);
    await agree(page, await savedReport(page), 'compared');
    const link = await page.evaluate(() => window.gammascope.share({ as: 'link' }));
    if (sample === 'LayerNorm') {
      await page.locator('.pick-activations').setInputFiles(picked({ 'transformer.ln_f': outputs(600) }));
      await expect(page.locator('#measure-result')).toBeVisible({ timeout: 30_000 });
      await agree(page, await savedReport(page), 'measured');
      await expect(page.locator('.reasons li').first()).toHaveText(/^Measured on 600 tokens: 1 norm subtracts the mean, depth \de-\d+$/);
    }
    await page.goto(`./${link.slice(link.indexOf('#'))}`);
    await page.reload();
    await expect(page.locator('#shared')).toBeVisible();
    await expect(page.locator('#run-result')).toBeVisible();
    const shared = await savedReport(page);
    expect(shared.findings.map(({ code }) => code)).toEqual(ran.findings.map(({ code }) => code));
    await agree(page, shared, 'shared');
  });
}
