/** Inspects many checkpoints, each in a new worker, for one line of a table each. Loaded when there are many. */
import { hasWeights } from '../files';
import { Inspector } from '../inspector';
import type { Entry } from '../protocol';
import { announcement } from './announcement';
import { type Line, scan } from './scan';

/** Workers read only headers and norm tensors. Two of them are as fast as a disk. */
const WORKERS = 2;

let scans = 0;

/** Inspects these checkpoints, two at a time. Stops a running scan. */
export function scanAll(checkpoints: readonly { name: string; entries: Entry[] }[]): void {
  stopScanning();
  const controller = new AbortController();
  const folder = folderOf(checkpoints.map(({ name }) => name));
  const lines = checkpoints.map(({ name, entries }) => ({
    name: name.slice(folder.length),
    entries,
    bytes: sizeOf(entries),
    outcome: null,
  }));
  scan.value = { id: ++scans, name: folder.slice(0, -1), lines, controller };
  announcement.value = `These files hold ${checkpoints.length} checkpoints. They are being inspected.`;
  void inspectAll(controller);
}

/** Stops the scan. Its lines stay. */
export function stopScanning(): void {
  scan.value?.controller?.abort();
  if (scan.value) scan.value = { ...scan.value, controller: null };
}

/** Inspects the checkpoints that have no outcome yet. */
export function goOnScanning(): void {
  if (!scan.value || scan.value.controller) return;
  const controller = new AbortController();
  scan.value = { ...scan.value, controller };
  void inspectAll(controller);
}

async function inspectAll(controller: AbortController): Promise<void> {
  const { lines = [] } = scan.value ?? {};
  const waiting = lines.flatMap(({ outcome }, at) => (outcome === null ? [at] : []));
  const { signal: stop } = controller;
  const work = async () => {
    for (let at = waiting.shift(); at !== undefined && !stop.aborted; at = waiting.shift()) {
      const outcome = await inspect(lines[at]?.entries ?? [], stop);
      if (outcome) tell(controller, at, outcome);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  if (scan.value?.controller !== controller) return;
  scan.value = { ...scan.value, controller: null };
  announcement.value = `${lines.length} checkpoints are inspected.`;
}

function tell(controller: AbortController, at: number, outcome: Line['outcome']): void {
  const now = scan.value;
  if (now?.controller !== controller) return;
  scan.value = { ...now, lines: now.lines.map((line, index) => (index === at ? { ...line, outcome } : line)) };
}

/** Inspects one checkpoint in a new worker, and closes it. Returns null if it was stopped. */
async function inspect(entries: Entry[], stop: AbortSignal): Promise<Line['outcome']> {
  try {
    const { inspector, report } = await Inspector.open(entries, () => undefined, stop);
    inspector.close();
    const { model, norms, dead_parameters: dead, warnings, checkpoint } = report;
    const { verdict, confidence } = model;
    return { verdict, confidence, sites: norms.length, dead: dead.share, warnings: warnings.length, bytes: checkpoint.bytes };
  } catch (error) {
    return stop.aborted ? null : { error: error instanceof Error ? error.message : String(error) };
  }
}

/** The common folder of these names with a slash at its end, or empty. */
function folderOf([first = '', ...others]: readonly string[]): string {
  const parts = first.split('/').slice(0, -1);
  const is = (folder: string) => others.every((name) => name.startsWith(folder));
  let folder = '';
  for (const part of parts) if (is(`${folder}${part}/`)) folder += `${part}/`;
  else break;
  return folder;
}

/** The size in bytes of those weights of a checkpoint that are files. */
function sizeOf(entries: Entry[]): number {
  const files = entries.flatMap((entry) => ('file' in entry && hasWeights(entry) ? [entry.file.size] : []));
  return files.reduce((sum, size) => sum + size, 0);
}
