// Checkpoints of any size that take almost no disk space: real headers and norm scales, and a hole in the file for the rest.

import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const BITS = { F32: 32, BF16: 16, U8: 8 };
const LENGTH_BYTES = 8;

/** name, dtype, shape. The values of `scale` tensors are written, others stay zero. */
const tensor = (name, shape, dtype, scale = false) => ({ name, shape, dtype, scale });

const bytesOf = ({ shape, dtype }) => (shape.reduce((a, b) => a * b, 1) * BITS[dtype]) / 8;

/** Llama's tensors at the size of the 70B model, in network order. */
export function llama({ layers = 80, width = 8192, vocabulary = 128_256, tied = false } = {}) {
  const [keys, hidden] = [1024, 28_672];
  const matrix = (name, rows, columns) => tensor(`${name}.weight`, [rows, columns], "BF16");
  const norm = (name) => tensor(`${name}.weight`, [width], "BF16", true);
  const block = (layer) => {
    const name = (part) => `model.layers.${layer}.${part}`;
    return [
      norm(name("input_layernorm")),
      matrix(name("mlp.down_proj"), width, hidden),
      matrix(name("mlp.gate_proj"), hidden, width),
      matrix(name("mlp.up_proj"), hidden, width),
      norm(name("post_attention_layernorm")),
      matrix(name("self_attn.k_proj"), keys, width),
      matrix(name("self_attn.o_proj"), width, width),
      matrix(name("self_attn.q_proj"), width, width),
      matrix(name("self_attn.v_proj"), keys, width),
    ];
  };
  const blocks = Array.from({ length: layers }, (_, layer) => block(layer)).flat();
  const head = tied ? [] : [matrix("lm_head", vocabulary, width)];
  return [matrix("model.embed_tokens", vocabulary, width), ...blocks, norm("model.norm"), ...head];
}

/** The configuration for `llama`. */
export const llamaConfig = ({ layers = 80, width = 8192, vocabulary = 128_256, tied = false } = {}) => ({
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_size: width,
  num_hidden_layers: layers,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  vocab_size: vocabulary,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  tie_word_embeddings: tied,
});

/** A mixture of experts with `count` small tensors, `block` of them in each block, two of which are norms. */
export function experts(count, block = 100) {
  return Array.from({ length: count }, (_, index) => {
    const [layer, part] = [Math.floor(index / block), index % block];
    const name = (last) => `model.layers.${layer}.${last}.weight`;
    if (part < 2) return tensor(name(part === 0 ? "input_layernorm" : "post_attention_layernorm"), [64], "F32", true);
    return tensor(name(`mlp.experts.${part - 2}.up_proj`), [8, 64], "F32");
  });
}

/** Writes one file. Returns its length. */
export function writeFile(path, tensors) {
  let end = 0;
  const header = { __metadata__: { format: "pt" } };
  const scales = [];
  for (const one of tensors) {
    const begin = end;
    end += bytesOf(one);
    header[one.name] = { dtype: one.dtype, shape: one.shape, data_offsets: [begin, end] };
    if (one.scale) scales.push({ begin, values: scaleValues(one) });
  }
  const json = Buffer.from(JSON.stringify(header));
  const text = Buffer.concat([json, Buffer.alloc(-json.length & 7, " ")]);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(text.length));
  const start = LENGTH_BYTES + text.length;
  const file = openSync(path, "w");
  writeSync(file, Buffer.concat([length, text]), 0, start, 0);
  ftruncateSync(file, start + end);
  for (const { begin, values } of scales) writeSync(file, values, 0, values.length, start + begin);
  closeSync(file);
  return start + end;
}

/**
 * Writes a folder of `shards` files with their index and configuration. Returns its path, the length of its shards, the files' paths, and
 * the name of the shard that holds a tensor.
 */
export function writeFolder(folder, tensors, config, shards) {
  mkdirSync(folder, { recursive: true });
  const total = tensors.reduce((sum, one) => sum + bytesOf(one), 0);
  const groups = Array.from({ length: shards }, () => []);
  let end = 0;
  for (const one of tensors) {
    groups[Math.min(shards - 1, Math.floor((end / total) * shards))].push(one);
    end += bytesOf(one);
  }
  const number = (n) => String(n).padStart(5, "0");
  const names = groups.map((_, index) =>
    shards === 1 ? "model.safetensors" : `model-${number(index + 1)}-of-${number(shards)}.safetensors`,
  );
  const bytes = groups.reduce((sum, group, index) => sum + writeFile(join(folder, names[index]), group), 0);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const companions = ["config.json"];
  const home = new Map(groups.flatMap((group, index) => group.map(({ name }) => [name, names[index]])));
  if (shards > 1) {
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(home) };
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
    companions.push("model.safetensors.index.json");
  }
  const files = [...names, ...companions].map((name) => join(folder, name));
  return { folder, bytes, files, shardOf: (name) => home.get(name) };
}

/** Reproducible scales in (0.2, 1), in the tensor's own type. */
function scaleValues({ shape, dtype }) {
  let state = 1;
  const values = Float32Array.from({ length: shape[0] }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return 0.2 + (0.8 * state) / 2 ** 32;
  });
  if (dtype === "F32") return Buffer.from(values.buffer);
  const halves = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16); // BF16: the upper half
  return Buffer.from(halves.buffer);
}
