/** All norm sites: the map, and a table whose rows open the evidence of a site. */
import { KINDS, ROLES, count, dead, kernelForm, probability } from '../format';
import type { NormReport } from '../report';
import { type Opened, pointAt, pointedAt } from '../state/opened';
import { name, order } from './columns';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Site } from './site';
import { type Chips, type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';

const COLUMNS: readonly DataColumn<NormReport>[] = [
  order(),
  name('Site', 'site', ({ name }) => name),
  {
    id: 'kind',
    label: 'Kind',
    term: 'kind',
    shown: true,
    value: ({ kind }) => KINDS[kind],
    cell: ({ kind }) => (
      <>
        <span class={`dot ${kind}`} aria-hidden="true" />
        {KINDS[kind]}
      </>
    ),
  },
  {
    id: 'dead',
    label: 'What is dead',
    about: 'What no map behind the norm can see: a direction of its output, or channels whose scale is zero.',
    shown: true,
    value: ({ kernel }) => dead(kernel),
    sortBy: ({ kernel: { form, coordinates } }) => (form === 'unknown' ? null : form === 'inverse_scale' ? 1 : coordinates.length),
  },
  {
    id: 'confidence',
    label: 'Conf.',
    term: 'confidence',
    numeric: true,
    value: ({ confidence }) => (confidence > 0 ? confidence : null),
    format: probability,
  },
  { id: 'role', label: 'Role', term: 'role', value: ({ role }) => ROLES[role] },
  {
    id: 'width',
    label: 'd',
    term: 'width',
    numeric: true,
    value: ({ width }) => width,
    format: count,
  },
  {
    id: 'kernel',
    label: 'Kernel',
    term: 'kernel',
    value: ({ kernel }) => kernelForm(kernel.form, kernel.coordinates.length),
  },
  measure('participation', 'Partic.', ({ kernel }) => kernel.participation),
  measure('max_component', 'max |vᵢ|', ({ kernel }) => kernel.max_component),
  measure('scale_min_abs', 'min |γ|', ({ kernel }) => kernel.scale_min_abs),
  measure('condition', 'Condition', ({ kernel }) => kernel.condition),
  measure('deepening', 'Deepening', ({ kernel }) => kernel.deepening),
  measure('near_dead', 'Near-dead', ({ kernel }) => kernel.near_dead.length),
  measure('predicted_below_tau', 'Below τ', ({ kernel }) => kernel.predicted_below_tau),
  { id: 'readers', label: 'Readers', term: 'reader', numeric: true, value: ({ readers }) => readers.length },
];

function measure(
  term: 'participation' | 'max_component' | 'scale_min_abs' | 'condition' | 'deepening' | 'near_dead' | 'predicted_below_tau',
  label: string,
  value: (norm: NormReport) => number | null,
): DataColumn<NormReport> {
  return { id: term, label, term, numeric: true, value };
}

const CHIPS: readonly Chips<NormReport>[] = [
  { label: 'kind', of: ({ kind }) => kind, names: KINDS },
  { label: 'role', of: ({ role }) => role, names: ROLES },
];

const searched = ({ name, scale, shift, kind, role }: NormReport) =>
  `${name} ${scale} ${shift} ${KINDS[kind]} ${ROLES[role]}`;

export function Sites({ opened }: { opened: Opened }) {
  const { report, inspector } = opened;
  return (
    <section id="sites" aria-labelledby="sites-heading">
      <Heading of="sites">Norm sites</Heading>
      <p class="lead">
        In the order of the network. Open a row for its evidence, its scales and the maps that read it.
      </p>
      {report.norms.length > 0 && (
        <FigureView
          inspector={inspector}
          report={report}
          kind="site_map"
          checkpoint={report.checkpoint.name}
          onPick={(row) => {
            const name = row.find((value) => typeof value === 'string');
            if (typeof name === 'string') pointAt(name);
          }}
        />
      )}
      <DataTable
        label="Norm sites"
        noun="site"
        rows={report.norms}
        columns={COLUMNS}
        text={searched}
        chips={CHIPS}
        group={({ name }) => likeNames(name)}
        file={report.checkpoint.name}
        detail={(norm) => <Site opened={opened} norm={norm} />}
        target={pointedAt.value}
      />
    </section>
  );
}
