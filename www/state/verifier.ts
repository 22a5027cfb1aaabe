/** Replaces the inspector of the open checkpoint by a verifier. */
import { Inspector } from '../inspector';
import type { Report } from '../report';
import { type Opened, opened } from './opened';
import { stopWeighing, weighing } from './weighing';

/** Opens a verifier with the files of a checkpoint. It samples the weights if the inspector has, or is doing so. */
export async function successor({ entries, report }: Opened, signal: AbortSignal): Promise<{ inspector: Inspector; report: Report }> {
  const weighs = report.writers.length > 0 || weighing.value !== null;
  const after = await Inspector.open(entries, () => undefined, signal, 'verifier');
  const { inspector } = after;
  // If the caller aborts in the meantime, nobody else closes the verifier.
  signal.addEventListener('abort', () => inspector.close(signal.reason), { once: true });
  return { inspector, report: weighs ? await inspector.weigh(signal) : after.report };
}

let promotion: { id: number; done: Promise<Opened> } | null = null;

/** Returns the open checkpoint with a verifier in place of its inspector. Nothing else changes. */
export function withVerifier(): Promise<Opened> {
  const current = opened.value;
  if (!current) return Promise.reject(new Error('Open a checkpoint first.'));
  if (current.inspector.wasm === 'verifier') return Promise.resolve(current);
  if (promotion?.id !== current.id) {
    const done = promote(current).finally(() => (promotion = null));
    promotion = { id: current.id, done };
  }
  return promotion.done;
}

async function promote(current: Opened): Promise<Opened> {
  const after = await successor(current, new AbortController().signal);
  const now = opened.value;
  if (now?.id !== current.id || now.inspector.wasm === 'verifier') {
    after.inspector.close();
    if (now?.id === current.id) return now;
    throw new DOMException('Another checkpoint was opened.', 'AbortError');
  }
  stopWeighing();
  now.inspector.close();
  return (opened.value = { ...now, ...after });
}

/** Shows a measured report of the checkpoint `id`, and replaces its inspector by the verifier that made the report. */
export function keepMeasured(id: number, report: Report, inspector: Inspector): void {
  const current = opened.value;
  if (current?.id !== id) return inspector.close();
  stopWeighing();
  current.inspector.close();
  opened.value = { ...current, report, inspector };
}
