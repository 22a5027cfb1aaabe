/** Back to a report shows its measurement again. The page keeps the measurement, not the worker that made it. */
import { effect } from '@preact/signals';
import type { Inspector } from '../inspector';
import { type Json, parse } from '../protocol';
import type { Report } from '../report';
import { type Opened, opened } from './opened';
import { keepMeasured, successor } from './verifier';
import { weighing } from './weighing';

/** Takes a measurement into the report of a verifier that has opened the same files. */
export type Take = (inspector: Inspector, signal: AbortSignal) => Promise<Json<Report>>;

/** As many as Back can lead to. */
const MOST = 16;

const takes = new Map<number, Take>();

/** Shows the report of the checkpoint `id` with what `take` gives, and keeps `take` for the next time that it is opened. */
export async function showTaken(id: number, inspector: Inspector, take: Take, signal: AbortSignal): Promise<Report> {
  const report = await take(inspector, signal)
    .then(parse)
    .catch((error: unknown) => {
      inspector.close();
      throw error;
    });
  takes.delete(id);
  takes.set(id, take);
  for (const [oldest] of takes) if (takes.size > MOST) takes.delete(oldest);
  keepMeasured(id, report, inspector);
  return report;
}

let retaken: Inspector | null = null;

effect(() => {
  const now = opened.value;
  // Once the weights are sampled, so that a verifier samples them too.
  if (!now || weighing.value || now.report.verification || !takes.has(now.id)) return;
  // Sampling begins right after a checkpoint is opened.
  queueMicrotask(() => {
    if (!weighing.peek() && opened.peek() === now && retaken !== now.inspector) void retake(now);
  });
});

async function retake(now: Opened): Promise<void> {
  const take = takes.get(now.id);
  if (!take) return;
  retaken = now.inspector;
  try {
    const { signal: never } = new AbortController();
    const { inspector } = await successor(now, never);
    await showTaken(now.id, inspector, take, never);
  } catch (error) {
    // The files may be gone: the report stays as it is, and the tool measures again.
    console.error(error);
  }
}
