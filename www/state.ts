/**
 * The state of the page: a handful of signals and the few actions that change them. Views read signals and call
 * actions; they hold no state that outlives them.
 */
import { computed, signal } from '@preact/signals';
import { type Link, isAdapter, linkToReport } from './files';
import { Inspector } from './inspector';
import type { Device, Dropped, Entry } from './protocol';
import type { Source } from './recent';
import type { MeasurementPlan, NormAlone, Progress, Report } from './report';
import { stored } from './stored';
import { Verifiers } from './verifiers';

/**
 * An opened checkpoint: its report, the worker that still holds its scales and draws its figures, and its files, for the
 * verifier to open again. `id` tells one open from the next; measuring changes the worker, not the id.
 */
export type Opened = { id: number; report: Report; inspector: Inspector; entries: Entry[] };

/** Something that is running: how far it is and how to stop it. */
export type Running = { progress: Progress | null; controller: AbortController };

/** The checkpoint on show; null until the first one has been opened. */
export const opened = signal<Opened | null>(null);

/** The open that is running, if one is. */
export const opening = signal<Running | null>(null);

/** The sampling of the weights of the checkpoint on show, if it is running. */
export const weighing = signal<Running | null>(null);

/** A measurement: its plan as soon as it is known, and `begin` while it waits for somebody to agree to it. */
export type Measuring = Running & {
  stop: AbortController;
  plan: MeasurementPlan | null;
  workers: number;
  begin: (() => void) | null;
};

/** The measurement that is running, if it is. */
export const measuring = signal<Measuring | null>(null);

/** The norm of the checkpoint on show that was last measured alone. */
export const alone = signal<NormAlone | null>(null);

/** The sentence of the last measurement that failed, until another one begins. */
export const measureFailure = signal<string | null>(null);

/** Whether weights are sampled once the first verdict is on the page. */
export const weighs = stored('gammascope.weights', ['yes', 'no'], 'yes');

/** The sentence of the last open that failed, until it is dismissed or another open succeeds. */
export const failure = signal<string | null>(null);

/** The address in the field, and the hub that short names are looked up on: empty for the public one. */
export const address = signal('');
export const hub = signal('');

/** Two things that were dropped at once, while somebody is asked what they are. */
export const choice = signal<{ names: [string, string]; choose: (compare: boolean) => void } | null>(null);

/** Whether the last address that failed would have opened with a token. */
export const tokenWanted = signal(false);

/** The files of an open that failed for want of weights, where there is a configuration to draw some for. */
export const drawable = signal<Dropped[] | null>(null);

/** A short line for screen readers: said when it changes. */
export const announcement = signal('');

/** The site another part of the page points at (index into `report.norms`); a new object each time it is asked for. */
export const pointedAt = signal<{ site: number } | null>(null);

/** Position of each site by name, for links from readers, warnings and figures. */
export const siteByName = computed(() => new Map(opened.value?.report.norms.map((norm, index) => [norm.name, index])));

/** A measurement that takes longer than this many seconds waits until somebody has read its plan. */
const LONG = 20;

/** What random weights are drawn from: the same for everybody, so that numbers can be compared. */
export const SEED = 1;

/** A file of these names is taken for activations when a checkpoint is open. */
const ACTIVATIONS = /(\.npy|activations[^/]*\.safetensors)$/i;

let opens = 0;

export type Gather = (signal: AbortSignal) => Entry[] | Promise<Entry[]>;

/**
 * Opens what `gather` finds and shows its report; then, with `weights`, samples the weights and shows the report that
 * takes them into account. An open that is still running is cancelled first; one that fails leaves the earlier report
 * and its worker as they were. `source` tells how to get at it again. Resolves to the last report shown.
 */
export async function open(
  gather: Gather,
  weights = weighs.value === 'yes',
  source?: () => Source | Promise<Source>,
): Promise<Report> {
  cancel();
  const controller = new AbortController();
  const { signal: stop } = controller;
  opening.value = { progress: null, controller };
  failure.value = null;
  tokenWanted.value = false;
  drawable.value = null;
  announcement.value = 'Opening the checkpoint';
  let next: Opened;
  let asked: Entry[] = [];
  try {
    const entries = await gather(stop);
    asked = entries;
    const [first] = entries;
    if (opened.value && entries.length === 1 && first && 'file' in first && ACTIVATIONS.test(first.path))
      return measure(first, { ask: true });
    if (opened.value && entries.every((entry) => 'file' in entry) && isAdapter(entries))
      return import('./together').then(({ adapterOf }) => adapterOf(entries));
    if (entries.length === 0)
      throw new Error('There is no file in that. Drop the files or the folder of a checkpoint.');
    next = { id: ++opens, ...(await Inspector.open(entries, follow(controller), stop)) };
    if (stop.aborted) {
      next.inspector.close();
      stop.throwIfAborted();
    }
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    failure.value = error instanceof Error ? error.message : String(error);
    tokenWanted.value = error instanceof Error && error.name === 'TokenWanted';
    drawable.value = configurationAlone(asked);
    throw error;
  } finally {
    if (opening.value?.controller === controller) opening.value = null;
  }
  for (const running of [weighing, measuring]) {
    running.value?.controller.abort(new DOMException('Another checkpoint was opened.', 'AbortError'));
    running.value = null;
  }
  alone.value = null;
  measureFailure.value = null;
  opened.value?.inspector.close();
  pointedAt.value = null;
  opened.value = next;
  announcement.value = `Report ready. ${next.report.model.sentence}`;
  void keepRecent({ ...next, entries: asked }, source);
  // Behind an address a sample would take thousands of requests.
  return weights && next.report.checkpoint.remote === null && !next.report.shared ? weigh(next) : next.report;
}

/** Files that hold a configuration and no weights. */
function configurationAlone(entries: Entry[]): Dropped[] | null {
  const files = entries.filter((entry) => 'file' in entry);
  const is = (pattern: RegExp) => files.some(({ path }) => pattern.test(path));
  return is(/(^|\/)config\.json$/) && !is(/\.(safetensors|gguf)$/i) && !('seed' in (files[0] ?? {})) ? files : null;
}

/** Opens the model of the configuration that was given without weights, at random. */
export function draw(): void {
  const files = drawable.value;
  if (files) open(() => files.map((file) => ({ ...file, seed: SEED }))).catch(() => undefined);
}

/** Puts what has been opened into the list of recent ones: from where it came, or its address without the token. */
async function keepRecent({ entries: [first], report }: Opened, source: (() => Source | Promise<Source>) | undefined): Promise<void> {
  const { remember } = await import('./recent');
  const { name, bytes } = report.checkpoint;
  if (source) return remember(await source(), name, bytes);
  if (!first || !('address' in first)) return;
  const { address, hub } = first;
  await remember({ address: { address, ...(hub ? { hub } : {}) } }, name, bytes);
}

/** Asks what two things are that were dropped at once: whether they are to be compared, or opened as one. */
export function ask(names: [string, string], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const end = () => (choice.value = null);
    signal.addEventListener('abort', () => (end(), reject(signal.reason as Error)), { once: true });
    announcement.value = 'Two checkpoints were dropped';
    choice.value = { names, choose: (compare) => (end(), resolve(compare)) };
  });
}

/** Takes progress to whatever is running: the open of `controller`, or the sampling after it. */
function follow(controller: AbortController): (progress: Progress) => void {
  return (progress) => {
    const running = progress.stage === 'weights' ? weighing : opening;
    const now = running.value;
    if (now && !now.controller.signal.aborted && (running === weighing || now.controller === controller))
      running.value = { ...now, progress };
  };
}

/** Samples the weights of the checkpoint on show. Stopped, or failed, it leaves the report as it is. */
async function weigh({ report, inspector, ...rest }: Opened): Promise<Report> {
  const controller = new AbortController();
  weighing.value = { progress: null, controller };
  try {
    const weighed = await inspector.weigh(controller.signal);
    if (opened.value?.inspector !== inspector) return weighed;
    opened.value = { ...rest, report: weighed, inspector };
    if (weighed.model.sentence !== report.model.sentence)
      announcement.value = `The weights change the verdict. ${weighed.model.sentence}`;
    return weighed;
  } catch (error) {
    // The first verdict stands, and says that the weights were not sampled.
    if (!controller.signal.aborted) console.error(error);
    return report;
  } finally {
    if (weighing.value?.controller === controller) weighing.value = null;
  }
}

/** Samples the weights of the checkpoint on show now, whatever was chosen before. */
export function weighNow(): void {
  if (opened.value && !weighing.value) void weigh(opened.value);
}

/** A verifier that knows what the inspector of `current` knows, or is about to. */
export async function successor({ entries, report }: Opened, signal: AbortSignal): Promise<{ inspector: Inspector; report: Report }> {
  const weighs = report.writers.length > 0 || weighing.value !== null;
  const after = await Inspector.open(entries, () => undefined, signal, 'verifier');
  const { inspector } = after;
  // One that is ended meanwhile is closed by nobody else.
  signal.addEventListener('abort', () => inspector.close(signal.reason), { once: true });
  return { inspector, report: weighs ? await inspector.weigh(signal) : after.report };
}

let promotion: { id: number; done: Promise<Opened> } | null = null;

/** The checkpoint on show, with a verifier in the place of the inspector; nothing else about it changes. */
export function withVerifier(): Promise<Opened> {
  const current = opened.value;
  if (!current) return Promise.reject(new Error('Open a checkpoint first.'));
  if (current.inspector.kind === 'verifier') return Promise.resolve(current);
  if (promotion?.id !== current.id) {
    const done = promote(current).finally(() => (promotion = null));
    promotion = { id: current.id, done };
  }
  return promotion.done;
}

async function promote(current: Opened): Promise<Opened> {
  const after = await successor(current, new AbortController().signal);
  const now = opened.value;
  if (now?.id !== current.id || now.inspector.kind === 'verifier') {
    after.inspector.close();
    if (now?.id === current.id) return now;
    throw new DOMException('Another checkpoint was opened.', 'AbortError');
  }
  stopWeighing();
  now.inspector.close();
  return (opened.value = { ...now, ...after });
}

/** Shows the report of the checkpoint `id` with what was measured, and the verifier that made it in the place of its inspector. */
export function keepMeasured(id: number, report: Report, inspector: Inspector): void {
  const current = opened.value;
  if (current?.id !== id) return inspector.close();
  stopWeighing();
  current.inspector.close();
  opened.value = { ...current, report, inspector };
}

/** The report on show as a link that holds it, at a site if one is given, or as one HTML file. */
export async function share(
  { as = 'link', names = true, site = null }: { as?: 'link' | 'html'; names?: boolean; site?: string | null } = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const { inspector } = await withVerifier();
  return as === 'html' ? inspector.html(names, signal) : linkToReport(await inspector.link(names, signal), site);
}

/** How to measure: one site's activations or those of all, where, and whether a long measurement waits for consent. */
type Options = { site?: string | undefined; device?: Device | undefined; ask?: boolean };

const NO_CHECKPOINT = 'Open a checkpoint first: activations are measured against its scales.';

/** What measuring would take. */
export async function plan(activations: Dropped, { site, device = 'fastest' }: Options = {}): Promise<MeasurementPlan> {
  if (!opened.value) throw new Error(NO_CHECKPOINT);
  const { entries } = opened.value;
  const verifiers = await Verifiers.plan({ entries, activations, site, device }, new AbortController().signal);
  verifiers.close();
  return { ...verifiers.plan, seconds: verifiers.plan.seconds / verifiers.workers };
}

/** Begins a measurement in place of one that is running. */
function beginMeasuring(): Measuring {
  measuring.value?.controller.abort(new DOMException('Another measurement was begun.', 'AbortError'));
  const [controller, stop] = [new AbortController(), new AbortController()];
  measureFailure.value = null;
  announcement.value = 'Measuring';
  return (measuring.value = { progress: null, controller, stop, plan: null, workers: 1, begin: null });
}

/**
 * Measures sites of the checkpoint on show on activations: by their names, or all of them as those of `site`; on what is
 * fastest, unless told otherwise. Verifiers open the files again and measure side by side; another one takes
 * what they find into a report, also when it was stopped on the way, and takes the place of the inspector. A failure leaves
 * everything as it was.
 */
export async function measure(activations: Dropped, { site, device = 'fastest', ask = false }: Options = {}): Promise<Report> {
  const current = opened.value;
  if (!current) throw new Error(NO_CHECKPOINT);
  const { controller, stop } = beginMeasuring();
  const { signal: ended } = controller;
  const tell = (news: Partial<Measuring>) => {
    if (measuring.value?.controller === controller) measuring.value = { ...measuring.value, ...news };
  };
  let verifiers: Verifiers | undefined;
  try {
    const either = AbortSignal.any([ended, stop.signal]);
    verifiers = await Verifiers.plan({ entries: current.entries, activations, site, device }, either);
    const { plan, workers } = verifiers;
    tell({ plan, workers });
    if (ask && plan.seconds / workers > LONG) await new Promise<void>((resolve, reject) => {
      either.addEventListener('abort', () => reject(either.reason as Error), { once: true });
      announcement.value = 'The plan of the measurement is ready.';
      tell({ begin: resolve });
    });
    tell({ begin: null });
    const [measured, { inspector: after }] = await Promise.all([
      verifiers.measure((progress) => tell({ progress }), stop.signal, ended),
      successor(current, ended),
    ]);
    const report = await after.verify(measured, ended).catch((error: unknown) => {
      after.close();
      throw error;
    });
    keepMeasured(current.id, report, after);
    announcement.value = `Measured. ${report.model.sentence}`;
    return report;
  } catch (error) {
    if (!ended.aborted && !stop.signal.aborted) measureFailure.value = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    verifiers?.close();
    if (measuring.value?.controller === controller) measuring.value = null;
  }
}

/**
 * Measures the norm of `site` alone, on random inputs, in a verifier of its own: the report stays as it is, for what comes
 * out is no evidence about the model.
 */
export async function measureAlone(site: string, device: Device): Promise<void> {
  const current = opened.value;
  if (!current) return;
  const { controller, stop } = beginMeasuring();
  // There is no half of it to keep.
  const ended = AbortSignal.any([controller.signal, stop.signal]);
  let verifier: Inspector | undefined;
  try {
    verifier = (await Inspector.open(current.entries, () => undefined, ended, 'verifier')).inspector;
    alone.value = await verifier.alone(site, device, ended);
    announcement.value = 'Measured on random inputs';
  } catch (error) {
    if (!ended.aborted) measureFailure.value = error instanceof Error ? error.message : String(error);
  } finally {
    verifier?.close();
    if (measuring.value?.controller === controller) measuring.value = null;
  }
}

/** `measure` for event handlers: a long one asks first. */
export function showMeasured(activations: Dropped, site?: string, device?: Device): void {
  measure(activations, { site, device, ask: true }).catch(() => undefined);
}

/** Ends the measurement; what has been measured until then is kept. */
export function stopMeasuring(): void {
  measuring.value?.stop.abort();
}

/** Stops the sampling of the weights. The report on show stays. */
export function stopWeighing(): void {
  if (!weighing.value) return;
  weighing.value.controller.abort(new DOMException('Sampling the weights was stopped.', 'AbortError'));
  weighing.value = null;
  announcement.value = 'Stopped';
}

/** `open` for event handlers: the failure is already on the page, so nobody needs the rejection. */
export function show(gather: Gather, source?: () => Source | Promise<Source>): void {
  open(gather, undefined, source).catch(() => undefined);
}

/** Opens what a link names or holds, and points at its site. */
export function showLink({ entry, site }: Link): void {
  if ('address' in entry) {
    address.value = entry.address;
    hub.value = entry.hub ?? '';
  }
  open(() => [entry])
    .then(() => site !== null && pointAt(site))
    .catch(() => undefined);
}

/** Opens the address in the field, with a token for its host where one is given. */
export function showAddress(token = ''): void {
  const entry = { address: address.value, ...(hub.value ? { hub: hub.value } : {}), ...(token ? { token } : {}) };
  show(() => [entry]);
}

/** Stops the running open. The report on show stays. */
export function cancel(): void {
  if (!opening.value) return;
  opening.value.controller.abort(new DOMException('Opening was cancelled.', 'AbortError'));
  opening.value = null;
  announcement.value = 'Cancelled';
}

/** Opens a site's row in the table and takes the reader there. */
export function pointAt(name: string): void {
  const site = siteByName.value.get(name);
  if (site !== undefined) pointedAt.value = { site };
}
