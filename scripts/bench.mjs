// npm run bench: prints one table of bytes, times and ratios. Both sides of a ratio are measured in the same run.
//   npm run bench -- --as-is   measures the existing dist/ instead of building the page first
//   npm run bench -- running   only runs models, also with PyTorch and onnxruntime-web, for which it installs 3 GB
//   npm run bench -- encoders  of these, only runs the encoders of images and sounds
//   npm run bench -- pytorch   only opens a file of PyTorch of 10 GB, also with PyTorch
//   npm run bench -- folding   only rewrites checkpoints, beside cp; needs 24 GB of disk
//   npm run bench -- python    only times the Python package, which it builds with optimisation
// WebGPU runs in software, or on the GPU of the machine if GAMMASCOPE_GPU is set.

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readSync, readdirSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { serveHub } from "../benches/hub.mjs";
import { timeFolding } from "../benches/folding.mjs";
import { timeKernels } from "../benches/kernels.mjs";
import { servePeer, timeOnnx, timePage } from "../benches/running.mjs";
import { SLOW, serve, timeDrop, timeLoad, timeMeasuring, timeTable, timeWeights } from "../benches/page.mjs";
import { experts, llama, llamaConfig, writeFolder } from "../benches/sparse.mjs";
import { build } from "./build.mjs";
import { findChromium } from "./lib/chromium.mjs";
import { Failure, ask, main, step } from "./lib/run.mjs";
import { cargoBuild } from "./lib/rust.mjs";
import { BUDGET_KB } from "./lib/size.mjs";
import { setUp } from "./setup.mjs";

const RUNS = 7;
const MINILM = ".cache/models/all-MiniLM-L6-v2";
const MINILM_FILES = ["model.safetensors", "config.json"].map((name) => join(MINILM, name));
const SAMPLE = ["model.safetensors", "config.json"].map((name) => join("samples/layernorm", name));
/** A single file with a tensor of exactly 2 GiB, and norms past the 4 GiB that 32 bits can count. */
const NINE_GB = { layers: 4, vocabulary: 131_072, tied: true };
const GROWTH = [1_000, 10_000, 100_000];
/** The limit of bytes read beyond the headers, as a multiple of the bytes of the norms. */
const READ_BOUND = 1.2;
/** Sites, tokens and width of the measurement, as in GPT-2. */
const MEASURED = [25, 4096, 768];
/** Tokens and width for the comparison of shaders. A software adapter takes about a second. */
const RACE = [1024, 256];
const TIME_WIDTH = "10000 ms".length; // a note about what was skipped may be longer

/** The table: rows of cells, and headings of one cell. */
const rows = [];
const row = (what, { file, read, time, ratio = "" }) => rows.push([what, file, read, time, ratio]);
const heading = (what) => rows.push([what]);

/**
 * The models to run, and the number of sequences of 128 tokens: what the other programs do on a software adapter in minutes. The page
 * also measures the last norm, so it (`ofPage`) needs more tokens than the norm has channels.
 */
const RUN = { "all-MiniLM-L6-v2": { sequences: 4, ofPage: 4 }, "SmolLM2-135M": { sequences: 1, ofPage: 5 } };

/**
 * The encoders to run, of what, and how many of their blocks: what a software adapter does in minutes. All blocks of an encoder take the
 * same time. With as many blocks as its encoder has, Whisper runs without its decoder.
 */
const ENCODERS = {
  "vit-base-patch16-224": { what: "1 image", sequences: 1, blocks: 3 },
  "whisper-base": { what: "one sound of 30 s", sequences: 1, blocks: 6 },
};

/** Blocks of the file of PyTorch, of 0.4 GB each. */
const PICKLED_BLOCKS = 24;

await main(async () => {
  await setUp();
  const words = ["running", "encoders", "pytorch", "folding", "python"];
  const [running, encoders, pytorch, folding, python] = words.map((word) => process.argv.includes(word));
  // The encoders run in the page alone.
  const command = encoders ? undefined : await compile();
  if (!process.argv.includes("--as-is") && !pytorch && !folding && !python) await build();
  const folder = mkdtempSync(join(tmpdir(), "gammascope-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  process.once("SIGINT", () => process.exit(130));
  if (pytorch || folding || python) {
    if (folding) await rewriting(command, folder);
    if (pytorch) await pickled(command, join(folder, "pytorch_model.bin"));
    if (python) await packaged(command, folder);
    print();
    return;
  }
  const browser = await startChromium();
  try {
    if (running || encoders) {
      try {
        if (running) await runningTexts(command, browser, folder);
        await runningEncoders(browser, folder);
      } finally {
        print();
      }
      return;
    }
    console.log("Writing sparse checkpoints");
    await fetchMiniLm();
    const models = checkpoints(folder);
    console.log("Command line");
    for (const model of models) Object.assign(model, inspect(command, model.folder));
    await opening(models, browser);
    await using(browser, folder, models);
    await comparing(models);
    await weighing(browser);
    await measuring(command, browser, join(folder, "measured"));
    linking(command, join(folder, "linked"));
    await asking(command, models);
    console.log("Growth");
    growing(command, folder);
  } finally {
    await browser.close?.();
  }
  print();
});

function compile() {
  const program = process.platform === "win32" ? ".exe" : "gammascope";
  return cargoBuild("Command line: compiling, with optimisation", ["--release", "--locked", "--bin", "gammascope"], program);
}

async function fetchMiniLm() {
  const python = ["python3", "python"].find((name) => ask(name, ["--version"]) !== null);
  if (MINILM_FILES.every((file) => existsSync(file)) || !python) return;
  try {
    await step("all-MiniLM: fetching", python, ["tests/models/fetch.py", ".cache/models", "minilm"], { minutes: 5 });
  } catch {
    // The table says that it is missing.
  }
}

function checkpoints(folder) {
  const models = [
    { name: "30 shards", ...writeFolder(join(folder, "shards"), llama(), llamaConfig(), 30) },
    { name: "a tensor of 2 GiB", ...writeFolder(join(folder, "one"), llama(NINE_GB), llamaConfig(NINE_GB), 1) },
  ];
  models.push({ name: "90,000 tensors", ...writeFolder(join(folder, "many"), experts(90_000, 1_500), { model_type: "mixtral" }, 1) });
  if (MINILM_FILES.every((file) => existsSync(file))) {
    const bytes = statSync(MINILM_FILES[0]).size;
    const shardOf = () => "model.safetensors";
    models.push({ name: "all-MiniLM-L6-v2", folder: MINILM, files: MINILM_FILES, bytes, shardOf });
  }
  return models;
}

/** Measures the median time of whole processes, without and with a sample of the weights. Also returns the report. */
function inspect(command, path) {
  const report = JSON.parse(timed(command, ["inspect", path, "--json"]).stdout); // this run warms the cache
  const of = (...options) =>
    median(Array.from({ length: RUNS }, () => timed(command, ["inspect", path, ...options]).milliseconds));
  return { milliseconds: of("--no-weights"), weighed: of(), report };
}

/** Measures the bytes and the time of an open, from the headers to the verdict, on the command line and in the page. */
async function opening(models, browser) {
  heading("Opening");
  for (const { name, bytes, files, milliseconds, weighed, report } of models) {
    const { bytes_read: read, header_bytes: headers, norm_bytes: norms } = report.checkpoint;
    const beyond = (read - headers) / norms;
    if (beyond > READ_BOUND) throw new Failure(`${name}: read ${beyond.toFixed(2)} × its norms beyond the headers.`);
    const bound = `headers ${size(headers)} + ${beyond.toFixed(2)} × norms (≤ ${READ_BOUND})`;
    row(`${name} · command line`, { file: size(bytes), read: size(read), time: ms(milliseconds), ratio: bound });
    const sampled = report.checkpoint.weight_bytes_read;
    row(`${name} · command line, with weights`, { read: size(sampled), time: ms(weighed), ratio: against(weighed, milliseconds) });
    if (browser.why) {
      row(`${name} · page`, { time: browser.why });
      continue;
    }
    console.log(`Chromium: ${name}`);
    const drops = [];
    for (let run = 0; run < RUNS; run += 1) drops.push(await timeDrop(browser.instance, browser.url, files));
    const { bytes: readThere, sentence } = drops[0];
    if (sentence !== report.model.sentence) {
      throw new Failure(`${name}: the page says "${sentence}", the command line "${report.model.sentence}".`);
    }
    const time = median(drops.map((drop) => drop.milliseconds));
    const cells = { file: size(bytes), read: size(readThere), time: ms(time), ratio: against(time, milliseconds) };
    row(`${name} · page, from drop`, cells);
    const after = await timeWeights(browser.instance, browser.url, files);
    row(`${name} · page, with weights, once`, {
      read: size(after.bytes),
      time: ms(after.milliseconds),
      ratio: against(after.milliseconds, weighed),
    });
  }
  if (models.at(-1).folder !== MINILM) {
    row("all-MiniLM-L6-v2", { time: "skipped: it could not be fetched" });
  }
}

/** Measures clicks, keys and scrolling in the page, with a short report, one of 5,001 norms and one of 90,000 tensors. */
async function using(browser, folder, models) {
  heading("Using a report: its slowest interaction with the table of norms, and scrolling its list of tensors");
  if (browser.why) return row("the tables of a report", { time: browser.why });
  const many = models.find(({ name }) => name === "90,000 tensors");
  const reports = [25, 2_500].map((layers) => {
    const options = { layers, width: 1024, vocabulary: 32_000 };
    return { name: `${2 * layers + 1} norms`, ...writeFolder(join(folder, `${layers}-layers`), llama(options), llamaConfig(options), 1) };
  });
  let first;
  for (const { name, files } of [...reports, many]) {
    const { interactions, median: usual, longest } = await timeTable(browser.instance, browser.url, files);
    const [slowest, time] = Object.entries(interactions).toSorted(([, one], [, other]) => other - one)[0];
    first ??= time;
    row(`${name}: ${slowest}`, { time: ms(time), ratio: `${(time / 100).toFixed(2)} of 100 ms, ${(time / first).toFixed(1)} × ${reports[0].name}` });
    row(`${name}: a frame of scrolling`, { time: ms(usual), ratio: `the longest takes ${ms(longest)}` });
  }
}

/** Measures measuring on activations: the shaders alone, the whole measurement, and numpy on the same activations. */
async function measuring(command, browser, folder) {
  heading("Exact Gram matrix: the shader against a plain f32 one");
  const race = browser.why ? { why: browser.why } : await timeKernels(browser.instance, browser.url, ...RACE);
  if (!race || race.why) row("in Chromium", { time: race?.why ?? "skipped: Chromium has no WebGPU here" });
  else {
    const plain = race.times["plain f32"];
    for (const [name, time] of Object.entries(race.times)) {
      row(`${name} · ${race.adapter}, ${RACE.join(" × ")}`, { time: ms(time), ratio: `${(time / plain).toFixed(1)} × plain f32` });
    }
  }
  const python = await preparePython();
  heading(`Measuring ${MEASURED[0]} sites, ${MEASURED[1]} tokens × ${MEASURED[2]}`);
  if (python.why) {
    row("activations", { time: python.why });
    return;
  }
  timed(python.interpreter, ["benches/activations.py", "write", folder, ...MEASURED.map(String)]);
  const files = ["model.safetensors", "config.json"].map((name) => join(folder, name));
  const activations = join(folder, "y.activations.safetensors");
  const file = size(statSync(activations).size);
  const ours = timed(command, ["measure", folder, "--activations", activations, "--json"]);
  const numpy = 1000 * JSON.parse(timed(python.interpreter, ["benches/activations.py", "measure", folder]).stdout).seconds;
  row("command line, both tests with halves", { file, time: ms(ours.milliseconds), ratio: `${(ours.milliseconds / numpy).toFixed(2)} × numpy` });
  row("numpy, float64 covariance and eigh alone", { time: ms(numpy), ratio: "1" });
  if (browser.why) {
    row("page", { time: browser.why });
    return;
  }
  const page = await timeMeasuring(browser.instance, browser.url, files, activations);
  const same = JSON.parse(ours.stdout).verification.sites.map((site) => site.gram_crc32).join();
  if (page.verification.sites.map((site) => site.gram_crc32).join() !== same) {
    throw new Failure("The page's exact sums are not those of the command line.");
  }
  row(`page, on ${page.plan.device}, planned ${page.plan.seconds.toFixed(0)} s`, { time: ms(page.milliseconds), ratio: against(page.milliseconds, ours.milliseconds) });
  const example = await cargoBuild("Speeds: compiling", ["--release", "--locked", "--features", "gpu", "--example", "gram"], "gram");
  const native = JSON.parse(timed(example, ["speeds"]).stdout);
  const share = (at) => `${Math.round((100 * page.plan.speeds[at]) / native[at])} % of native`;
  if (page.plan.device === "cpu") row("one core, exact sums in wasm", { time: speed(page.plan.speeds[0]), ratio: share(0) });
  row("one core, eigenvalues in wasm", { time: speed(page.plan.speeds[1]), ratio: share(1) });
}

function speed(operations) {
  return `${(operations / 1e9).toFixed(1)} G/s`;
}

/** Measures the forward pass alone, and other programs on the same weights and token ids. Plans a model too large to run here. */
async function runningTexts(command, browser, folder) {
  const files = ["model.safetensors", "config.json"];
  const example = await cargoBuild("Reading ahead: compiling", ["--release", "--locked", "--example", "overlap"], "overlap");
  const peers = await preparePeers();
  for (const [name, { sequences, ofPage }] of Object.entries(RUN)) {
    const path = join(".cache/models", name);
    heading(`Running ${name}, sequences of 128 tokens: ${sequences}`);
    if (!files.every((file) => existsSync(join(path, file)))) {
      row("the pass", { time: "skipped: `npm test` fetches it" });
      continue;
    }
    const native = JSON.parse(timed(example, [path, String(sequences)]).stdout);
    const hidden = `${Math.round(100 * native.hidden)} % of reading hidden, where it takes as long`;
    row("command line's, CPU, weights from the file", { time: ms(1000 * native.computing), ratio: hidden });
    if (peers.why) {
      row("PyTorch and onnxruntime-web", { time: peers.why });
      continue;
    }
    const torch = JSON.parse(timed(peers.python, ["benches/torch_model.py", "time", path, String(sequences), "128"]).stdout);
    const ratio = (time, than, what) => `${(time / than).toFixed(2)} × ${what}`;
    row(`PyTorch ${torch.version}, CPU, weights in memory`, {
      time: ms(1000 * torch.seconds),
      ratio: `the command line's takes ${ratio(native.computing, torch.seconds, "that")}`,
    });
    if (browser.why) {
      row("Chromium", { time: browser.why });
      continue;
    }
    const onnx = join(folder, `${name}.onnx`);
    timed(peers.python, ["benches/torch_model.py", "export", path, onnx]);
    const peer = await servePeer(peers.onnx, onnx);
    try {
      for (const [device, provider] of [["gpu", "webgpu"], ["cpu", "wasm"]]) {
        const here = { files: files.map((file) => join(path, file)) };
        const choice = { tokens: 128 * ofPage, input: "uniform" };
        const run = (where) => timePage(browser.instance, browser.url, where, device, choice);
        const ours = await run(here);
        row(`page, on ${ours.device}, sequences: ${ofPage}`, { time: ms(1000 * ours.seconds) });
        // Reading takes as long as computing here. So the hidden share of reading is what both together take less than twice one.
        const slow = await serveHub(path, { bytesPerSecond: bytesOfBlocks(join(path, files[0])) / ours.seconds });
        const both = await run({ address: slow.address(files[0]) }).finally(slow.close);
        const share = `${Math.round(100 * (2 - both.seconds / ours.seconds))} % of reading hidden`;
        row("the same, from a server by which reading takes as long", { time: ms(1000 * both.seconds), ratio: share });
        const theirs = await timeOnnx(browser.instance, peer.url, provider, { ids: uniform(128 * sequences, torch.vocabulary), length: 128 });
        mustAgree(name, theirs, torch);
        row(`onnxruntime-web ${theirs.version}, ${provider}`, { time: ms(1000 * theirs.seconds), ratio: ratio(theirs.seconds / sequences, ours.seconds / ofPage, "the page's") });
      }
    } finally {
      await peer.close();
    }
  }
  heading("The first 4 blocks of a 70B model, 8,320 tokens: planned");
  const large = writeFolder(join(folder, "large"), llama(), llamaConfig(), 30);
  const options = ["verify", large.folder, "--blocks", "4", "--tokens", "8320", "--sites", "final", "--uniform"];
  const plan = JSON.parse(timed(command, [...options, "--plan", "--json"]).stdout);
  row("command line", { file: size(large.bytes), read: size(plan.bytes), time: ms(1000 * plan.seconds[1]), ratio: `memory ${size(plan.memory)}` });
}

/** Fails if onnxruntime-web computes something other than PyTorch. */
function mustAgree(name, theirs, torch) {
  const off = Math.max(...theirs.values.map((value, at) => Math.abs(value - torch.values[at])));
  if (off > 1e-3) throw new Failure(`${name}: onnxruntime-web computes something else: off by ${off}.`);
}

/**
 * Measures the blocks of encoders of images and sounds, with random weights of the published shapes. The page reads noise and also embeds
 * it, which is not timed. The others read numbers of the same shape.
 */
async function runningEncoders(browser, folder) {
  const peers = await preparePeers();
  for (const [name, { what, sequences, blocks }] of Object.entries(ENCODERS)) {
    heading(`Running ${blocks} blocks of the encoder of ${name}, ${what}`);
    if (peers.why || browser.why) {
      row("the blocks", { time: peers.why ?? browser.why });
      continue;
    }
    const [path, onnx] = [join(folder, name), join(folder, `${name}.onnx`)];
    const python = (...args) => timed(peers.python, ["benches/encoders.py", ...args]).stdout;
    python("write", join("docs/paper", name), path);
    const torch = JSON.parse(python("time", path, String(blocks), String(sequences)));
    row(`PyTorch ${torch.version}, CPU`, { time: ms(1000 * torch.seconds) });
    python("export", path, String(blocks), onnx);
    const peer = await servePeer(peers.onnx, onnx);
    try {
      const files = ["model.safetensors", "config.json"].map((file) => join(path, file));
      // The page also measures the last norm, so it needs more tokens than the norm has channels.
      const ofPage = Math.max(sequences, Math.ceil((torch.width + 1) / torch.tokens));
      const choice = { tokens: ofPage * torch.tokens, blocks, input: "usual" };
      const run = await timePage(browser.instance, browser.url, { files }, "gpu", choice);
      const ours = { ...run, seconds: (run.seconds * sequences) / ofPage };
      const scaled = ofPage > sequences ? `, of ${ofPage} at once` : "";
      row(`page, on ${ours.device}${scaled}`, { time: ms(1000 * ours.seconds), ratio: `${(ours.seconds / torch.seconds).toFixed(2)} × PyTorch's` });
      const embedded = [sequences, torch.tokens, torch.width];
      const theirs = await timeOnnx(browser.instance, peer.url, "webgpu", { embedded });
      mustAgree(name, theirs, torch);
      row(`onnxruntime-web ${theirs.version}, webgpu`, { time: ms(1000 * theirs.seconds), ratio: `${(theirs.seconds / ours.seconds).toFixed(2)} × the page's` });
    } finally {
      await peer.close();
    }
  }
}

/** The bytes of all block tensors in a safetensors file. */
function bytesOfBlocks(path) {
  const file = openSync(path, "r");
  const read = (length, at) => {
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, at);
    return bytes;
  };
  const header = JSON.parse(read(Number(read(8, 0).readBigUInt64LE()), 8));
  closeSync(file);
  const ofBlocks = Object.entries(header).filter(([name]) => /layers?\.\d+\./.test(name));
  return ofBlocks.reduce((sum, [, { data_offsets: [begin, end] }]) => sum + end - begin, 0);
}

/** The ids of `gammascope verify --uniform`. */
function uniform(count, vocabulary) {
  const most = (1n << 64n) - 1n;
  let state = 42n;
  return Array.from({ length: count }, () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & most;
    return Number((state >> 33n) % BigInt(vocabulary));
  });
}

/** Installs PyTorch in a virtual environment, and onnxruntime-web. Returns them, or why they are missing. */
async function preparePeers() {
  const folder = ".cache/peers";
  const python = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const onnx = join(folder, "node_modules/onnxruntime-web/dist");
  const program = ["python3", "python"].find((name) => ask(name, ["--version"]) !== null);
  if (!program) return { why: "skipped: there is no Python" };
  try {
    if (ask(python, ["-c", "import numpy, onnx, safetensors, torch, transformers"]) === null) {
      await step("PyTorch: making a virtual environment", program, ["-m", "venv", folder]);
      const install = ["-m", "pip", "install", "--quiet", "numpy", "onnx", "safetensors", "torch", "transformers>=5"];
      await step("PyTorch: installing", python, install, { minutes: 15 });
    }
    if (!existsSync(onnx)) {
      const install = ["install", "--silent", "--no-save", "--prefix", folder, "onnxruntime-web@1"];
      await step("onnxruntime-web: installing", "npm", install, { minutes: 5 });
    }
  } catch {
    return { why: "skipped: PyTorch or onnxruntime-web could not be installed" };
  }
  return { python, onnx };
}

/** Measures reading the same scales and shifts with Python's safetensors: whole processes, and the reading alone. */
async function comparing(models) {
  const python = await preparePython();
  heading(`Reading the same scales in Python${python.versions ? ` (${python.versions})` : ""}`);
  if (python.why) {
    row("safetensors and numpy", { time: python.why });
    return;
  }
  for (const { name, folder, shardOf, milliseconds, report } of models) {
    const tensors = report.norms.flatMap(({ scale, shift }) => (shift ? [scale, shift] : [scale]));
    const wanted = JSON.stringify(tensors.map((tensor) => [shardOf(tensor), tensor]));
    const read = () => timed(python.interpreter, ["benches/scales.py", folder], wanted);
    read(); // warms the cache
    const runs = Array.from({ length: RUNS }, read);
    const whole = median(runs.map((run) => run.milliseconds));
    const alone = median(runs.map(({ stdout }) => 1000 * JSON.parse(stdout).seconds));
    row(`${name} · whole process`, { time: ms(whole), ratio: against(whole, milliseconds) });
    row(`${name} · its reads alone, against our whole process`, { time: ms(alone), ratio: against(alone, milliseconds) });
  }
}

/** Measures opening a large file of PyTorch, and reading the same norms with PyTorch. */
async function pickled(command, path) {
  heading("Opening a file of PyTorch");
  const peers = await preparePeers();
  if (peers.why) {
    row("torch.load", { time: peers.why });
    return;
  }
  const python = (...args) => timed(peers.python, ["benches/pickled.py", ...args]);
  console.log("Writing 10 GB");
  python("write", path, String(PICKLED_BLOCKS));
  const { milliseconds, report } = inspect(command, path);
  const { bytes_read: read, header_bytes: headers, norm_bytes: norms } = report.checkpoint;
  const ratio = `headers ${size(headers)} + ${((read - headers) / norms).toFixed(2)} × norms (≤ ${READ_BOUND})`;
  row("command line", { file: size(statSync(path).size), read: size(read), time: ms(milliseconds), ratio });
  python("time", path); // warms the cache
  const runs = Array.from({ length: RUNS }, () => python("time", path));
  const [whole, alone] = [runs.map((run) => run.milliseconds), runs.map(({ stdout }) => 1000 * JSON.parse(stdout).seconds)].map(median);
  row("torch.load(mmap=True) and numpy, whole process", { time: ms(whole), ratio: against(whole, milliseconds) });
  row("torch.load and its reads alone, against our whole process", { time: ms(alone), ratio: against(alone, milliseconds) });
}

/** Measures how fast a fold copies, and what a model in many shards takes. */
async function rewriting(command, folder) {
  heading("Folding");
  console.log("Writing and rewriting up to 11 GB");
  const { alone, many } = await timeFolding(command, folder);
  const speed = ({ bytes }, seconds) => `${(bytes / seconds / 1e9).toFixed(2)} GB/s`;
  row("a tensor that is only copied", { file: size(alone.bytes), time: ms(1000 * alone.fold), ratio: `${speed(alone, alone.fold)}, ${Math.round((100 * alone.cp) / alone.fold)} % of cp (≥ 60 %)` });
  row("cp and sync", { file: size(alone.bytes), time: ms(1000 * alone.cp), ratio: speed(alone, alone.cp) });
  const took = `${speed(many, many.seconds)}, memory ${size(many.memory)}, wrote ${size(many.wrote)}`;
  row("30 shards, fold --scales", { file: size(many.bytes), read: size(many.read), time: ms(1000 * many.seconds), ratio: took });
}

/** Measures the Python package beside the terminal, and a watched model beside the plain one. */
async function packaged(command, folder) {
  heading("The Python package");
  await fetchMiniLm();
  const peers = await preparePeers();
  const why = peers.why ?? (existsSync(MINILM_FILES[0]) ? undefined : "skipped: all-MiniLM is missing");
  if (why) {
    row("import, inspect and watch", { time: why });
    return;
  }
  const pip = (label, ...words) => step(label, peers.python, ["-m", "pip", "--disable-pip-version-check", ...words]);
  await pip("Wheel: building, with optimisation", "wheel", "./python", "--no-deps", "--wheel-dir", folder);
  const wheel = join(folder, readdirSync(folder).find((name) => name.endsWith(".whl")));
  await pip("Wheel: installing", "install", "--quiet", "--force-reinstall", "--no-deps", wheel);
  const found = JSON.parse(timed(peers.python, ["benches/watch.py", command, MINILM]).stdout);
  row("the wheel", { file: size(statSync(wheel).size), ratio: "≤ 15 MB" });
  row("import gammascope", { time: ms(found.import), ratio: "≤ 150 ms" });
  const [inside, terminal] = found.inspect;
  row("inspect, all-MiniLM-L6-v2", { time: ms(inside), ratio: `${(inside / terminal).toFixed(2)} × the terminal (≤ 1.5)` });
  const [plain, watched] = found.watch;
  row("a token of BERT-base, watched", { time: ms(watched), ratio: `${(watched / plain).toFixed(2)} × the plain forward pass (≤ 1.3)` });
}

/** Measures the bytes of the first load, and the time until the page is ready. */
async function weighing({ instance, url, sent, why }) {
  heading("The page");
  if (why) {
    row("weight and load", { time: why });
    return;
  }
  const load = async (network) => {
    const times = [];
    for (let run = 0; run < RUNS; run += 1) times.push(await timeLoad(instance, url, network));
    return median(times);
  };
  sent.clear();
  const [near, far] = [await load(), await load(SLOW)];
  weight("sent until it can be used", sent);
  sent.clear();
  const { at: verdict } = await timeDrop(instance, url, SAMPLE);
  weight("sent until the first verdict", sent, verdict);
  weight("sent with the figures and sections that follow it", sent);
  row("ready for files, this machine", { time: ms(near) });
  row("ready for files, 10 Mbit/s and 40 ms", { time: ms(far), ratio: `${(far / 1000).toFixed(2)} of 1 s` });
}

/** Adds a row with the size of the files that were requested until `then`. */
function weight(what, sent, then = Infinity) {
  const files = [...sent.values()].filter(({ at }) => at <= then);
  const sum = (kind) => files.reduce((all, file) => all + file[kind], 0);
  const [gzip, brotli] = [sum("gzip"), sum("brotli")];
  const ratio = `${(gzip / 1000 / BUDGET_KB).toFixed(2)} of ${BUDGET_KB} KB, gzipped`;
  row(what, { file: `gzip ${size(gzip)}`, read: `brotli ${size(brotli)}`, ratio });
}

/** Measures the requests and bytes for a model on a hub. The client of the hub, which reads only headers, is the comparison. */
async function asking(command, models) {
  for (const several of [true, false]) {
    heading(`From a hub on this machine, ${several ? "several ranges" : "one range"} a request`);
    for (const { name, folder } of models.filter(({ name }) => name === "30 shards" || name === "all-MiniLM-L6-v2")) {
      const hub = await serveHub(folder, { several });
      const times = { whole: [], client: [], ours: [] };
      let [theirs, own] = [];
      for (let run = 0; run < RUNS; run += 1) {
        const client = timed(process.execPath, ["benches/hub.mjs", "client", hub.url]);
        theirs = await hub.counts();
        times.whole.push(client.milliseconds);
        times.client.push(JSON.parse(client.stdout).milliseconds);
        times.ours.push(timed(command, ["inspect", hub.model, "--hub", hub.url, "--json"]).milliseconds);
        own = await hub.counts();
      }
      await hub.close();
      const [whole, client, ours] = [median(times.whole), median(times.client), median(times.ours)];
      const asked = ({ requests }, time) => `${requests} requests, ${against(time, ours)}`;
      row(`${name} · command line, headers and norms`, { read: size(own.bytes), time: ms(ours), ratio: `${own.requests} requests` });
      row(`${name} · @huggingface/hub, headers alone`, { read: size(theirs.bytes), time: ms(client), ratio: asked(theirs, client) });
      row(`${name} · its whole process`, { time: ms(whole), ratio: against(whole, ours) });
    }
  }
}

/** Measures the length of a link that holds the report. */
function linking(command, folder) {
  heading("A link that holds the report");
  const real = ["all-MiniLM-L6-v2", "SmolLM2-135M", "gemma-3-270m"].map((name) => join(".cache/models", name));
  for (const path of real.filter((path) => existsSync(path))) length(command, path);
  const size = { layers: 200, width: 1024, vocabulary: 1024 };
  length(command, writeFolder(folder, llama(size), llamaConfig(size), 1).folder);
}

function length(command, path) {
  const { norms } = JSON.parse(timed(command, ["inspect", path, "--json"]).stdout);
  const { milliseconds, stdout } = timed(command, ["share", path]);
  const link = stdout.trim().length;
  row(`${norms.length} sites · ${basename(path)}`, {
    file: size(link),
    time: ms(milliseconds),
    ratio: `${Math.round(link / norms.length)} bytes a site`,
  });
}

/** Measures how the time grows with the catalogue, without the start of the process. */
function growing(command, folder) {
  heading("Growth, command line");
  const start = median(Array.from({ length: RUNS }, () => timed(command, ["--version"]).milliseconds));
  row("start of the process", { time: ms(start) });
  let before;
  for (const count of GROWTH) {
    const model = writeFolder(join(folder, `${count}`), experts(count), { model_type: "mixtral" }, 1);
    const { milliseconds, report } = inspect(command, model.folder);
    const each = ((milliseconds - start) * 1000) / count;
    row(`${count.toLocaleString("en")} tensors`, {
      file: size(model.bytes),
      read: size(report.checkpoint.bytes_read),
      time: ms(milliseconds),
      ratio: `${each.toFixed(2)} µs a tensor${before ? `, ${(each / before).toFixed(2)} × the row above` : ""}`,
    });
    before = each;
  }
}

/** Installs Python's safetensors library in a virtual environment in .cache/. */
async function preparePython() {
  const folder = ".cache/bench-venv";
  const interpreter = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const program = ["python3", "python"].find((name) => ask(name, ["--version"]) !== null);
  if (!program) return { why: "skipped: there is no Python" };
  const versions = () => {
    const print = "f'safetensors {safetensors.__version__}, numpy {numpy.__version__}'";
    return ask(interpreter, ["-c", `import ml_dtypes, numpy, safetensors; print(${print})`]);
  };
  if (versions() === null) {
    const install = ["-m", "pip", "install", "--quiet", "numpy", "ml_dtypes", "safetensors"];
    try {
      await step("Python: making a virtual environment", program, ["-m", "venv", folder]);
      await step("Python: installing safetensors and numpy", interpreter, install, { minutes: 5 });
    } catch {
      return { why: "skipped: safetensors could not be installed for Python" };
    }
  }
  return { interpreter, versions: versions() };
}

/** Starts Chromium and a server of the page. Returns them, or why they are missing. */
async function startChromium() {
  if (!existsSync("dist/index.html")) return { why: "skipped: there is no dist/; `npm run build` makes it" };
  const { chromium } = await import("@playwright/test");
  const args = ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-background-networking", "--disable-component-update"];
  // Without a GPU, use WebGPU in software.
  if (process.env.GAMMASCOPE_GPU === undefined) args.push("--use-webgpu-adapter=swiftshader");
  const executablePath = findChromium();
  try {
    const instance = await chromium.launch({ args, ...(executablePath && { executablePath }) });
    const server = await serve("dist");
    const close = async () => {
      await instance.close();
      await server.close();
    };
    return { instance, url: server.url, sent: server.sent, close };
  } catch {
    return { why: "skipped: there is no Chromium; `npm test` fetches one" };
  }
}

function timed(program, args, input) {
  const began = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: "utf8", maxBuffer: 2 ** 30 });
  const milliseconds = performance.now() - began;
  if (status !== 0) throw new Failure(`\`${program} ${args.join(" ")}\` failed.`, stderr ?? "");
  return { milliseconds, stdout };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A time as a multiple of the time of the command line for the same checkpoint. */
function against(time, command) {
  const ratio = time / command;
  return `${ratio < 10 ? ratio.toPrecision(2) : Math.round(ratio)} × command line`;
}

function ms(milliseconds) {
  return milliseconds < 10 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
}

function size(bytes) {
  const [scale, unit] = [
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
    [1, "B"],
  ].find(([scale]) => bytes >= scale || scale === 1);
  const value = bytes / scale;
  return `${scale > 1 && value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

function print() {
  const table = [["", "file", "read", "time", "ratio"], ...rows];
  const width = (column) =>
    Math.max(...table.filter((cells) => cells.length > 1).map((cells) => cells[column]?.length ?? 0));
  const widths = [width(0), width(1), width(2)];
  const line = ([what, file = "", read = "", time = "", ratio = ""]) => {
    const cells = [what.padEnd(widths[0]), file.padStart(widths[1]), read.padStart(widths[2]), time.padStart(TIME_WIDTH)];
    return [...cells, ratio].join("  ").trimEnd();
  };
  const machine = `${cpus().length} × ${cpus()[0].model.trim()}, ${process.platform}`;
  console.log(`\n${machine}; medians of ${RUNS} runs, files in the cache\n`);
  for (const cells of table) console.log(cells.length === 1 ? `\n${cells[0]}` : line(cells));
}
