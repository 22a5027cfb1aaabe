// The exact Gram matrix's shader and its f32 peer. The same code dispatches both on Chromium's adapter.

import { readFileSync } from "node:fs";

const OURS = "src/gpu/shaders/";
const read = (file) => readFileSync(file, "utf8");

/** Shaders of the same shapes and bindings, by name. */
const KERNELS = {
  "plain f32": read("benches/gram_f32.wgsl"),
  "exact, dot4I8Packed": read(`${OURS}dot4_packed.wgsl`) + read(`${OURS}gram.wgsl`),
  "exact, digits extracted": read(`${OURS}dot4_extract.wgsl`) + read(`${OURS}gram.wgsl`),
};

/** Returns the milliseconds of each kernel, the least of five runs, for n tokens of d channels. Null without WebGPU. */
export async function timeKernels(browser, url, tokens, width) {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    return await page.evaluate(onPage, { kernels: KERNELS, quads: tokens / 4, width });
  } finally {
    await page.close();
  }
}

/** Runs in the page. */
async function onPage({ kernels, quads, width }) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return null;
  const device = await adapter.requestDevice();
  const side = Math.ceil(width / 32);
  const tiles = [];
  for (let row = 0; row < side; row += 1) for (let column = row; column < side; column += 1) tiles.push(row, column);
  const groups = tiles.length / 2;
  const { UNIFORM, STORAGE, COPY_DST } = GPUBufferUsage;
  const buffer = (size, usage) => device.createBuffer({ size, usage });
  const buffers = [
    buffer(8, UNIFORM | COPY_DST),
    buffer(16 * quads * width, STORAGE | COPY_DST),
    buffer(4 * tiles.length, STORAGE | COPY_DST),
    buffer(groups * 7 * 32 * 32 * 4, STORAGE),
  ];
  device.queue.writeBuffer(buffers[0], 0, new Uint32Array([width, quads]));
  // Ordinary numbers for f32. The other shader reads the same bytes as digits.
  const values = Float32Array.from({ length: 4 * quads * width }, () => Math.random() - 0.5);
  device.queue.writeBuffer(buffers[1], 0, values);
  device.queue.writeBuffer(buffers[2], 0, new Uint32Array(tiles));
  const run = async (pipeline, group) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
    const began = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  };
  const times = {};
  for (const [name, code] of Object.entries(kernels)) {
    const module = device.createShaderModule({ code });
    const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    await run(pipeline, group);
    let least = Infinity;
    for (let again = 0; again < 5; again += 1) least = Math.min(least, await run(pipeline, group));
    times[name] = least;
  }
  const { vendor, architecture, device: name } = adapter.info;
  return { adapter: [vendor, architecture, name].filter(Boolean).join(" ") || "an adapter without a name", times };
}
