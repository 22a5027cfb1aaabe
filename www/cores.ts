/** How many workers to start on this machine. */

/** More workers than this only wait for memory. All of them together may use this share of the memory. */
const MOST = 8;
const SHARE = 0.5;
/** The memory of a machine that does not say how much it has. */
const USUAL_GIB = 8;

/** The memory of a wasm module ends at 4 GiB. The code and its tables take some of it. */
const MOST_OF_A_MODULE = 3 * 2 ** 30;

function shared(): number {
  return ((navigator as { deviceMemory?: number }).deviceMemory ?? USUAL_GIB) * 2 ** 30 * SHARE;
}

/** Bytes of memory that a run may take. */
export function memoryOfARun(): number {
  return Math.min(shared(), MOST_OF_A_MODULE);
}

/** The number of workers, at least one, for the cores except `busy` ones, if each worker takes `memory` bytes. */
export function workersFor(memory: number, busy = 0): number {
  return Math.max(1, Math.min(navigator.hardwareConcurrency - busy, Math.floor(shared() / memory), MOST));
}
