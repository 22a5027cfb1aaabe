/** The norms of a model at its initialisation. */
import { KINDS } from '../format';
import type { NormReport, RandomInit, RandomInitSite } from '../report';
import { pointAt } from '../state/opened';
import { name, order } from './columns';
import { type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';

/** The decimal places to which the paper gives |cos|. */
const PLACES = 4;

export function Initial({ random: { seed, sites }, norms }: { random: RandomInit; norms: readonly NormReport[] }) {
  const kinds = new Map(norms.map(({ name, kind }) => [name, KINDS[kind]]));
  const columns: readonly DataColumn<RandomInitSite>[] = [
    order(),
    name('Site', 'site', ({ name }) => name),
    { id: 'kind', label: 'Kind', term: 'kind', shown: true, value: ({ name }) => kinds.get(name) ?? null },
    {
      id: 'cos_scale_free',
      label: '|cos^|',
      term: 'cos_scale_free',
      numeric: true,
      shown: true,
      value: (site) => site.cos_scale_free,
      format: (cosine) => cosine.toFixed(PLACES),
    },
    { id: 'depth_scale_free', label: 'depth^', term: 'depth_scale_free', numeric: true, shown: true, value: (site) => site.depth_scale_free },
    {
      id: 'below_tau',
      label: 'Below τ',
      about: 'Measured directions with less than a millionth of the mean variance. A LayerNorm with γ = 1 has one, an RMSNorm none.',
      numeric: true,
      shown: true,
      value: (site) => site.below_tau,
    },
  ];
  return (
    <>
      <p>
        The same architecture with γ = 1, β = 0 and weights drawn from seed {seed}, on the same tokens. The predicted direction is 1/√d, the
        mean over channels. |cos^| compares it with the direction in which the normalised input varies least, and depth^ is the variance left
        along it, over the mean variance.
      </p>
      <DataTable
        label="Norms at random initialisation"
        noun="site"
        rows={sites}
        columns={columns}
        text={({ name }) => name}
        group={({ name }) => likeNames(name)}
        onChoose={({ name }) => pointAt(name)}
      />
    </>
  );
}
