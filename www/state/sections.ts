/** The sections that the page has for the open report, in order. A section without content does not exist. */
import { computed, signal } from '@preact/signals';
import { opened } from './opened';

/** The results beside the report: a comparison, an adapter. together.ts sets this, because it loads later. */
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

/** Whether each section exists. */
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

/** The links of the bar. */
export const sections = computed(() =>
  (Object.keys(LABELS) as Section[]).filter((id) => exists.value[id]).map((id) => ({ id, label: LABELS[id] })),
);
