/** Runs the model in the page: its numbers are those of the command line, and a run can stop and go on. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import type { Report } from '../../www/report';
import { chooseOptions, expect, pressRun, test } from './helpers/page.ts';

const CACHE = '.cache/models';

async function openSample(page: Page, name: 'LayerNorm' | 'RMSNorm'): Promise<void> {
  await page.getByRole('button', { name: `${name} sample` }).first().click();
  await expect(page.locator('#weights svg[role=img]')).toBeVisible();
}

// On a busy machine, a run may be long enough to show its plan first.
test.beforeEach(({ page }) => page.addLocatorHandler(page.getByRole('button', { name: 'Run it' }), (button) => button.click()));

test('Run runs the sample and shows norms, stream and what is no evidence', async ({ page }) => {
  await openSample(page, 'LayerNorm');
  await chooseOptions(page);
  await page.locator('#verify .pick-input').selectOption('uniform');
  await pressRun(page);
  await expect(page.locator('#verified')).toContainText('run as gpt2 in f32', { timeout: 60_000 });
  await expect(page.locator('#verified')).toContainText('no evidence of their kind');
  await expect(page.locator('#measured')).toContainText('9 sites measured: 9 subtract the mean');
  await expect(page.locator('#run-result figure[data-kind=residual] svg')).toBeVisible();
  await expect(page.locator('#stream')).toContainText('It never falls by more than a hundredth');
  await expect(page.locator('#run-result').getByRole('rowheader').first()).toContainText('transformer.h.0.ln_1');
});

test('the page shows in which block the least singular value falls', async ({ page }) => {
  await page.locator('.pick-opened').first().setInputFiles(['model.safetensors', 'config.json'].map((name) => join('tests/forward/gpt2', name)));
  await page.locator('#verify').waitFor();
  await page.evaluate(() => window.gammascope.verify({ device: 'cpu' }));
  await expect(page.locator('#falls')).toContainText('1 fall, not on both halves of the tokens');
  await expect(page.locator('#falls').getByRole('row').last()).toContainText(/× 0\.\d+.*feed-forward/);
  await expect(page.locator('#stream')).toContainText('after 0 of them on both halves of the tokens (attention makes 0 of the falls, the feed-forward part 1');
  // What the run leaves out has one sentence that says how to get it.
  await expect(page.locator('#at-random')).toContainText('tick “Also run the same architecture with random weights”');
  await expect(page.locator('#preserved')).toContainText('No reader was moved.');
});

test('the sample also runs with random weights and with moved readers', async ({ page }) => {
  test.setTimeout(120_000);
  await openSample(page, 'RMSNorm');
  await pressRun(page);
  await expect(page.locator('#at-random')).toContainText('9 of 9 RMSNorms lack the direction of a LayerNorm', { timeout: 90_000 });
  await expect(page.locator('#run-result')).toContainText('weights drawn from seed 1');
  await expect(page.locator('#run-result figure[data-kind=random_init] svg')).toBeVisible();
  await expect(page.locator('#preserved')).toContainText('it changes in 12 of 12 cases');
  await expect(page.locator('#run-result figure[data-kind=preservation] svg')).toBeVisible();
  await expect(page.locator('#by-loss'), 'not circular').toContainText('the norms are RMSNorms');
  await expect(page.locator('#deepening')).toContainText('No measured norm has a kernel');
  await expect(page.locator('#beside-paper')).toContainText('no such direction at 9 of 9 sites');
  await expect(page.locator('#differences')).toContainText('agrees with the paper on every claim');
  const html = await page.evaluate(() => window.gammascope.share({ as: 'html' }));
  for (const part of ['5. Where this differs from the paper', 'Least singular value of the residual stream', 'nats with the norms as LayerNorms']) expect(html).toContain(part);
  const both = await page.evaluate(async () => {
    const { verification } = await window.gammascope.verify({ input: 'uniform', device: 'cpu', seed: 1 });
    return verification;
  });
  const terminal = process.env['GAMMASCOPE'];
  if (terminal === undefined) return;
  const command = ['verify', 'samples/rmsnorm', '--uniform', '--random-init', '1', '--json'];
  const native = (JSON.parse(execFileSync(terminal, command).toString()) as Report).verification;
  expect(both?.random_init?.sites.length).toBe(9);
  native?.random_init?.sites.forEach((site, at) => {
    expect(both?.random_init?.sites[at]?.name).toBe(site.name);
    expect((both?.random_init?.sites[at]?.mean_variance ?? 0) / site.mean_variance).toBeCloseTo(1, 4);
    expect((both?.random_init?.sites[at]?.depth_ratio ?? 0) / (site.depth_ratio ?? NaN)).toBeCloseTo(1, 3);
  });
});

test('a run tells the story of the paper in its order, measured beside predicted, with the reason where it differs', async ({ page }) => {
  test.setTimeout(180_000);
  await openSample(page, 'LayerNorm');
  const { verification, norms } = await page.evaluate(() =>
    window.gammascope.verify({ device: 'cpu', input: 'uniform', seed: 1, preservation: true }),
  );
  const steps = page.locator('#run-result .step');
  await expect(steps.locator('> h3')).toHaveText([
    /1\s*At random initialisation/,
    /2\s*Trained against random/,
    /3\s*The residual stream/,
    /4\s*The function along the kernels/,
    /5\s*Where this differs from the paper/,
  ]);
  const { initial, deepening, stream, preservation } = verification?.story ?? {};
  for (const [at, found] of [initial, deepening, stream, preservation].entries()) {
    expect(found, `step ${at + 1}`).toBeTruthy();
    await expect(steps.nth(at).locator('.finding')).toHaveText(found ?? '');
  }
  expect(initial).toContain('9 of 9 LayerNorms have the predicted direction to four decimal places');
  // The figure of each step is in the step.
  for (const [at, kinds] of [[], ['random_init', 'measured'], ['residual'], ['preservation'], []].entries()) {
    const figures = await steps.nth(at).locator('figure').evaluateAll((all) => all.map((figure) => (figure as HTMLElement).dataset['kind']));
    expect(figures, `step ${at + 1}`).toEqual(kinds);
  }
  // Measured beside predicted, in the row of the last norm.
  const name = 'transformer.ln_f';
  const row = steps.nth(1).getByRole('row', { name }).getByRole('cell');
  const ratio = verification?.random_init?.sites.find((site) => site.name === name)?.depth_ratio ?? NaN;
  const predicted = norms.find((norm) => norm.name === name)?.kernel.deepening ?? NaN;
  const cells = (await row.allTextContents()).map(Number);
  expect(cells.at(-2)).toBeCloseTo(ratio, 2);
  expect(cells.at(-1)).toBeCloseTo(predicted, 3);
  // Training does not make these kernels a thousand times deeper, and the step says why.
  const differs = verification?.claims.filter(({ agrees }) => !agrees) ?? [];
  expect(differs.length).toBeGreaterThan(0);
  for (const { why } of differs) await expect(page.locator('#beside-paper')).toContainText(`Why: ${why}`);
  const html = await page.evaluate(() => window.gammascope.share({ as: 'html' }));
  const places = ['1. At random', '2. Trained against', '3. The residual', '4. The function', '5. Where this'].map((heading) => html.indexOf(heading));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[0]).toBeGreaterThan(0);
});

test('on GPU and CPU, the page gives the results of the command line', async ({ page }) => {
  const terminal = process.env['GAMMASCOPE'];
  test.skip(terminal === undefined, 'needs the command line: npm test -- page');
  await openSample(page, 'RMSNorm');
  const verified = (device: 'gpu' | 'cpu') =>
    page.evaluate(async (on) => (await window.gammascope.verify({ device: on, input: 'uniform' })).verification, device);
  const [gpu, cpu] = [await verified('gpu'), await verified('cpu')];
  expect(gpu?.device, 'the adapter of these tests').not.toContain('cpu');
  expect(cpu?.device).toBe('cpu');
  const native = (JSON.parse(execFileSync(terminal ?? '', ['verify', 'samples/rmsnorm', '--uniform', '--json']).toString()) as Report)
    .verification;
  for (const found of [gpu, cpu]) {
    expect(found?.sites.map(({ name, verdict }) => [name, verdict])).toEqual(native?.sites.map(({ name, verdict }) => [name, verdict]));
    native?.sites.forEach((site, at) => {
      expect(found?.sites[at]?.depth_scale_free).toBeCloseTo(site.depth_scale_free ?? NaN, 4);
      expect(found?.sites[at]?.schur).toBeCloseTo(site.schur ?? NaN, 3);
    });
    native?.residual.forEach(({ sigma_min }, at) => {
      expect((found?.residual[at]?.sigma_min ?? 0) / sigma_min).toBeCloseTo(1, 3);
    });
  }
});

test('a stopped run keeps its measurements and goes on from there', async ({ page }) => {
  await openSample(page, 'RMSNorm');
  const whole = await page.evaluate(() => window.gammascope.verify({ device: 'cpu', input: 'uniform' }));
  // Stop as soon as something is measured.
  const progress = page.locator('#verify').getByText(/[1-9]\d* of the \d+ norms and streams/);
  await page.evaluate(() => void window.gammascope.verify({ device: 'cpu', input: 'uniform', tokens: 8192 }).catch(() => undefined));
  await expect(progress).toBeVisible({ timeout: 60_000 });
  const verify = page.locator('#verify');
  await verify.getByRole('button', { name: /^Stop/ }).click();
  const answer = verify.getByRole('button', { name: 'Stopping…' }).or(verify.getByText(/Stopped after/)).first();
  await expect(answer, 'an answer at once').toBeVisible({ timeout: 1_000 });
  await expect(page.locator('#verify')).toContainText(/Stopped after \d of 4 blocks/, { timeout: 60_000 });
  await expect(page.locator('#measured')).toContainText('measured');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(page.locator('#verify')).not.toContainText('Stopped after', { timeout: 60_000 });
  await expect(page.locator('#measured')).toContainText(`${whole.verification?.sites.length} sites measured`, { timeout: 90_000 });
});

test('Back to the report of a run shows the run again', async ({ page }) => {
  await openSample(page, 'RMSNorm');
  await page.evaluate(() => window.gammascope.verify({ device: 'cpu', input: 'uniform' }));
  const measured = page.locator('#measured');
  await expect(measured).toContainText('sites measured');
  const rows = page.locator('#run-result .datatable tbody tr');
  const shown = await rows.allTextContents();
  expect(shown.length).toBeGreaterThanOrEqual(9);
  await page.getByRole('button', { name: 'Open…' }).click();
  await page.getByRole('button', { name: 'LayerNorm sample' }).first().click();
  await expect(page.locator('#sentence')).toContainText('LayerNorm');
  await expect(measured).toHaveCount(0);
  await page.goBack();
  await expect(measured).toContainText('sites measured', { timeout: 60_000 });
  expect(await rows.allTextContents()).toEqual(shown);
});

test('the model runs on a given text, and a text that is too short gets a message', async ({ page }) => {
  await openSample(page, 'LayerNorm');
  const verify = page.locator('#verify');
  await chooseOptions(page);
  await verify.locator('.pick-input').selectOption('text');
  const text = { name: 'mine.txt', mimeType: 'text/plain', buffer: Buffer.from('To be, or not to be: that is the question. '.repeat(40)) };
  await verify.locator('.pick-text').setInputFiles(text);
  await pressRun(page);
  await expect(page.locator('#verified')).toContainText('nats a token', { timeout: 60_000 });
  await expect(page.locator('#measured')).toContainText('mine.txt');
  await verify.locator('.pick-text').setInputFiles({ ...text, buffer: Buffer.from('To be.') });
  await pressRun(page);
  await expect(verify.getByRole('alert')).toContainText('Not run.', { timeout: 30_000 });
  await expect(page.locator('#verified'), 'the earlier run stays').toContainText('nats a token');
});

test('a run of only the first blocks', async ({ page }) => {
  await openSample(page, 'RMSNorm');
  const verify = page.locator('#verify');
  await chooseOptions(page);
  await verify.locator('.pick-input').selectOption('uniform');
  await verify.getByLabel('Blocks', { exact: true }).fill('2');
  await verify.locator('.pick-random').uncheck();
  await verify.locator('.pick-preservation').uncheck();
  await pressRun(page);
  await expect(page.locator('#verified')).toContainText('the 2 blocks after them were left out', { timeout: 60_000 });
  await expect(page.locator('#measured')).toContainText('5 sites measured');
  await verify.getByLabel('Blocks', { exact: true }).fill('9');
  await pressRun(page);
  await expect(verify.getByRole('alert')).toContainText('ask for 1 to 4', { timeout: 30_000 });
});

test('a configuration without weights runs at its initialisation', async ({ page }) => {
  await page.locator('.pick-opened').first().setInputFiles('samples/layernorm/config.json');
  const drawn = page.getByRole('button', { name: 'Draw random weights for the configuration' });
  await expect(page.getByRole('alert')).toContainText('Not opened.');
  await drawn.click();
  await expect(page.locator('#drawn')).toContainText('random, drawn from the configuration and seed 1', { timeout: 60_000 });
  const { verification, checkpoint } = await page.evaluate(() => window.gammascope.verify({ input: 'uniform' }));
  expect(checkpoint.name).toMatch(/-random-1$/);
  expect(verification?.sites.map(({ verdict }) => verdict)).toEqual(Array(9).fill('mean_subtracting'));
  const terminal = process.env['GAMMASCOPE'];
  if (terminal === undefined) return;
  const command = ['verify', 'samples/layernorm/config.json', '--uniform', '--random-init', '1', '--json'];
  const native = (JSON.parse(execFileSync(terminal, command).toString()) as Report).verification;
  native?.sites.forEach((site, at) => expect((verification?.sites[at]?.mean_variance ?? 0) / site.mean_variance).toBeCloseTo(1, 4));
});

test('norms without stored scales are sites, have figures, and are measured', async ({ page }) => {
  const files = ['model.safetensors', 'config.json'].map((name) => join('tests/forward/olmo', name));
  await page.locator('.pick-opened').first().setInputFiles(files);
  await expect(page.locator('#verify')).toBeVisible();
  const site = page.locator('#sites').getByRole('button', { name: 'model.layers.1.input_layernorm' });
  await site.click();
  const opened = page.locator('#sites');
  await expect(opened).toContainText('neither scales nor shifts');
  await expect(opened.locator('figure[data-kind=kernel_direction] svg')).toBeVisible();
  await expect(opened.locator('figure[data-kind=scale_distribution] svg')).toBeVisible();
  await chooseOptions(page);
  await page.locator('#verify .pick-input').selectOption('uniform');
  await pressRun(page);
  await expect(page.locator('#measured')).toContainText('5 sites measured: 5 subtract the mean', { timeout: 60_000 });
});

test('the message for a model that cannot run says what does not fit', async ({ page }) => {
  await openSample(page, 'LayerNorm');
  const config = JSON.parse(readFileSync('samples/layernorm/config.json', 'utf8')) as object;
  const file = (name: string, buffer: Buffer) => ({ name, mimeType: '', buffer });
  const weights = file('model.safetensors', readFileSync('samples/layernorm/model.safetensors'));
  for (const [change, sentence] of [
    [{ model_type: 'mamba' }, /`?mamba`? is not among/],
    [{ rope_theta: 17 }, /rope_theta/],
  ] as const) {
    const changed = file('config.json', Buffer.from(JSON.stringify({ ...config, ...change })));
    await page.locator('.pick-opened').first().setInputFiles([weights, changed]);
    // The message for the earlier checkpoint is gone once this one is open.
    await expect(page.locator('#verify').getByRole('alert')).toHaveCount(0);
    await expect(page.locator('#verify')).toBeVisible();
    await pressRun(page);
    await expect(page.locator('#verify').getByRole('alert')).toContainText(sentence, { timeout: 30_000 });
    await expect(page.locator('#verify').getByRole('alert'), 'what can be done instead').toContainText('gammascope measure');
  }
});

test('all-MiniLM in the page: every LayerNorm has its kernel, with the reference values', async ({ page }) => {
  const files = ['model.safetensors', 'config.json', 'tokenizer.json'].map((name) => join(CACHE, 'all-MiniLM-L6-v2', name));
  test.skip(!files.every(existsSync), `skipped: all-MiniLM is not in ${CACHE}; npm test -- rust fetches it`);
  test.setTimeout(240_000);
  await page.locator('.pick-opened').first().setInputFiles(files);
  await expect(page.locator('#verify')).toBeVisible();
  const { verification } = await page.evaluate(() => window.gammascope.verify({ tokens: 2048 }));
  expect(verification?.sites.length).toBe(13);
  for (const { depth_scale_free, cos_scale_free, verdict } of verification?.sites ?? []) {
    expect(verdict).toBe('mean_subtracting');
    expect(depth_scale_free).toBeLessThan(1e-12);
    expect(cos_scale_free).toBeGreaterThan(0.999999);
  }
  // MATH §6: |cos| to the digits shown. The Schur ratio of an exact kernel is that of its rounding noise. It changes with the order
  // of sums but stays near its null d/n. That of the last norm is lost in rounding.
  const ordinary = (verification?.sites ?? []).slice(0, -1);
  for (const { name, cos, schur, schur_null } of ordinary) {
    expect(cos, name).toBeCloseTo(1, 6);
    expect((schur ?? 0) / schur_null, name).toBeGreaterThan(0.5);
    expect((schur ?? 0) / schur_null, name).toBeLessThan(2);
  }
  expect(verification?.sites.at(-1)?.schur).toBeNull();
});

test('SmolLM2 in the page: no RMSNorm has a kernel, with the reference values', async ({ page }) => {
  const files = ['model.safetensors', 'config.json', 'tokenizer.json'].map((name) => join(CACHE, 'SmolLM2-135M', name));
  test.skip(!files.every(existsSync), `skipped: SmolLM2 is not in ${CACHE}; npm test -- rust fetches it`);
  test.setTimeout(600_000);
  // The reference read the text with the tokenizer of a GGUF file, which does not split digits.
  const tokenizer = JSON.parse(readFileSync(files[2] ?? '', 'utf8')) as { pre_tokenizer: { pretokenizers: object[] } };
  const reference = { ...tokenizer, pre_tokenizer: tokenizer.pre_tokenizer.pretokenizers[1] };
  const folder = mkdtempSync(join(tmpdir(), 'gammascope-'));
  const changed = join(folder, 'tokenizer.json');
  writeFileSync(changed, JSON.stringify(reference));
  await page.locator('.pick-opened').first().setInputFiles([...files.slice(0, 2), changed]);
  await expect(page.locator('#verify')).toBeVisible();
  const { verification } = await page.evaluate(() => window.gammascope.verify({ tokens: 2048 }));
  rmSync(folder, { recursive: true });
  expect(verification?.sites.length).toBe(61);
  for (const { depth_scale_free, verdict } of verification?.sites ?? []) {
    expect(verdict).toBe('not_mean_subtracting');
    expect(depth_scale_free).toBeGreaterThan(0.5);
  }
  // MATH §6, to the digits shown: depth, |cos|, Schur ratio, and the first two of the scale-free test.
  for (const [name, depth, cos, schur, depthScaleFree] of [
    ['model.layers.21.post_attention_layernorm', '1.1e-6', '1.0e+0', '1.00', '0.95'],
    ['model.layers.9.input_layernorm', '1.0e+0', '4.7e-2', '0.90', '1.23'],
    ['model.norm', '8.5e-1', '1.1e-2', '0.91', '1.04'],
  ] as const) {
    const site = verification?.sites.find((site) => site.name === name);
    expect(site?.depth?.toExponential(1), name).toBe(depth);
    expect(site?.cos?.toExponential(1), name).toBe(cos);
    expect(site?.schur?.toFixed(2), name).toBe(schur);
    expect(site?.depth_scale_free?.toFixed(2), name).toBe(depthScaleFree);
  }
});
