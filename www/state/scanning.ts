/** Many checkpoints at once: each is inspected by a worker of its own, and gives one line of a table. Loaded when there are many. */
import { hasWeights } from '../files';
import { Inspector } from '../inspector';
import type { Entry } from '../protocol';
import { announcement } from './announcement';
import { type Line, scan } from './scan';

/** A worker reads headers and norm tensors alone, which one or two of them do as fast as a disk. */
const WORKERS = 2;

let scans = 0;

/** Inspects these checkpoints, two at a time, in place of a scan that is running. */
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

/** Ends the scan; the lines that there are stay. */
export function stopScanning(): void {
  scan.value?.controller?.abort();
  if (scan.value) scan.value = { ...scan.value, controller: null };
}

/** Inspects what has not been inspected. */
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

/** One checkpoint in a worker that is closed afterwards; null when it was stopped. */
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

/** The folder that all of these lie in, with the slash behind it; empty where there is none. */
function folderOf([first = '', ...others]: readonly string[]): string {
  const parts = first.split('/').slice(0, -1);
  const is = (folder: string) => others.every((name) => name.startsWith(folder));
  let folder = '';
  for (const part of parts) if (is(`${folder}${part}/`)) folder += `${part}/`;
  else break;
  return folder;
}

/** The size of a checkpoint's weights, as far as they are files. */
function sizeOf(entries: Entry[]): number {
  const files = entries.flatMap((entry) => ('file' in entry && hasWeights(entry) ? [entry.file.size] : []));
  return files.reduce((sum, size) => sum + size, 0);
}
