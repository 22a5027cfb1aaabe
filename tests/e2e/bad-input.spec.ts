/** For a file that is not a checkpoint, one message names the file, and the open report stays as it is. */
import { type TestFile, gpt2 } from './helpers/checkpoints.ts';
import { expect, sentence, siteRows, test, transfer } from './helpers/page.ts';
import { type Tensor, safetensors } from './helpers/safetensors.ts';

const HEADER_LENGTH = 8;

const file = (name: string, ...parts: (string | number[] | Buffer)[]): TestFile => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part)))),
});

function announced(length: bigint): Buffer {
  const bytes = Buffer.alloc(HEADER_LENGTH);
  bytes.writeBigUInt64LE(length);
  return bytes;
}

/** A file with this header, valid or not, followed by `data` zeros. */
const headed = (name: string, header: string, data = 0): TestFile =>
  file(name, announced(BigInt(Buffer.byteLength(header))), header, Buffer.alloc(data));

const entry = (begin: number, end: number, shape = '[1]') =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;

/** A valid file without its last bytes. */
function cut(name: string): TestFile {
  const [model] = gpt2({ layers: 1 });
  return file(name, model?.buffer.subarray(0, -5) ?? '');
}

/** Each file, and what its message says besides the name of the file. */
const BAD: { what: string; bad: TestFile; says: string[] }[] = [
  { what: 'an empty file', bad: file('empty.safetensors'), says: ['empty'] },
  { what: 'five bytes', bad: file('stub.safetensors', [1, 2, 3, 4, 5]), says: ['5 bytes'] },
  { what: 'an answer', bad: file('gone.safetensors', 'Entry not found'), says: ['is text', 'Entry not found', 'download'] },
  { what: 'a header of 2⁶³ bytes', bad: file('huge.safetensors', announced(1n << 63n), '{}'), says: ['limit'] },
  { what: 'a header that is cut off', bad: file('short.safetensors', announced(500n), '{"a":'), says: ['cut off'] },
  { what: 'data that are cut off', bad: cut('partial.safetensors'), says: ['tensor "', 'byte', 'download it again'] },
  { what: 'a header that is no JSON', bad: headed('broken.safetensors', '{"a":oops}'), says: ['not valid at byte 13'] },
  {
    what: 'a header that is no UTF-8',
    bad: file('latin.safetensors', announced(4n), '{"', [0xff], '"'),
    says: ['UTF-8 at byte 10'],
  },
  {
    what: 'tensors that overlap',
    bad: headed('overlap.safetensors', `{"a":${entry(0, 4)},"b":${entry(2, 6)}}`, 6),
    says: ['tensor "b"', 'inside the tensor before it'],
  },
  {
    what: 'a size that is not shape × type',
    bad: headed('size.safetensors', `{"a":${entry(0, 4, '[7]')}}`, 4),
    says: ['tensor "a"', '28 bytes'],
  },
  {
    what: 'a name that occurs twice',
    bad: headed('twice.safetensors', `{"a":${entry(0, 4)},"a":${entry(0, 4)}}`, 4),
    says: ['"a" occurs twice'],
  },
  {
    what: 'metadata that hold a number',
    bad: headed('metadata.safetensors', `{"__metadata__":{"step":3},"a":${entry(0, 4)}}`, 4),
    says: ['__metadata__', 'a number'],
  },
  { what: 'a name with markup', bad: file('<img src=x onerror=alert(1)>.safetensors'), says: ['empty'] },
  {
    what: 'an adapter',
    bad: headed('adapter_model.safetensors', `{"q.lora_A.weight":${entry(0, 4)},"q.lora_B.weight":${entry(4, 8)}}`, 8),
    says: ['adapter', 'base model'],
  },
  { what: 'a pickle', bad: file('model.pt', [0x80, 2], '}q\0X'), says: ['pickle', 'safetensors'] },
  {
    what: 'an archive of torch.save that is cut off',
    bad: file('pytorch_model.bin', 'PK\x03\x04', Buffer.alloc(60)),
    says: ['no directory', 'download it again'],
  },
  {
    what: 'a GGUF file without tensors',
    bad: file('model.gguf', 'GGUF', [3, 0, 0, 0], Buffer.alloc(16)),
    says: ['no tensor'],
  },
  { what: 'an error page', bad: file('model.safetensors', '<!DOCTYPE html><title>404</title>'), says: ['web page'] },
  {
    what: 'an index without its shards',
    bad: file('model.safetensors.index.json', '{"weight_map":{"a":"model-00001-of-00002.safetensors"}}'),
    says: ['model-00001-of-00002.safetensors'],
  },
];

test('the message for each bad file has its name, and the open report stays', async ({ page }) => {
  await transfer(page, gpt2(), 'drop');
  await expect(siteRows(page)).toHaveCount(7);
  const before = await sentence(page).innerText();
  const alert = page.getByRole('alert');
  for (const { what, bad, says } of BAD) {
    await test.step(what, async () => {
      await transfer(page, [bad], 'drop');
      for (const part of [bad.name, ...says]) await expect(alert).toContainText(part);
      await expect(sentence(page)).toHaveText(before);
      await expect(siteRows(page)).toHaveCount(7);
      await alert.getByRole('button', { name: 'Dismiss' }).click();
      await expect(alert).toBeHidden();
    });
  }
  await siteRows(page).first().click();
  await expect(page.locator('tr.detail svg[role=img]').first()).toBeVisible();
});

test('if a file disappears between pick and read, the message names it', async ({ page }) => {
  await transfer(page, gpt2(), 'drop');
  await expect(siteRows(page)).toHaveCount(7);
  const [model] = gpt2({ layers: 1 });
  const rejected = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const folder = await navigator.storage.getDirectory();
    const handle = await folder.getFileHandle('vanishing.safetensors', { create: true });
    const writer = await handle.createWritable();
    await writer.write(bytes);
    await writer.close();
    const gone = await handle.getFile();
    await folder.removeEntry('vanishing.safetensors');
    return window.gammascope.open([gone]).then(
      () => '',
      (error: Error) => error.message,
    );
  }, model?.buffer.toString('base64') ?? '');
  expect(rejected).toContain('vanishing.safetensors');
  await expect(page.getByRole('alert')).toContainText(rejected);
  await expect(siteRows(page)).toHaveCount(7);
});

test('an invalid configuration and a missing shard are warnings', async ({ page }) => {
  const [model] = gpt2({ layers: 1 });
  const shard = { name: 'model-00001-of-00002.safetensors', mimeType: '', buffer: model?.buffer ?? Buffer.of() };
  await transfer(page, [shard, file('config.json', '{"model_type":')], 'drop');
  await expect(siteRows(page)).toHaveCount(3);
  for (const part of ['config.json', 'model-00002-of-00002.safetensors']) {
    await expect(page.locator('#warnings')).toContainText(part);
  }
});

test('a scale with NaN is reported at its site, and the other sites have results', async ({ page }) => {
  const values = { 'a.norm.weight': [1, Number.NaN], 'b.norm.weight': [0.5, 2], 'b.norm.bias': [0.5, 0.5] };
  const tensors: Record<string, Tensor> = {};
  for (const [name, data] of Object.entries(values)) {
    tensors[name] = { shape: [data.length], data: Float32Array.from(data) };
  }
  await transfer(page, [file('nan.safetensors', safetensors(tensors))], 'drop');
  await expect(siteRows(page)).toHaveCount(2);
  await expect(page.locator('#warnings')).toContainText('a.norm.weight');
  await expect(page.locator('#warnings')).toContainText('[1] is NaN');
});
