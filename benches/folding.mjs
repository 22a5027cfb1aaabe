// Rewrites checkpoints beside `cp`: a model that is mostly one tensor, which is only copied, and one in many shards.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, fdatasyncSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { llama, llamaConfig, writeFolder } from "./sparse.mjs";

/** One block, with 0.5 and with 4.6 GB of embeddings. */
const COPIED = [32_768, 278_528].map((vocabulary) => ({ layers: 1, vocabulary, tied: true }));
/** Four blocks of the width of the 70B model. */
const SHARDED = { layers: 4 };
const SHARDS = 30;
const PIECE = Buffer.alloc(16 << 20, 1);
const RUNS = 3;

/**
 * Times a fold beside `cp` and `sync`. Returns by how many bytes the larger embedding exceeds the smaller one, with the seconds that these
 * bytes take, and what the model in many shards takes: bytes, seconds, the most memory, and the bytes read and written. Runs take turns.
 */
export async function timeFolding(command, folder) {
  const models = COPIED.map((shape, at) => written(join(folder, `copied-${at}`), shape, 1));
  const seconds = { fold: [[], []], cp: [[], []] };
  for (let run = 0; run <= RUNS; run += 1) {
    for (const [at, model] of models.entries()) {
      const out = join(folder, "out");
      const fold = (await folded(command, model.folder, out)).seconds;
      const cp = copied(model.folder, out);
      // The first run warms the cache.
      if (run > 0) for (const [name, value] of Object.entries({ fold, cp })) seconds[name][at].push(value);
    }
  }
  const [small, large] = models.map(({ bytes }) => bytes);
  for (const model of models) rmSync(model.folder, { recursive: true });
  const least = (name) => Math.min(...seconds[name][1]) - Math.min(...seconds[name][0]);
  const model = written(join(folder, "sharded"), SHARDED, SHARDS);
  const many = await folded(command, model.folder, join(folder, "out"));
  rmSync(model.folder, { recursive: true });
  return { alone: { bytes: large - small, fold: least("fold"), cp: least("cp") }, many: { ...many, bytes: model.bytes } };
}

/** Writes a model without holes, which `cp` would copy as holes. */
function written(folder, shape, shards) {
  const model = writeFolder(folder, llama(shape), llamaConfig(shape), shards);
  for (const path of model.files.filter((name) => name.endsWith(".safetensors"))) fill(path);
  return model;
}

/** Writes small numbers (0x0101 in BF16) into all matrices. */
function fill(path) {
  const file = openSync(path, "r+");
  const length = Buffer.alloc(8);
  readSync(file, length, 0, 8, 0);
  const size = Number(length.readBigUInt64LE());
  const json = Buffer.alloc(size);
  readSync(file, json, 0, size, 8);
  for (const { shape, data_offsets: offsets } of Object.values(JSON.parse(json.toString()))) {
    if (shape?.length !== 2) continue;
    const [begin, end] = offsets;
    for (let at = begin; at < end; at += PIECE.length) writeSync(file, PIECE, 0, Math.min(PIECE.length, end - at), 8 + size + at);
  }
  fdatasyncSync(file);
  closeSync(file);
}

/** Folds a model. Returns the seconds, and on Linux the most memory and the bytes read and written. */
async function folded(command, model, out) {
  const began = performance.now();
  const child = spawn(command, ["fold", model, "-o", out, "--scales"], { stdio: ["ignore", "ignore", "inherit"] });
  let [memory, read, wrote] = [0, 0, 0];
  const look = setInterval(() => {
    try {
      const number = (file, name) => Number(readFileSync(`/proc/${child.pid}/${file}`, "utf8").match(new RegExp(`^${name}:\\s*(\\d+)`, "m"))?.[1]);
      memory = number("status", "VmHWM") * 1024 || memory;
      [read, wrote] = [number("io", "rchar") || read, number("io", "wchar") || wrote];
    } catch {
      // It has ended, or this is not Linux.
    }
  }, 20);
  const code = await new Promise((resolve) => child.once("exit", resolve));
  clearInterval(look);
  const seconds = (performance.now() - began) / 1000;
  if (code !== 0) throw new Error(`${command} fold ended with ${code}`);
  rmSync(out, { recursive: true });
  return { seconds, memory, read, wrote };
}

/** Copies a model and waits until it is on the disk, as a fold does. */
function copied(model, out) {
  const began = performance.now();
  for (const words of [["cp", "-r", model, out], ["sync", "-f", out]]) {
    const { status } = spawnSync(words[0], words.slice(1), { stdio: "inherit" });
    if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}`);
  }
  const seconds = (performance.now() - began) / 1000;
  rmSync(out, { recursive: true });
  return seconds;
}
