/** How many workers to start on this machine. */

/** More workers than this only wait for memory. All of them together may use this share of the memory. */
const MOST = 8;
const SHARE = 0.5;
/** The memory of a machine that does not say how much it has. */
const USUAL_GIB = 8;

/** The number of workers, at least one, for the cores except `busy` ones, if each worker takes `memory` bytes. */
export function workersFor(memory: number, busy = 0): number {
  const bytes = ((navigator as { deviceMemory?: number }).deviceMemory ?? USUAL_GIB) * 2 ** 30 * SHARE;
  return Math.max(1, Math.min(navigator.hardwareConcurrency - busy, Math.floor(bytes / memory), MOST));
}
