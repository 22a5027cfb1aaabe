/** Samples the weights of the open checkpoint. */
import { signal } from '@preact/signals';
import type { Report } from '../report';
import { stored } from '../stored';
import { announcement } from './announcement';
import { type Opened, opened } from './opened';
import type { Task } from './task';

/** The running sampling. */
export const weighing = signal<Task | null>(null);

/** Whether the page samples weights after it shows the first verdict. */
export const weighs = stored('gammascope.weights', ['yes', 'no'], 'yes');

/** Samples the weights of the open checkpoint. If it stops or fails, the report stays as it is. */
export async function weigh({ report, inspector, ...rest }: Opened): Promise<Report> {
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
    // The first verdict stays, and says that the weights were not sampled.
    if (!controller.signal.aborted) console.error(error);
    return report;
  } finally {
    if (weighing.value?.controller === controller) weighing.value = null;
  }
}

/** Samples the weights of the open checkpoint now, whatever the setting says. */
export function weighNow(): void {
  if (opened.value && !weighing.value) void weigh(opened.value);
}

/** Stops sampling. The open report stays. */
export function stopWeighing(): void {
  if (!weighing.value) return;
  weighing.value.controller.abort(new DOMException('Sampling the weights was stopped.', 'AbortError'));
  weighing.value = null;
  announcement.value = 'Stopped';
}
