/** The table of several checkpoints. A row opens its report, and Back returns here. */
import { VERDICTS, bytes, count, percent, probability } from '../format';
import { openCheckpoint } from '../state/opening';
import { type Line, type Summary, scan } from '../state/scan';
import { goOnScanning, stopScanning } from '../state/scanning';
import { weighs } from '../state/weighing';
import { Prose } from './prose';
import { Opening } from './status';
import { type Chips, type DataColumn, DataTable } from './table';
import '../styles/scan.css';

const summary = ({ outcome }: Line): Summary | null => (outcome && !('error' in outcome) ? outcome : null);
const error = ({ outcome }: Line): string | null => (outcome && 'error' in outcome ? outcome.error : null);

/** The state of a line in one word. */
function state(line: Line): string {
  if (line.outcome === null) return 'waiting';
  return 'error' in line.outcome ? 'failed' : line.outcome.verdict;
}

const STATES = { ...VERDICTS, failed: 'Not read', waiting: 'Waiting' };

const COLUMNS: readonly DataColumn<Line>[] = [
  { id: 'name', label: 'Checkpoint', names: true, value: ({ name }) => name },
  {
    id: 'verdict',
    label: 'Verdict',
    text: 'prose',
    value: (line) => (line.outcome === null ? null : (error(line) ?? STATES[state(line) as keyof typeof STATES])),
    cell: (line) => <Verdict line={line} />,
  },
  column('sites', 'Norm sites', ({ sites }) => sites, count),
  column('dead', 'Dead share', ({ dead }) => dead, percent),
  column('warnings', 'Warnings', ({ warnings }) => warnings, count),
  { id: 'size', label: 'Size', numeric: true, value: (line) => summary(line)?.bytes ?? line.bytes, format: bytes },
];

function column(id: string, label: string, of: (summary: Summary) => number, format: (value: number) => string): DataColumn<Line> {
  const value = (line: Line) => {
    const found = summary(line);
    return found && of(found);
  };
  return { id, label, numeric: true, value, format };
}

function Verdict({ line }: { line: Line }) {
  const [found, failed] = [summary(line), error(line)];
  if (failed !== null) return (
      <span class="refused">
        <Prose>{failed}</Prose>
      </span>
    );
  if (!found) return <span class="muted">…</span>;
  return (
    <span class="found">
      <span class={`dot ${found.verdict}`} aria-hidden="true" />
      {VERDICTS[found.verdict]}
      {found.confidence > 0 && <span class="muted"> {probability(found.confidence)}</span>}
    </span>
  );
}

const CHIPS: readonly Chips<Line>[] = [{ label: 'verdict', of: state, names: STATES }];

export function Scan() {
  const now = scan.value;
  if (!now) return null;
  const { lines, controller, name } = now;
  const done = lines.filter(({ outcome }) => outcome !== null).length;
  return (
    <section id="scan" aria-labelledby="scan-heading">
      <h1 id="scan-heading" tabIndex={-1}>
        {count(lines.length)} checkpoints{name && ` in ${name}`}
      </h1>
      <p class="lead">
        Each line comes from headers and norm tensors alone. Choose a row to open its report
        {weighs.value === 'yes' && ', which also samples the weights'}. Back returns to this table.
      </p>
      <Opening />
      {done < lines.length && (
        <div class="notice scanning">
          <p class="line">
            <strong>{controller ? 'Inspecting' : 'Stopped'}</strong>{' '}
            <span class="figures">
              {count(done)} of {count(lines.length)}
            </span>
          </p>
          <progress aria-label="Progress of inspecting" max={lines.length} value={done} />
          <button type="button" class="button" onClick={controller ? stopScanning : goOnScanning}>
            {controller ? 'Stop' : 'Go on'}
          </button>
        </div>
      )}
      <DataTable
        label="Checkpoints"
        noun="checkpoint"
        rows={lines}
        columns={COLUMNS}
        text={(line) => `${line.name} ${STATES[state(line) as keyof typeof STATES]} ${error(line) ?? ''}`}
        chips={CHIPS}
        file={name}
        onChoose={({ entries }) => openCheckpoint(() => entries).catch(() => undefined)}
      />
    </section>
  );
}
