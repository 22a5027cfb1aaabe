/** How many workers are worth starting on this machine. */

/** More workers than this only wait for memory; a share of the machine's memory is for all of them. */
const MOST = 8;
const SHARE = 0.5;
/** What a machine has that does not say. */
const USUAL_GIB = 8;

/** As many as there are cores beside `busy` ones and as memory allows, if each takes `memory` bytes; at least one. */
export function workersFor(memory: number, busy = 0): number {
  const bytes = ((navigator as { deviceMemory?: number }).deviceMemory ?? USUAL_GIB) * 2 ** 30 * SHARE;
  return Math.max(1, Math.min(navigator.hardwareConcurrency - busy, Math.floor(bytes / memory), MOST));
}
