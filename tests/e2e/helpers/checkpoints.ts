/** Small checkpoints with realistic layouts, as the files that people drop. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Tensor, filled, safetensors } from './safetensors.ts';

/** A file in a form for both Playwright and the `File` of the page. */
export type TestFile = { name: string; mimeType: string; buffer: Buffer };

function file(name: string, content: Buffer | string): TestFile {
  return { name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) };
}

/**
 * A GPT-2: LayerNorm everywhere, biases, tied embeddings. `tune` changes its tensors in place. `shards` distributes the tensors over so
 * many files. `prefix` goes before each name.
 */
export function gpt2({
  layers = 3,
  width = 32,
  name = 'model.safetensors',
  prefix = '',
  shards = 1,
  tune = (_tensors: Record<string, Tensor>): void => undefined,
} = {}): TestFile[] {
  const tensors: Record<string, Tensor> = {
    'wte.weight': filled([96, width], 0, 0.1, 1),
    'wpe.weight': filled([16, width], 0, 0.1, 2),
  };
  const norm = (site: string, seed: number) => {
    tensors[`${site}.weight`] = filled([width], 1, 0.5, seed);
    tensors[`${site}.bias`] = filled([width], 0, 0.2, seed + 1);
  };
  const linear = (path: string, input: number, output: number, seed: number) => {
    tensors[`${path}.weight`] = filled([input, output], 0, 0.1, seed);
    tensors[`${path}.bias`] = filled([output], 0, 0.1, seed + 1);
  };
  for (let layer = 0; layer < layers; layer += 1) {
    const seed = 100 * (layer + 1);
    norm(`h.${layer}.ln_1`, seed);
    linear(`h.${layer}.attn.c_attn`, width, 3 * width, seed + 10);
    linear(`h.${layer}.attn.c_proj`, width, width, seed + 20);
    norm(`h.${layer}.ln_2`, seed + 30);
    linear(`h.${layer}.mlp.c_fc`, width, 4 * width, seed + 40);
    linear(`h.${layer}.mlp.c_proj`, 4 * width, width, seed + 50);
  }
  norm('ln_f', 7);
  const config = {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    n_layer: layers,
    n_embd: width,
    n_head: 4,
    layer_norm_epsilon: 1e-5,
  };
  tune(tensors);
  const all = Object.entries(tensors).map(([tensor, values]) => [prefix + tensor, values] as const);
  const files = Array.from({ length: shards }, (_, shard) => {
    const held = all.filter((_, index) => index % shards === shard);
    const part = (number: number) => String(number).padStart(5, '0');
    const shardName = `model-${part(shard + 1)}-of-${part(shards)}.safetensors`;
    return file(shards === 1 ? name : shardName, safetensors(Object.fromEntries(held)));
  });
  return [...files, file('config.json', JSON.stringify(config))];
}

/** A LoRA adapter of `gpt2` on its fused attention. `config` overrides the configuration from PEFT. */
export function lora({ rank = 4, width = 32, config = {}, module = 'attn.c_attn' } = {}): TestFile[] {
  const tensors: Record<string, Tensor> = {};
  for (let layer = 0; layer < 3; layer += 1) {
    const path = `base_model.model.transformer.h.${layer}.${module}`;
    tensors[`${path}.lora_A.weight`] = filled([rank, width], 0, 1, 900 + layer);
    tensors[`${path}.lora_B.weight`] = filled([3 * width, rank], 0, 1, 950 + layer);
  }
  const written = { peft_type: 'LORA', r: rank, lora_alpha: 8, target_modules: ['c_attn'], fan_in_fan_out: true, ...config };
  return [
    file('adapter_model.safetensors', safetensors(tensors)),
    file('adapter_config.json', JSON.stringify(written)),
  ];
}

/** Names that would do harm as markup, and one normal site. */
export const HOSTILE_SITE = 'h.0.<img src=x onerror="document.title=\'owned\'">&amp;.ln_1';

export function hostile(): TestFile[] {
  const width = 16;
  const tensors: Record<string, Tensor> = {};
  for (const site of [
    HOSTILE_SITE,
    "h.1.</svg><script>document.title='owned'</script>.ln_1",
    'h.2.\u0007\u202e\u0000bell.ln_1',
    'ln_f',
  ]) {
    tensors[`${site}.weight`] = filled([width], 1, 0.5, 3);
    tensors[`${site}.bias`] = filled([width], 0, 0.2, 4);
  }
  return [file('<b>hostile</b>.safetensors', safetensors(tensors))];
}

/** Many norms and nothing else. The table must stay fast with them. */
export function manySites(count: number): TestFile[] {
  const tensors: Record<string, Tensor> = {};
  for (let layer = 0; layer < count; layer += 1) {
    tensors[`model.layers.${layer}.input_layernorm.weight`] = filled([4], 1, 0.5, layer);
  }
  return [
    file('model.safetensors', safetensors(tensors)),
    file(
      'config.json',
      JSON.stringify({ model_type: 'llama', num_hidden_layers: count, hidden_size: 4, rms_norm_eps: 1e-6 }),
    ),
  ];
}

/** One norm and many unrelated tensors. The list of tensors must stay fast with them. */
export function manyTensors(count: number): TestFile[] {
  const tensors: Record<string, Tensor> = { 'norm.weight': filled([3], 1, 0.5, 1) };
  const data = new Float32Array(4);
  for (let index = 0; index < count; index += 1) tensors[`table.${index}.rows`] = { shape: [2, 2], data };
  return [file('model.safetensors', safetensors(tensors))];
}

/** A file that ends inside its header. */
export function truncated(): TestFile[] {
  const [model] = gpt2();
  return [file('truncated.safetensors', model?.buffer.subarray(0, 40) ?? '')];
}

const SAMPLE = (name: string) => readFileSync(`samples/${name}/model.safetensors`);

/** A trained sample with meaningless names and no configuration. Only its weights show its kind. */
export function opaque(sample: 'layernorm' | 'rmsnorm'): TestFile[] {
  return [file('opaque.safetensors', renamed(SAMPLE(sample), (_, index) => `t${String(index).padStart(6, '0')}`))];
}

/** Both samples in one file: a LayerNorm part and an RMSNorm part. */
export function mixed(): TestFile[] {
  return [
    file('bundle/encoder/model.safetensors', SAMPLE('layernorm')),
    file('bundle/decoder/model.safetensors', SAMPLE('rmsnorm')),
  ];
}

/** A checkpoint as large as a 7B model that takes almost no disk space: a header, ones for scales, and a hole for the rest. */
export function sparse(folder: string): string {
  const [width, hidden, layers] = [4096, 11_008, 12];
  const header: Record<string, object> = {};
  let end = 0;
  const add = (name: string, shape: number[]) => {
    const begin = end;
    end += 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [begin, end] };
  };
  for (let layer = 0; layer < layers; layer += 1) {
    const name = `model.layers.${layer}`;
    add(`${name}.input_layernorm.weight`, [width]);
    add(`${name}.mlp.down_proj.weight`, [width, hidden]);
    add(`${name}.mlp.gate_proj.weight`, [hidden, width]);
    add(`${name}.mlp.up_proj.weight`, [hidden, width]);
    add(`${name}.post_attention_layernorm.weight`, [width]);
    for (const map of ['k', 'o', 'q', 'v']) add(`${name}.self_attn.${map}_proj.weight`, [width, width]);
  }
  add('model.norm.weight', [width]);
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(folder, 'sparse.safetensors');
  writeFileSync(path, Buffer.concat([length, json]));
  truncateSync(path, 8 + json.length + end);
  return path;
}

/** The same file under other names. */
function renamed(bytes: Buffer, rename: (name: string, index: number) => string): Buffer {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, object>;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries.map(([name, entry], index) => [rename(name, index), entry]))));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, bytes.subarray(start)]);
}
