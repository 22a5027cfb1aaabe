// Runs programs, with one line of progress for a long step, and its output if it fails.

import { spawn, spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The top of the repository. Every script runs there, wherever it was started. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
process.chdir(root);

const terminal = process.stdout.isTTY === true;
const HEARTBEAT_MS = terminal ? 1_000 : 30_000;
const TAIL_LINES = 60;

/** An error as one sentence for the person at the terminal. `output` is the output of the program. */
export class Failure extends Error {
  constructor(sentence, output = "") {
    super(sentence);
    this.output = output;
  }
}

/** Runs the main function of a script. It prints the sentence of a Failure, and the stack of any other error. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (error instanceof Failure) {
      if (error.output) console.error(tail(error.output));
      console.error(`\n${error.message}`);
    } else {
      console.error(error);
    }
    process.exitCode = 1;
  }
}

/** Runs a program and returns its standard output, or null if it is missing or fails. */
export function ask(command, args) {
  const { status, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trim() : null;
}

/**
 * Runs one step with a progress line and returns its standard output.
 * If the program is missing, fails, or takes longer than `minutes`, it throws a Failure with the sentence `otherwise`.
 * `onStart` gets the id of the process.
 */
export async function step(label, command, args, { env = {}, minutes = 60, otherwise, onStart = () => {} } = {}) {
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`;
  let latest = "";
  if (!terminal) console.log(label);
  const beat = setInterval(() => {
    if (terminal) rewrite(`${label} · ${seconds()}${latest && ` · ${latest}`}`);
    else console.log(`  ${seconds()}${latest && ` · ${latest}`}`);
  }, HEARTBEAT_MS);
  if (terminal) rewrite(label);

  const { code, stdout, stderr } = await collect(command, args, { env, minutes, onStart }, (chunk, from) => {
    if (from === "stderr") latest = chunk.trim().split("\n").at(-1).trim();
  });

  clearInterval(beat);
  if (terminal) rewrite(`${label} · ${seconds()}\n`);
  else if (code === 0) console.log(`  done in ${seconds()}`);
  if (code !== 0)
    throw new Failure(otherwise ?? `\`${command} ${args.join(" ")}\` failed.`, stderr || stdout);
  return stdout;
}

/** Runs a program and shows its output as it arrives. Returns its exit code and its output. */
export function show(command, args, { env = {} } = {}) {
  return collect(command, args, { env, minutes: 60 }, (chunk, from) => process[from].write(chunk));
}

function collect(command, args, { env, minutes, onStart }, onChunk) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: minutes * 60_000,
    });
    if (child.pid) onStart?.(child.pid);
    const stop = () => child.kill();
    process.once("exit", stop);
    const said = { stdout: "", stderr: "" };
    const take = (from) => (chunk) => {
      said[from] += chunk;
      onChunk(chunk, from);
    };
    child.stdout.setEncoding("utf8").on("data", take("stdout"));
    child.stderr.setEncoding("utf8").on("data", take("stderr"));
    const end = (code, why) => {
      process.off("exit", stop);
      resolve({ code, stdout: said.stdout, stderr: said.stderr + why });
    };
    child.once("error", (error) => end(127, `${error.message}\n`));
    child.once("close", (code, signal) => end(code ?? 1, signal ? `stopped by ${signal}\n` : ""));
  });
}

function rewrite(line) {
  const width = (process.stdout.columns || 80) - 1;
  process.stdout.write(`\r\x1b[K${line.endsWith("\n") ? line : line.slice(0, width)}`);
}

function tail(output) {
  return output.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
}
