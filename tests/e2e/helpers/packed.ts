/** A sample with its matrices packed as MLX stores them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFile } from './checkpoints.ts';
import { type Tensor, safetensors } from './safetensors.ts';

const GROUP = 32;
const LARGEST = 255;

/** The files of a sample, with 8 bits for each value of a matrix, and a scale and a bias for each 32 of them. */
export function packedSample(name: 'layernorm' | 'rmsnorm'): TestFile[] {
  const file = (path: string) => readFileSync(join('samples', name, path));
  const tensors: Record<string, Tensor> = {};
  for (const [path, tensor] of Object.entries(read(file('model.safetensors')))) {
    if (tensor.shape.length === 2) Object.assign(tensors, packed(path.replace(/\.weight$/, ''), tensor));
    else tensors[path] = tensor;
  }
  const config = { ...JSON.parse(file('config.json').toString()), quantization: { group_size: GROUP, bits: 8 } };
  const made = (path: string, buffer: Buffer) => ({ name: path, mimeType: 'application/octet-stream', buffer });
  return [
    made('model.safetensors', safetensors(tensors)),
    made('config.json', Buffer.from(JSON.stringify(config))),
    made('tokenizer.json', file('tokenizer.json')),
  ];
}

/** The tensors of a file of BF16 or F32, as F32. */
export function read(file: Buffer): Record<string, Tensor> {
  const length = Number(file.readBigUInt64LE());
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.subarray(8, 8 + length).toString(),
  );
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return Object.fromEntries(
    tensors.map(([name, { dtype, shape, data_offsets: [begin, end] }]) => {
      const bytes = file.subarray(8 + length + begin, 8 + length + end);
      const size = dtype === 'BF16' ? 2 : 4;
      const data = Float32Array.from({ length: bytes.length / size }, (_, at) => {
        if (size === 4) return bytes.readFloatLE(4 * at);
        const widened = Buffer.alloc(4);
        bytes.copy(widened, 2, 2 * at, 2 * at + 2);
        return widened.readFloatLE();
      });
      return [name, { shape, data }];
    }),
  );
}

function packed(module: string, { shape, data }: Tensor): Record<string, Tensor> {
  const [rows = 0, columns = 0] = shape;
  const groups = [rows, columns / GROUP];
  const scales = new Float32Array(data.length / GROUP);
  const biases = new Float32Array(data.length / GROUP);
  const codes = new Uint8Array(data.length);
  for (let group = 0; group < scales.length; group += 1) {
    const values = data.subarray(group * GROUP, (group + 1) * GROUP);
    const least = Math.min(...values);
    const scale = (Math.max(...values) - least) / LARGEST || 1;
    [scales[group], biases[group]] = [scale, least];
    values.forEach((value, at) => (codes[group * GROUP + at] = Math.round((value - least) / scale)));
  }
  return {
    [`${module}.weight`]: { shape: [rows, columns / 4], data: new Uint32Array(codes.buffer) },
    [`${module}.scales`]: { shape: groups, data: scales },
    [`${module}.biases`]: { shape: groups, data: biases },
  };
}
