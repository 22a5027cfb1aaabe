/** The kernel of one site, in numbers and in words. */
import { CONVENTIONS, count, counted, kernelForm, maybe } from '../format';
import type { NormReport } from '../report';
import { Facts, type Fact } from './facts';

const LISTED = 40;

/** Says why this kernel has no γ⁻¹ direction to draw. Null if it has one. */
export function whyNoDirection({ kernel, kind, problem, scale }: NormReport): string | null {
  switch (kernel.form) {
    case 'inverse_scale':
      return null;
    case 'coordinates':
      return `${counted(kernel.coordinates.length, 'scale')} ${kernel.coordinates.length === 1 ? 'is' : 'are'} exactly zero. The kernel is those channels, and there is no γ⁻¹ direction.`;
    case 'none':
      return 'An RMSNorm does not subtract the mean, and no scale is zero. So no direction of its output is dead.';
    case 'unknown':
      if (problem !== null) return problem;
      if (scale === null && kind !== 'layernorm')
        return 'This norm stores no scale, so there is no direction to compute.';
      return kind === 'other'
        ? 'This norm is neither a LayerNorm nor an RMSNorm, so the theorem does not apply.'
        : 'Whether this norm subtracts the mean could not be decided. Only a LayerNorm has a γ⁻¹ direction.';
  }
}

export function KernelFacts({ norm }: { norm: NormReport }) {
  const { kernel } = norm;
  const direction: Fact[] =
    kernel.form === 'inverse_scale'
      ? [
          { term: 'participation', value: `${maybe(kernel.participation)} of ${count(norm.width)}` },
          {
            term: 'max_component',
            value: `${maybe(kernel.max_component)}${kernel.max_index === null ? '' : ` at channel ${kernel.max_index}`}`,
          },
          { term: 'inverse_norm', value: maybe(kernel.inverse_norm) },
          { term: 'deepening', value: kernel.deepening === null ? '–' : `× ${maybe(kernel.deepening)}` },
        ]
      : [];
  const facts: Fact[] = [
    { term: 'kernel', value: kernelForm(kernel.form, kernel.coordinates.length) },
    ...direction,
    { term: 'scale_min_abs', value: maybe(kernel.scale_min_abs) },
    { term: 'scale_median_abs', value: maybe(kernel.scale_median_abs) },
    { term: 'scale_max_abs', value: maybe(kernel.scale_max_abs) },
    { term: 'condition', value: maybe(kernel.condition) },
    { term: 'near_dead', value: channels(kernel.near_dead) },
    ...(kernel.near_dead.length > 0 && kernel.near_dead_weight !== null
      ? [{ term: 'near_dead_weight' as const, value: maybe(kernel.near_dead_weight) }]
      : []),
    { term: 'predicted_below_tau', value: maybe(kernel.predicted_below_tau) },
    { term: 'convention', value: CONVENTIONS[norm.scale_convention], exact: norm.convention_reason },
    {
      term: 'shift',
      value: norm.shift === null ? 'none' : 'stored',
      ...(norm.shift === null ? {} : { exact: norm.shift }),
    },
  ];
  return <Facts facts={facts} />;
}

function channels(indices: readonly number[]): string {
  if (indices.length === 0) return '0';
  const listed = indices.slice(0, LISTED).join(', ');
  return `${count(indices.length)}: channel ${listed}${indices.length > LISTED ? ', …' : ''}`;
}
