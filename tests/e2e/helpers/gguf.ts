/** The RMSNorm sample as a GGUF file, as llama.cpp's converter writes it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFile } from './checkpoints.ts';
import { read } from './packed.ts';
import type { Tensor } from './safetensors.ts';

const ALIGNMENT = 32;
const BLOCK = 32;
const TYPES = { F32: 0, Q8_0: 8 };
const OF_BLOCK = { attn_norm: 'input_layernorm', attn_q: 'self_attn.q_proj', attn_k: 'self_attn.k_proj', attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj', ffn_norm: 'post_attention_layernorm', ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj' };

/** The sample with its matrices in Q8_0. */
export function quantisedSample(): TestFile {
  const file = (path: string) => readFileSync(join('samples/rmsnorm', path));
  const config = JSON.parse(file('config.json').toString());
  const stored = read(file('model.safetensors'));
  const named = (name: string) => {
    const tensor = stored[name];
    if (!tensor) throw new Error(`The sample has no ${name}.`);
    return tensor;
  };
  const tensors: [string, Tensor][] = [
    ['token_embd.weight', named('model.embed_tokens.weight')],
    ['output_norm.weight', named('model.norm.weight')],
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer += 1) {
    for (const [own, name] of Object.entries(OF_BLOCK)) {
      const tensor = named(`model.layers.${layer}.${name}.weight`);
      const turned = own === 'attn_q' || own === 'attn_k';
      tensors.push([`blk.${layer}.${own}.weight`, turned ? interleaved(tensor, config.num_attention_heads) : tensor]);
    }
  }
  const metadata = [
    text('general.architecture', 'llama'),
    number('llama.block_count', config.num_hidden_layers),
    number('llama.context_length', config.max_position_embeddings),
    number('llama.embedding_length', config.hidden_size),
    number('llama.feed_forward_length', config.intermediate_size),
    number('llama.attention.head_count', config.num_attention_heads),
    number('llama.attention.head_count_kv', config.num_key_value_heads),
    number('llama.rope.dimension_count', config.head_dim),
    number('llama.vocab_size', config.vocab_size),
    real('llama.attention.layer_norm_rms_epsilon', config.rms_norm_eps),
    real('llama.rope.freq_base', config.rope_theta),
  ];
  return { name: 'sample-Q8_0.gguf', mimeType: 'application/octet-stream', buffer: gguf(metadata, tensors) };
}

/** Rows of queries or keys in the order in which neighbours turn together. */
function interleaved({ shape, data }: Tensor, heads: number): Tensor {
  const [rows = 0, columns = 0] = shape;
  const [width, half] = [rows / heads, rows / heads / 2];
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row += 1) {
    const [head, at] = [Math.floor(row / width), row % width];
    const from = head * width + (at % 2) * half + Math.floor(at / 2);
    turned.set(data.subarray(from * columns, (from + 1) * columns) as Float32Array, row * columns);
  }
  return { shape, data: turned };
}

function gguf(metadata: Buffer[], tensors: [string, Tensor][]): Buffer {
  const header = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length), ...metadata];
  const values: Buffer[] = [];
  let at = 0;
  for (const [name, { shape, data }] of tensors) {
    const quantised = shape.length === 2;
    const bytes = quantised ? q8(data as Float32Array) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const sizes = [...shape].reverse().map(u64);
    header.push(string(name), u32(shape.length), ...sizes, u32(quantised ? TYPES.Q8_0 : TYPES.F32), u64(at));
    const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & (ALIGNMENT - 1))]);
    values.push(padded);
    at += padded.length;
  }
  const before = Buffer.concat(header);
  return Buffer.concat([before, Buffer.alloc(-before.length & (ALIGNMENT - 1)), ...values]);
}

/** Blocks of 32 codes behind a scale of half precision. The scale is a power of two, which half precision holds exactly. */
function q8(data: Float32Array): Buffer {
  const blocks: Buffer[] = [];
  for (let from = 0; from < data.length; from += BLOCK) {
    const values = data.subarray(from, from + BLOCK);
    const most = Math.max(...values.map(Math.abs));
    const exponent = Math.max(Math.ceil(Math.log2(most / 127)), -14);
    const block = Buffer.alloc(2 + BLOCK);
    block.writeUInt16LE((exponent + 15) << 10);
    values.forEach((value, place) => block.writeInt8(Math.round(value / 2 ** exponent), 2 + place));
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

const text = (key: string, value: string) => Buffer.concat([string(key), u32(8), string(value)]);
const number = (key: string, value: number) => Buffer.concat([string(key), u32(4), u32(value)]);
const real = (key: string, value: number) => Buffer.concat([string(key), u32(6), Buffer.from(Float32Array.of(value).buffer)]);
const string = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function u64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}
