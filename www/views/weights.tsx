/** The energies of the sampled writers of the residual stream, and the setting whether to sample weights. */
import { bytes, counted } from '../format';
import type { WriterReport } from '../report';
import type { Opened } from '../state/opened';
import { weighNow, weighing } from '../state/weighing';
import { name, order } from './columns';
import { FigureView } from './figure';
import { Heading } from './heading';
import { Weighing } from './status';
import { type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';

const PARTS = { attention: 'attention', feed_forward: 'feed-forward', embedding: 'embedding', unknown: '–' } as const;

const COLUMNS: readonly DataColumn<WriterReport>[] = [
  order(),
  name('Writer', 'writer', ({ name }) => name),
  { id: 'part', label: 'Part', term: 'writer', shown: true, value: ({ part }) => PARTS[part] },
  { id: 'energy', label: 'Energy', term: 'energy', numeric: true, shown: true, value: ({ energy }) => energy },
  {
    id: 'null_deviation',
    label: 'Null ±',
    term: 'null_deviation',
    numeric: true,
    value: ({ null_deviation }) => null_deviation,
  },
  {
    id: 'row_dispersion',
    label: 'Rows',
    term: 'row_dispersion',
    numeric: true,
    value: ({ row_dispersion }) => row_dispersion,
  },
  { id: 'columns', label: 'Columns', term: 'writer', numeric: true, value: ({ columns }) => columns },
];

export function Weights({ opened: { report, inspector } }: { opened: Opened }) {
  const { writers, checkpoint } = report;
  const sampled = checkpoint.weight_bytes_read > 0;
  if (report.norms.length === 0) return null;
  return (
    <section id="weights" aria-labelledby="weights-heading">
      <Heading of="weights">What training left in the weights</Heading>
      <p class="lead">
        If every reader of the residual stream passes through a LayerNorm, nothing sees the stream’s mean and no gradient
        reaches it. The matrices that write the stream then keep little energy along it. Renaming tensors does not hide that.
      </p>
      <Weighing />
      {!sampled && report.shared && <p class="muted">No weight had been sampled when this link was made.</p>}
      {!sampled && !report.shared && checkpoint.remote && (
        <p class="muted">
          The weights of a remote checkpoint are not sampled, because that would take thousands of requests. To sample them,
          download it and drop it here.
        </p>
      )}
      {!weighing.value && !sampled && !report.shared && !checkpoint.remote && (
        <div class="notice">
          <p class="line">No weight of this checkpoint has been sampled, so writer energy is not among the evidence.</p>
          <button type="button" class="button" onClick={weighNow}>
            Sample at most 64 MB
          </button>
        </div>
      )}
      {sampled && writers.length === 0 && (
        <p class="muted">
          {bytes(checkpoint.weight_bytes_read)} were sampled, and no writer has usable values: they are all zero, or not finite.
        </p>
      )}
      {writers.length > 0 && (
        <>
          <FigureView inspector={inspector} report={report} kind="writer_energy" checkpoint={checkpoint.name} />
          <details class="more">
            <summary>{counted(writers.length, 'writer')}</summary>
            <DataTable
              label="Writers"
              noun="writer"
              rows={writers}
              columns={COLUMNS}
              text={({ name }) => name}
              group={({ name }) => likeNames(name)}
              file={checkpoint.name}
              chips={[{ label: 'part', of: ({ part }) => part, names: PARTS }]}
            />
          </details>
        </>
      )}
    </section>
  );
}
