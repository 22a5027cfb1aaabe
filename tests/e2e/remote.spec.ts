/** Checkpoints at an address, from the field, from a link and from code: few requests, and a message for each fault. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { Report } from '../../www/report';
import { gpt2 } from './helpers/checkpoints.ts';
import { expect, openFromCode, sentence, siteRows, test as base } from './helpers/page.ts';
import { FileServer, type Play } from './helpers/server.ts';

const test = base.extend<{ server: FileServer }>({
  server: async ({ elsewhere }, use) => {
    const server = await FileServer.start();
    elsewhere.add(server.origin);
    await use(server);
    server.close();
  },
});

const SAMPLE = ['model.safetensors', 'config.json'].map((name) => ({
  name,
  mimeType: '',
  buffer: readFileSync(`samples/layernorm/${name}`),
}));

/** Serves the LayerNorm sample in a folder. */
function putSample(server: FileServer, folder: string, play?: Play): string {
  const [model, config] = SAMPLE;
  server.put(`${folder}/config.json`, config?.buffer ?? '');
  return server.put(`${folder}/model.safetensors`, model?.buffer ?? '', play);
}

const openAddress = (page: Page, address: string, options?: { token?: string; hub?: string }): Promise<Report> =>
  page.evaluate(([text, chosen]) => window.gammascope.open(text, chosen), [address, options] as const);

const refusal = (page: Page, address: string): Promise<string> =>
  page.evaluate(
    (text) =>
      window.gammascope.open(text).then(
        () => 'it opened',
        (error: Error) => error.message,
      ),
    address,
  );

const ranges = ({ seen }: FileServer) => seen.filter(({ method, range }) => method === 'GET' && range !== undefined);

test('an address gives the same report as the file, with at most six range requests', async ({ page, server }) => {
  const address = putSample(server, '/m');
  const remote = await openAddress(page, address);
  const local = await openFromCode(page, SAMPLE, { weights: false });
  expect(ranges(server).length).toBeLessThanOrEqual(6);
  expect(remote.checkpoint.remote?.requests).toBe(server.seen.filter(({ method }) => method === 'GET').length);
  expect(remote.checkpoint.remote?.address).toBe(address);
  expect({ ...remote, checkpoint: { ...remote.checkpoint, remote: null } }).toEqual(local);
});

test('the field opens an address and says which host the page asks', async ({ page, server }) => {
  const address = putSample(server, '/m');
  await expect(page.locator('.dropzone .address')).toContainText('The page asks only the host that you name');
  await page.locator('.dropzone .pick-address').fill(address);
  await page.getByRole('button', { name: 'Open address' }).click();
  await expect(sentence(page)).toContainText('LayerNorm');
  await expect(page.locator('.facts').first()).toContainText('Transferred');
  await expect(page.locator('#weights')).toContainText('not sampled');
});

test('a link opens its address when the page loads and when the link changes', async ({ page, server }) => {
  const first = putSample(server, '/first');
  const [model] = gpt2({ layers: 1 });
  server.put('/org/tiny/resolve/v1/model.safetensors', model?.buffer ?? '');
  await page.goto(`./?fresh#open=${encodeURIComponent(first)}`);
  await expect(sentence(page)).toContainText('LayerNorm');
  await expect(siteRows(page)).toHaveCount(9);
  await page.evaluate((hub) => (location.hash = `#open=${encodeURIComponent('org/tiny@v1')}&hub=${hub}`), server.origin);
  await expect(siteRows(page)).toHaveCount(3);
  await expect(page.locator('.kicker')).toContainText('tiny');
});

test('a sharded model of a hub opens shard by shard', async ({ page, server }) => {
  const weights: Record<string, string> = {};
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const [one, other] = [SAMPLE[0]?.buffer ?? Buffer.of(), gpt2({ layers: 1 })[0]?.buffer ?? Buffer.of()];
  for (const [name, bytes] of [[names[0], one], [names[1], other]] as const) {
    server.put(`/org/two/resolve/main/${name}`, bytes);
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
    for (const tensor of Object.keys(header)) if (tensor !== '__metadata__') weights[tensor] = name ?? '';
  }
  server.put('/org/two/resolve/main/model.safetensors.index.json', JSON.stringify({ weight_map: weights }));
  const report = await openAddress(page, 'org/two', { hub: server.origin });
  expect(report.checkpoint.shards).toBe(2);
  expect(report.warnings).toEqual([]);
  expect(report.norms).toHaveLength(9 + 3);
});

const FAULTS: { play: Play; says: string[] }[] = [
  { play: 'no-cors', says: ['no CORS', 'Access-Control-Allow-Origin', 'download'] },
  { play: 'no-range', says: ['ignores Range', 'download'] },
  { play: 'page', says: ['web page, not a checkpoint'] },
  { play: { status: 403 }, says: ['status 403', 'token'] },
  { play: { status: 404 }, says: ['is not there', 'status 404'] },
  { play: { status: 429 }, says: ['status 429', 'tried 4 times'] },
  { play: 'gzip', says: ['compressed', 'tried 4 times'] },
  { play: 'other-range', says: ['other bytes'] },
  { play: 'half', says: ['gave', 'of the', 'tried 4 times'] },
  { play: 'cut', says: ['broke off', 'tried 4 times'] },
];

test('each fault has its own message, and the open report stays', async ({ page, server, elsewhere }) => {
  test.setTimeout(120_000);
  await openFromCode(page, gpt2());
  const before = await sentence(page).innerText();
  for (const [index, { play, says }] of FAULTS.entries()) {
    const address = putSample(server, `/m${index}`, play);
    const said = await refusal(page, address);
    for (const part of [address, ...says]) expect(said, JSON.stringify(play)).toContain(part);
    await expect(page.getByRole('alert')).toContainText(said);
    await expect(sentence(page)).toHaveText(before);
  }
  elsewhere.add('http://127.0.0.1:1');
  const gone = await refusal(page, 'http://127.0.0.1:1/m.safetensors');
  expect(gone).toContain('could not be reached');
});

test('if a server ignores ranges, the request ends before the whole body arrives', async ({ page, server }) => {
  const address = server.put('/large.safetensors', Buffer.alloc(50_000_000), 'no-range');
  expect(await refusal(page, address)).toContain('ignores Range');
  expect(server.sent).toBeLessThan(1_000_000);
});

test('a changed file is reported, and a request to a busy server is repeated', async ({ page, server }) => {
  const changing = await openAddress(page, putSample(server, '/changing', 'new-tag'));
  const problems = changing.norms.map(({ problem }) => problem ?? '').filter((problem) => problem !== '');
  expect(problems.join()).toContain('changed while it was read');
  const busy = await openAddress(page, putSample(server, '/busy', 'busy-once'));
  expect(busy.norms).toHaveLength(9);
  expect(busy.warnings).toEqual([]);
});

test('a server that hides its headers works too', async ({ page, server }) => {
  const report = await openAddress(page, putSample(server, '/hidden', 'hidden'));
  expect(report.norms).toHaveLength(9);
  expect(report.checkpoint.bytes).toBe(SAMPLE[0]?.buffer.length);
});

test('the message says that the machine is offline', async ({ page, server, context }) => {
  const address = putSample(server, '/m');
  await openFromCode(page, gpt2());
  // Each open fetches the worker and its wasm again. This route serves them offline, like a cache.
  const home = new URL(page.url()).origin;
  await page.route(`${home}/**`, async (route) => route.fulfill({ response: await page.request.get(route.request().url()) }));
  await openFromCode(page, gpt2());
  await context.setOffline(true);
  const said = await refusal(page, address);
  await context.setOffline(false);
  expect(said).toContain('this machine is offline');
  expect(server.seen).toHaveLength(0);
});

test('if the network drops during a read, the page says that the machine is offline, and keeps the open report', async ({ page, server, context }) => {
  await openFromCode(page, gpt2());
  // The part of the page that loads last is there before the fault.
  await page.waitForFunction(() => performance.getEntriesByType('resource').some(({ name }) => name.includes('renewal')));
  const address = putSample(server, '/drops', 'cut');
  const refused = refusal(page, address);
  await expect.poll(() => server.seen.length).toBeGreaterThan(0);
  await context.setOffline(true);
  expect(await refused).toContain('offline');
  await context.setOffline(false);
  await expect(siteRows(page)).toHaveCount(7);
});

test('a server that sends a byte a second is given up after half a minute', async ({ page, server }) => {
  const said = await refusal(page, putSample(server, '/slow', 'trickles'));
  expect(said).toContain('was sent too slowly');
});

test('the page asks for a token if the host wants one, and puts it in no link, report or storage', async ({ page, server }) => {
  const address = putSample(server, '/m', { token: 'hf_secret' });
  await page.locator('.dropzone .pick-address').fill(address);
  await page.getByRole('button', { name: 'Open address' }).click();
  await expect(page.getByRole('alert')).toContainText('without a token');
  await page.locator('.dropzone .pick-token').fill('hf_secret');
  await page.getByRole('button', { name: 'Open address' }).click();
  await expect(sentence(page)).toContainText('LayerNorm');
  const kept = await page.evaluate(() => location.href + JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(kept).not.toContain('hf_secret');
  expect(await page.content()).not.toContain('hf_secret');
  const report = await openAddress(page, address, { token: 'hf_secret' });
  expect(JSON.stringify(report)).not.toContain('hf_secret');
});

test('the verifier opens what was read without new requests', async ({ page, server }) => {
  const report = await openAddress(page, putSample(server, '/m'));
  const asked = server.seen.length;
  await page.locator('#measure').scrollIntoViewIfNeeded();
  const width = report.norms.at(-1)?.width ?? 0;
  const measured = await page.evaluate(
    async ([site, columns]) => {
      const rows = 4 * columns;
      const shape = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
      const header = new TextEncoder().encode(shape.padEnd(117) + '\n');
      const head = new Uint8Array(10 + header.length);
      head.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
      head.set(header, 10);
      const values = Float32Array.from({ length: rows * columns }, (_, index) => Math.sin(index * index));
      const { verification, checkpoint } = await window.gammascope.measure(new File([head, values], 'y.npy'), {
        site,
        device: 'cpu',
      });
      return { sites: verification?.sites.length, remote: checkpoint.remote };
    },
    [report.norms.at(-1)?.name ?? '', width] as const,
  );
  expect(measured.sites).toBe(1);
  expect(measured.remote).toEqual(report.checkpoint.remote);
  expect(server.seen.length).toBe(asked);
});

test('cancelling an address stops it and leaves the earlier report', async ({ page, server }) => {
  await openFromCode(page, gpt2());
  const address = putSample(server, '/slow', 'slow');
  await page.evaluate((text) => void window.gammascope.open(text).catch(() => undefined), address);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeHidden();
  await expect(siteRows(page)).toHaveCount(7);
  await expect(page.getByRole('alert')).toBeHidden();
});

test('for an invalid address, the message shows a valid one', async ({ page }) => {
  expect(await refusal(page, 'just words')).toContain('org/model');
  expect(await refusal(page, 'ftp://h.org/m.safetensors')).toContain('https://');
});
