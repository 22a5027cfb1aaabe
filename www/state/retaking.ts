/** Restores the measurement of a report when Back opens it again. The page keeps the measurement, not the worker that made it. */
import { effect } from '@preact/signals';
import type { Inspector } from '../inspector';
import { type Json, parse } from '../protocol';
import type { Report } from '../report';
import { type Opened, opened } from './opened';
import { keepMeasured, successor } from './verifier';
import { weighing } from './weighing';

/** Adds a measurement to the report of a verifier that has opened the same files. */
export type Take = (inspector: Inspector, signal: AbortSignal) => Promise<Json<Report>>;

/** The number of reports that Back can open again. */
const MOST = 16;

const takes = new Map<number, Take>();

/** Shows the report of the checkpoint `id` with the measurement of `take`, and keeps `take` for when Back opens it again. */
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
  // Wait until the weights are sampled, so that the verifier samples them too.
  if (!now || weighing.value || now.report.verification || !takes.has(now.id)) return;
  // Sampling begins right after a checkpoint opens.
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
    // The files may be gone. The report stays without the measurement, and the user can measure again.
    console.error(error);
  }
}
