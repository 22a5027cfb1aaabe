/** The measurements of all sites: a sentence, the depths, and a table of all numbers. */
import { count, counted, maybe } from '../format';
import type { MeasuredVerdict, SiteVerification, Verification } from '../report';
import { type Opened, pointAt } from '../state/opened';
import { name, order } from './columns';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Name } from './name';
import { Prose } from './prose';
import { type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';

const VERDICTS: Record<MeasuredVerdict, string> = {
  mean_subtracting: 'subtracts the mean',
  not_mean_subtracting: 'does not',
  inconclusive: 'inconclusive',
};

const DOTS: Record<MeasuredVerdict, string> = {
  mean_subtracting: 'layernorm',
  not_mean_subtracting: 'rmsnorm',
  inconclusive: 'unknown',
};

type Quantity = {
  id: 'depth_scale_free' | 'cos_scale_free' | 'depth' | 'cos' | 'sin_bound' | 'gap' | 'schur' | 'schur_null' | 'tokens';
  label: string;
  value: (site: SiteVerification) => number | null;
};

export const NUMBERS: readonly Quantity[] = [
  { id: 'depth_scale_free', label: 'depth^', value: (site) => site.depth_scale_free },
  { id: 'cos_scale_free', label: '|cos^|', value: (site) => site.cos_scale_free },
  { id: 'depth', label: 'depth', value: (site) => site.depth },
  { id: 'cos', label: '|cos|', value: (site) => site.cos },
  { id: 'sin_bound', label: 'sin ≤', value: (site) => site.sin_bound },
  { id: 'gap', label: 'gap', value: (site) => site.gap },
  { id: 'schur', label: 'Schur', value: (site) => site.schur },
  { id: 'schur_null', label: 'null', value: (site) => site.schur_null },
  { id: 'tokens', label: 'n/d', value: (site) => site.tokens / site.width },
];

const COLUMNS: readonly DataColumn<SiteVerification>[] = [
  order(),
  name('Site', 'site', ({ name }) => name),
  {
    id: 'verdict',
    label: 'Measured',
    term: 'measured',
    shown: true,
    value: ({ verdict }) => VERDICTS[verdict],
    cell: ({ verdict }) => (
      <>
        <span class={`dot ${DOTS[verdict]}`} aria-hidden="true" />
        {VERDICTS[verdict]}
      </>
    ),
  },
  ...NUMBERS.map(numeric),
];

function numeric({ id, label, value }: Quantity): DataColumn<SiteVerification> {
  return { id, label, term: id, numeric: true, shown: id === 'depth_scale_free', value };
}

/** The section with the measurement of the user's own activations. */
export function MeasureResult({ opened }: { opened: Opened }) {
  const { verification } = opened.report;
  if (!verification) return null;
  return (
    <section id="measure-result" aria-labelledby="measure-result-heading">
      <Heading of="measure-result">What your activations show</Heading>
      <MeasuredSites opened={opened} verification={verification} />
    </section>
  );
}

type Props = { opened: Opened; verification: Verification; more?: readonly DataColumn<SiteVerification>[] };

/** `more` columns come after those of every measurement. */
export function MeasuredSites({ opened, verification, more = [] }: Props) {
  const { report, inspector } = opened;
  return (
    <>
      <p class="lead" id="measured">
        {summary(verification.sites)} {count(verification.tokens)} tokens or more of {verification.input},{' '}
        {verification.forward}, n/d {maybe(verification.width_ratio)}; {maybe(verification.seconds)} s on{' '}
        {verification.device === 'cpu' ? 'the CPU' : verification.device}
        {verification.kernel_seconds !== null && `, ${maybe(verification.kernel_seconds)} s of them in its kernel by its own clock`}.
      </p>
      <FigureView
        inspector={inspector}
        report={report}
        kind="measured"
        checkpoint={report.checkpoint.name}
        onPick={(row) => typeof row[0] === 'string' && pointAt(row[0])}
      />
      {verification.sites.some(({ principal_cosines }) => principal_cosines !== null) && (
        <FigureView
          inspector={inspector}
          report={report}
          kind="principal_angles"
          checkpoint={report.checkpoint.name}
          onPick={(row) => typeof row[0] === 'string' && pointAt(row[0])}
        />
      )}
      <DataTable
        label="Measured sites"
        noun="site"
        rows={verification.sites}
        columns={[...COLUMNS, ...more]}
        text={({ name, verdict }) => `${name} ${VERDICTS[verdict]}`}
        chips={[{ label: 'measured', of: ({ verdict }) => verdict, names: VERDICTS }]}
        group={({ name }) => likeNames(name)}
        onChoose={({ name }) => pointAt(name)}
        file={`${report.checkpoint.name}-measured`}
      />
      <Notes sites={verification.sites} />
    </>
  );
}

function summary(sites: readonly SiteVerification[]): string {
  const of = (verdict: MeasuredVerdict) => sites.filter((site) => site.verdict === verdict).length;
  const [yes, no, open] = [of('mean_subtracting'), of('not_mean_subtracting'), of('inconclusive')];
  return `${counted(sites.length, 'site')} measured: ${count(yes)} subtract the mean, ${count(no)} do not, ${count(open)} inconclusive. On`;
}

function Notes({ sites }: { sites: readonly SiteVerification[] }) {
  const notes = sites.flatMap(({ name, notes: said }) => said.map((note) => ({ name, note })));
  if (notes.length === 0) return null;
  return (
    <details class="more">
      <summary>{counted(notes.length, 'note')}</summary>
      <ul>
        {notes.map(({ name, note }) => (
          <li key={name + note}>
            <span class="mono">
              <Name>{name}</Name>
            </span>
            : <Prose>{note}</Prose>
          </li>
        ))}
      </ul>
    </details>
  );
}
