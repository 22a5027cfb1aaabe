/** The npm package in a browser, as it is built by `npm run build:package`. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import { preview } from 'vite';
import type { Report } from '../../www/report';

/** As much of its types as is used here: those it has are built with it. */
type Opened = { report: Report; figure(kind: string): { svg: string }; kernels(): Uint8Array };
type Package = { Checkpoint: { open(files: { path: string; file: Blob }[]): Promise<Opened> } };

test('the package reads a checkpoint in a browser, without a bundler', async ({ page }) => {
  test.skip(!existsSync('package/index.js'), 'needs the package: npm run build:package');
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
  expect(found.sentence).toContain('LayerNorm transformer, 9 norm sites');
  expect(found.svg).toBe('<svg');
  expect(found.kernels).toBeGreaterThan(9 * 128 * 8);
  await server.close();
});
