/** The npm package in a browser, as `npm run build:package` builds it. */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { build, preview } from 'vite';
import type { Report } from '../../www/report';

/** The part of its types that is used here. The real types exist only after the build. */
type Opened = { report: Report; figure(kind: string): { svg: string }; kernels(): Uint8Array };
type Package = { Checkpoint: { open(files: { path: string; file: Blob }[]): Promise<Opened> } };

test.skip(!existsSync('package/index.js'), 'needs the package: npm run build:package');

test('the package reads a checkpoint in a browser, without a bundler', async ({ page }) => {
  const server = await preview({ build: { outDir: 'package' }, preview: { host: '127.0.0.1', port: 0 }, logLevel: 'silent' });
  const address = server.resolvedUrls?.local[0] ?? '';
  await page.goto(`${address}LICENSE`);
  const files = ['model.safetensors', 'config.json'].map((name) => ({
    path: `layernorm/${name}`,
    base64: readFileSync(`samples/layernorm/${name}`).toString('base64'),
  }));
  const found = await page.evaluate(
    async ([entry, list]) => {
      const { Checkpoint } = (await import(entry)) as Package;
      const checkpoint = await Checkpoint.open(
        list.map(({ path, base64 }) => ({ path, file: new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]) })),
      );
      const { svg } = checkpoint.figure('site_map');
      return { sentence: checkpoint.report.model.sentence, svg: svg.slice(0, 4), kernels: checkpoint.kernels().length };
    },
    [`${address}index.js`, files] as const,
  );
  expect(found.sentence).toContain('LayerNorm model. All 9 norms ignore one direction');
  expect(found.svg).toBe('<svg');
  expect(found.kernels).toBeGreaterThan(9 * 128 * 8);
  await server.close();
});

for (const bundled of [false, true]) {
  test(`the example for browsers runs ${bundled ? 'with a bundler' : 'without a bundler'}`, async ({ page }, testInfo) => {
    const root = testInfo.outputPath('example');
    cpSync('examples/browser', root, { recursive: true });
    cpSync('package', join(root, 'node_modules/@gammascope/gammascope'), { recursive: true });
    if (bundled) await build({ root, configFile: false, logLevel: 'error', build: { outDir: 'built' } });
    const server = await preview({
      root,
      configFile: false,
      build: { outDir: bundled ? 'built' : '.' },
      preview: { host: '127.0.0.1', port: 0 },
      logLevel: 'silent',
    });
    const missing: string[] = [];
    page.on('response', (answer) => answer.status() >= 400 && !answer.url().endsWith('.ico') && missing.push(answer.url()));
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    const files = page.getByLabel('The files of a checkpoint');
    await files.setInputFiles(['samples/layernorm/model.safetensors', 'samples/layernorm/config.json']);
    await expect(page.getByRole('status')).toContainText('LayerNorm model. All 9 norms ignore one direction');
    await expect(page.locator('#kernel svg')).toBeVisible();
    await files.setInputFiles('package.json');
    await expect(page.getByRole('status')).toContainText('no safetensors, GGUF, ONNX or PyTorch file among what was given');
    expect(missing).toEqual([]);
    await server.close();
  });
}
