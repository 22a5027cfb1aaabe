/** Activations as users capture them with their own code: outputs of the final norm of the LayerNorm sample. */
import { readFileSync } from 'node:fs';
import { type Tensor, safetensors } from './safetensors.ts';

export const WIDTH = 128;

/** Reads a BF16 tensor of the LayerNorm sample. */
function sample(name: string): Float32Array {
  const bytes = readFileSync('samples/layernorm/model.safetensors');
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, { data_offsets: [number, number] }>;
  const [begin, end] = header[name]?.data_offsets ?? [0, 0];
  const bits = Uint32Array.from({ length: (end - begin) / 2 }, (_, i) => bytes.readUInt16LE(start + begin + 2 * i) << 16);
  return new Float32Array(bits.buffer);
}

/** Outputs of a norm of the sample, in f32, on random streams: as a LayerNorm, or as an RMSNorm. */
export function outputs(tokens: number, subtracts = true, site = 'transformer.ln_f'): Tensor {
  const [scale, shift] = [sample(`${site}.weight`), sample(`${site}.bias`)];
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const data = new Float32Array(tokens * WIDTH);
  for (let token = 0; token < tokens; token += 1) {
    const x = Float32Array.from({ length: WIDTH }, () => random() + random() + random() - 1.2);
    const mean = Math.fround(subtracts ? x.reduce((sum, value) => Math.fround(sum + value), 0) / WIDTH : 0);
    const square = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / WIDTH;
    x.forEach((value, i) => {
      const y = Math.fround(Math.fround(value - mean) / Math.fround(Math.sqrt(square + 1e-5)));
      data[token * WIDTH + i] = Math.fround(y * (scale[i] ?? 1)) + (shift[i] ?? 0);
    });
  }
  return { shape: [tokens, WIDTH], data };
}

export const picked = (tensors: Record<string, Tensor>, name = 'captured.safetensors') => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: safetensors(tensors),
});
