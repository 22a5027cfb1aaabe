/** The sections of the page that exist for the open report, in their order; a section without anything to say does not. */
import { computed, signal } from '@preact/signals';
import { opened } from './opened';

/** Which results stand beside the report: a comparison, an adapter. What makes them says so, as it is loaded later than this. */
export const besides = signal<readonly ('compare' | 'adapter')[]>([]);

const LABELS = {
  verdict: 'Result',
  dead: 'Dead',
  kernel: 'Kernel',
  sites: 'Sites',
  weights: 'Weights',
  'run-result': 'Run',
  'measure-result': 'Measured',
  'compare-result': 'Comparison',
  'adapter-result': 'Adapter',
  file: 'File',
  warnings: 'Warnings',
  tools: 'Tools',
  how: 'How',
} as const;

export type Section = keyof typeof LABELS;

/** Sections by name. */
export const exists = computed((): Record<Section, boolean> => {
  const report = opened.value?.report;
  const norms = report?.norms ?? [];
  const { verification = null, model, dead_parameters, checkpoint, warnings = [], shared } = report ?? {};
  const kernels = norms.some(({ kernel }) => kernel.form === 'inverse_scale' || kernel.form === 'coordinates');
  return {
    verdict: report !== undefined,
    dead: (dead_parameters?.readers ?? 0) > 0 || kernels,
    kernel: norms.some(({ name }) => name === model?.final_norm),
    sites: norms.length > 0,
    weights: norms.length > 0 && (!shared || (checkpoint?.weight_bytes_read ?? 0) > 0),
    'run-result': verification !== null && verification.pass !== null,
    'measure-result': verification !== null && verification.pass === null,
    'compare-result': besides.value.includes('compare'),
    'adapter-result': besides.value.includes('adapter'),
    file: report !== undefined && !shared,
    warnings: warnings.length > 0,
    tools: norms.length > 0 && !shared,
    how: true,
  };
});

/** What the bar links to. */
export const sections = computed(() =>
  (Object.keys(LABELS) as Section[]).filter((id) => exists.value[id]).map((id) => ({ id, label: LABELS[id] })),
);
