// node tests/e2e/screenshots.mjs [folder]: takes pictures of the built page with the LayerNorm sample open.
// Without a folder, it only writes docs/screenshot.png. With a folder, it also writes the dark, phone and welcome pictures there.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { preview } from 'vite';
import { findChromium } from '../../scripts/lib/chromium.mjs';

const folder = process.argv[2];
const desktop = { viewport: { width: 1280, height: 1180 } };
const shots = [
  { path: 'docs/screenshot.png', ...desktop, deviceScaleFactor: 1.5 },
  ...(folder === undefined
    ? []
    : [
        { path: join(folder, 'welcome.png'), welcome: true, viewport: { width: 1280, height: 860 } },
        { path: join(folder, 'desktop.png'), full: true, ...desktop },
        { path: join(folder, 'desktop-dark.png'), full: true, colorScheme: 'dark', ...desktop },
        {
          path: join(folder, 'phone.png'),
          full: true,
          viewport: { width: 360, height: 780 },
          deviceScaleFactor: 2,
          isMobile: true,
          hasTouch: true,
        },
      ]),
];

mkdirSync('docs', { recursive: true });
if (folder !== undefined) mkdirSync(folder, { recursive: true });

const executablePath = findChromium();
const server = await preview({ preview: { port: 4185, host: '127.0.0.1' }, logLevel: 'silent' });
const browser = await chromium.launch({
  args: ['--no-sandbox'],
  ...(executablePath === undefined ? {} : { executablePath }),
});
try {
  for (const { path, welcome = false, full = false, ...options } of shots) {
    const page = await browser.newPage(options);
    await page.goto('http://127.0.0.1:4185/');
    if (!welcome) {
      await page.getByRole('button', { name: 'LayerNorm sample' }).click();
      await page.locator('#kernel svg[role=img]').waitFor();
      await page.locator('#sites figure svg[role=img]').waitFor();
    }
    await page.screenshot({ path, fullPage: full });
    await page.close();
  }
} finally {
  await browser.close();
  await server.close();
}
