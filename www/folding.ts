/**
 * Rewrites the open checkpoint so that its numbers change and its function does not: plans, writes and proves. Each step has a verifier
 * of its own, which ends with it. Loaded with the tools. A failure changes nothing.
 */
import { effect, signal } from '@preact/signals';
import { type Destination, Downloads, MOST_DOWNLOADED, type Writing, chooseFolder, writesFolders } from './destination';
import { entriesOf } from './files';
import { bytes as inUnits } from './format';
import { Inspector } from './inspector';
import { type Dropped, parse } from './protocol';
import { COPIED_BESIDE, type FoldOperation, type FoldReport } from './report';
import { announcement } from './state/announcement';
import { type Opened, opened } from './state/opened';

/** The running step. Of a fold that is being written, `done` of `total` bytes are. `stopping` while a cancelled one removes its files. */
export type Folding = { of: number; step: 'plan' | 'write' | 'prove'; done: number; total: number; stopping: boolean; controller: AbortController };

/** A plan: what to do, the report of it, and the files to write with their sizes together. */
export type FoldPlan = { of: number; operations: FoldOperation[]; report: FoldReport; names: string[]; total: number };

/** What was written: the report, the same as HTML, where it is, its files, and why the two were not run if that was asked for. */
export type Folded = { of: number; report: FoldReport; html: string; place: string; entries: Dropped[]; notRun: string | null };

export const folding = signal<Folding | null>(null);
export const planned = signal<FoldPlan | null>(null);
export const folded = signal<Folded | null>(null);

/** The error of the last step that failed. */
export const foldFailure = signal<{ of: number; step: 'plan' | 'write'; sentence: string } | null>(null);

/** Names of the report and of the same as HTML, beside the weights. */
const [REPORT, PAGE] = ['fold.json', 'fold.html'];

// When another checkpoint is opened, the work and results of the earlier one end.
effect(() => {
  const id = opened.value?.id;
  const now = folding.peek();
  if (now && now.of !== id) end('Another checkpoint was opened.');
  for (const kept of [planned, folded, foldFailure]) {
    const { of } = kept.peek() ?? {};
    if (of !== undefined && of !== id) kept.value = null;
  }
});

// While a fold is written, the browser asks before it leaves the page.
window.addEventListener('beforeunload', (event) => {
  if (folding.value !== null && folding.value.step !== 'plan') event.preventDefault();
});

function end(reason: string): void {
  const now = folding.peek();
  if (!now) return;
  now.controller.abort(new DOMException(reason, 'AbortError'));
  folding.value = { ...now, stopping: true };
}

/** Cancels what is running. What it has written is removed. */
export function cancelFolding(): void {
  end('It was cancelled.');
  announcement.value = 'Cancelling';
}

/** Why the page cannot rewrite what is open. Null if it can. */
export function whyNot({ entries }: Opened): string | null {
  if (entries.some((entry) => 'seed' in entry)) return 'These weights are drawn at random, so there is no checkpoint to rewrite.';
  if (entries.every((entry) => 'file' in entry)) return null;
  return 'The page rewrites files of this machine. Download this checkpoint, then open its folder here.';
}

/** Plans these operations. */
export function plan(operations: FoldOperation[]): void {
  void step('plan', async (current, inspector, signal) => {
    planned.value = await planBy(inspector, current, operations, signal);
    folded.value = null;
    announcement.value = planned.value.report.sentence;
  });
}

/** Writes the planned fold into a folder that the user chooses, or as downloads. `proves` says whether to run both. */
export async function write(proves: boolean): Promise<void> {
  const now = planned.value;
  if (!now) return;
  let destination: Destination;
  try {
    destination = writesFolders() ? await chooseFolder() : new Downloads();
  } catch (error) {
    // The user closed the dialog.
    if (error instanceof DOMException && error.name === 'AbortError') return;
    foldFailure.value = { of: now.of, step: 'write', sentence: sentenceOf(error) };
    return;
  }
  await step('write', async (current, inspector, signal) => {
    const fold = new Fold(inspector, destination, signal);
    const result = await fold.write(current, await planBy(inspector, current, now.operations, signal), proves);
    folded.value = { of: current.id, ...result };
    announcement.value = result.report.sentence;
  });
}

/** Plans with a verifier that has opened the checkpoint. */
async function planBy(inspector: Inspector, { id, entries }: Opened, operations: FoldOperation[], signal: AbortSignal): Promise<FoldPlan> {
  const report = parse(await inspector.ask('planFold', [operations], signal));
  const shards = await inspector.ask('shards', [], signal);
  const folders = new Set(shards.map(folderOf));
  if (folders.size > 1)
    throw new Error('The files of this checkpoint lie in several folders, and the page writes into one: use `gammascope fold`.');
  const copied = beside(entries, folders);
  const names = [...shards.map(leafOf), ...copied.map(({ path }) => leafOf(path)), REPORT, PAGE];
  return { of: id, operations, report, names, total: copied.reduce((sum, { file }) => sum + file.size, report.bytes) };
}

const leafOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** The files beside the weights that are copied: configurations, tokenizers, code and texts. */
function beside(entries: Opened['entries'], folders: ReadonlySet<string>): Dropped[] {
  return entries.filter((entry): entry is Dropped => {
    if (!('file' in entry) || !folders.has(folderOf(entry.path))) return false;
    const name = leafOf(entry.path);
    return name !== REPORT && !name.startsWith('.') && COPIED_BESIDE.includes(name.split('.').pop()?.toLowerCase() ?? '');
  });
}

/** Whether what the plan writes is too much for downloads. */
export function tooLarge({ total }: FoldPlan): string | null {
  if (writesFolders() || total <= MOST_DOWNLOADED) return null;
  return `This browser cannot write into a folder, and ${inUnits(total)} are too much to download: use Chrome or Edge, or \`gammascope fold\`.`;
}

/** One fold on its way to its destination. */
class Fold {
  private readonly files: Dropped[] = [];
  private file: { name: string; writing: Writing } | null = null;
  private writing: Promise<void> = Promise.resolve();
  private done = 0;

  constructor(
    private readonly inspector: Inspector,
    private readonly destination: Destination,
    private readonly signal: AbortSignal,
  ) {}

  /** Writes everything. If it fails or is cancelled, nothing stays. */
  async write({ entries }: Opened, plan: FoldPlan, proves: boolean): Promise<Omit<Folded, 'of'>> {
    const { inspector, destination, signal } = this;
    try {
      await destination.check(plan.names);
      tell(signal, { total: plan.total });
      const shards = await inspector.ask('shards', [], signal);
      let report = parse(await inspector.fold(({ shard, bytes }) => this.put(leafOf(shards[shard] ?? ''), bytes), signal));
      for (const { path, file } of beside(entries, new Set(shards.map(folderOf)))) await this.put(leafOf(path), file);
      await this.close();
      let notRun: string | null = null;
      if (proves) [report, notRun] = await this.prove(report);
      const html = await inspector.ask('foldHtml', [new Date().toISOString()], signal);
      await this.put(REPORT, new Blob([JSON.stringify(report, null, 2)]));
      await this.put(PAGE, new Blob([html]));
      await this.close();
      signal.throwIfAborted();
      const written = await destination.complete();
      return { report, html, place: destination.name, entries: entriesOf(written), notRun };
    } catch (error) {
      // What is being written must end before it can be removed.
      await this.writing.catch(() => undefined);
      await destination.discard();
      throw error;
    }
  }

  /** Adds to the file `name`. A new name closes the file before. */
  private async put(name: string, content: Uint8Array<ArrayBuffer> | Blob): Promise<void> {
    const size = content instanceof Blob ? content.size : content.byteLength;
    await this.during(name, async () => {
      if (this.file?.name !== name) {
        await this.closeFile();
        this.file = { name, writing: await this.destination.create(name) };
      }
      await this.file.writing.write(content);
    });
    this.done += size;
    tell(this.signal, { done: this.done });
  }

  /** Closes the last file. */
  private async close(): Promise<void> {
    await this.during(this.file?.name ?? '', () => this.closeFile());
  }

  private async during(name: string, write: () => Promise<void>): Promise<void> {
    this.signal.throwIfAborted();
    this.writing = write();
    try {
      await this.writing;
    } catch (error) {
      throw new Error(`\`${name}\` cannot be written: ${sentenceOf(error).replace(/\.$/, '')}; nothing is left of it.`);
    }
  }

  private async closeFile(): Promise<void> {
    if (!this.file) return;
    const { name, writing } = this.file;
    this.file = null;
    this.files.push({ path: name, file: renamed(await writing.close(), name) });
  }

  /** Runs both. If they compute something else, the fold fails. If they cannot be run, returns why. */
  private async prove(report: FoldReport): Promise<[FoldReport, string | null]> {
    tell(this.signal, { step: 'prove' });
    let proved: FoldReport;
    try {
      proved = parse(await this.inspector.ask('proveFold', [this.files], this.signal));
    } catch (error) {
      // A worker that died has no proof to write either.
      if (this.signal.aborted || !this.inspector.isOpen) throw error;
      return [report, sentenceOf(error)];
    }
    if (proved.proof?.same !== true) throw new Error(`${proved.sentence} Nothing is left of it.`);
    return [proved, null];
  }
}

/** A file under its final name. */
function renamed(file: File, name: string): File {
  return file.name === name ? file : new File([file], name);
}

function tell({ aborted }: AbortSignal, news: Partial<Folding>): void {
  if (folding.value && !aborted) folding.value = { ...folding.value, ...news };
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Does a step with a new verifier. */
async function step(kind: 'plan' | 'write', run: (current: Opened, inspector: Inspector, signal: AbortSignal) => Promise<void>): Promise<void> {
  const current = opened.value;
  if (!current) return;
  end('Another one was started.');
  const controller = new AbortController();
  const { signal: stop } = controller;
  folding.value = { of: current.id, step: kind, done: 0, total: 0, stopping: false, controller };
  foldFailure.value = null;
  announcement.value = kind === 'plan' ? 'Planning' : 'Writing';
  let inspector: Inspector | undefined;
  try {
    ({ inspector } = await Inspector.open(current.entries, () => undefined, stop, 'verifier'));
    await run(current, inspector, stop);
  } catch (error) {
    if (!stop.aborted) foldFailure.value = { of: current.id, step: kind, sentence: sentenceOf(error) };
  } finally {
    inspector?.close();
    if (folding.value?.controller === controller) folding.value = null;
  }
}
