/** Samples the weights of the open checkpoint. */
import { signal } from '@preact/signals';
import { Inspector } from '../inspector';
import type { Progress, Report } from '../report';
import { stored } from '../stored';
import { announcement } from './announcement';
import { type Opened, opened } from './opened';
import type { Task } from './task';

/** The running sampling. */
export const weighing = signal<Task | null>(null);

/** Whether the page samples weights after it shows the first verdict. */
export const weighs = stored('gammascope.weights', ['yes', 'no'], 'yes');

/** Samples the weights of the open checkpoint. If it stops or fails, the report stays as it is. */
export async function weigh(checkpoint: Opened): Promise<Report> {
  const { report, inspector } = checkpoint;
  const controller = new AbortController();
  weighing.value = { progress: null, controller };
  let decoder: Inspector | null = null;
  try {
    decoder = inspector.wasm === 'inspector' && isQuantised(report) ? await openAgain(checkpoint, controller) : null;
    const weighed = await (decoder ?? inspector).weigh(controller.signal);
    if (opened.value?.inspector !== inspector) return weighed;
    opened.value = { ...checkpoint, report: weighed, inspector: decoder ?? inspector };
    if (decoder) inspector.close();
    decoder = null;
    if (weighed.model.sentence !== report.model.sentence)
      announcement.value = `The weights change the verdict. ${weighed.model.sentence}`;
    return weighed;
  } catch (error) {
    // The first verdict stays, and says that the weights were not sampled.
    if (!controller.signal.aborted) console.error(error);
    return report;
  } finally {
    decoder?.close();
    if (weighing.value?.controller === controller) weighing.value = null;
  }
}

/** Whether weights may be stored in a way that only the verifier decodes. */
function isQuantised({ checkpoint, warnings }: Report): boolean {
  return checkpoint.format === 'gguf' || warnings.some(({ code }) => code === 'weights_packed');
}

/** Opens the files of a checkpoint in the verifier. */
async function openAgain({ entries }: Opened, controller: AbortController): Promise<Inspector> {
  const follow = (progress: Progress) => {
    const now = weighing.value;
    if (now?.controller === controller && progress.stage === 'weights') weighing.value = { ...now, progress };
  };
  return (await Inspector.open(entries, follow, controller.signal, 'verifier')).inspector;
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
