/** A minimal writer for test files: header length, JSON header, data. */

export type Tensor = { shape: number[]; data: Float32Array | Uint32Array };

const HEADER_ALIGNMENT = 8;

export function safetensors(tensors: Record<string, Tensor>): Buffer {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const begin = end;
      end += data.byteLength;
      return [name, { dtype: data instanceof Uint32Array ? 'U32' : 'F32', shape, data_offsets: [begin, end] }];
    }),
  );
  const json = JSON.stringify(header);
  const padded = Buffer.from(json + ' '.repeat(-Buffer.byteLength(json) & (HEADER_ALIGNMENT - 1)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const data = Object.values(tensors).map((tensor) =>
    Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength),
  );
  return Buffer.concat([length, padded, ...data]);
}

/** Repeatable numbers around a mean, uniform in ± spread. */
export function filled(shape: number[], mean: number, spread: number, seed: number): Tensor {
  let state = seed >>> 0;
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return mean + spread * ((2 * state) / 2 ** 32 - 1);
  });
  return { shape, data };
}
