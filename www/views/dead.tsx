/** The dead directions by class, in total and for each reader. */
import { useMemo } from 'preact/hooks';
import { USES, count, counted, percent } from '../format';
import { name, order } from './columns';
import { GLOSSARY } from '../glossary';
import type { DeadDirections, ReaderReport, Report } from '../report';
import { pointAt } from '../state/opened';
import { TERMS } from '../terms';
import { Heading } from './heading';
import { Name } from './name';
import { Prose } from './prose';
import { type Chips, type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';
import { Word } from './term';

/** Whether the counts include a reader. A reader of a norm without a kernel has no dead direction. */
const counts = ({ dead }: ReaderReport): boolean => Object.values(dead).some((directions) => directions > 0);

const CLASSES = ['outright', 'with_bias_shift', 'constant_shift'] as const;

type ReaderRow = { reader: ReaderReport; site: string };

const COLUMNS: readonly DataColumn<ReaderRow>[] = [
  order(),
  name('Reader', 'reader', ({ reader }) => reader.name),
  { id: 'use', label: 'Use', about: 'What the model does with it.', shown: true, value: ({ reader }) => USES[reader.use] },
  {
    id: 'site',
    label: 'Reads',
    term: 'site',
    value: ({ site }) => site,
    text: 'name',
    cell: ({ site }) => (
      <span class="mono">
        <Name>{site}</Name>
      </span>
    ),
  },
  {
    id: 'rows',
    label: 'Rows',
    term: 'rows',
    numeric: true,
    value: ({ reader }) => reader.rows,
  },
  {
    id: 'free',
    label: 'Free directions',
    about: 'Directions in which the reader can move and the function stays the same: outright, or once its bias is moved.',
    numeric: true,
    shown: true,
    value: ({ reader }) => reader.dead.outright + reader.dead.with_bias_shift,
  },
  dead('outright', 'Outright'),
  dead('with_bias_shift', 'Bias moved'),
  dead('constant_shift', 'Constant'),
  dead('tied', 'Tied'),
  { id: 'bias', label: 'Bias', about: 'Whether it has a bias, which can be moved as well.', value: ({ reader }) => (reader.bias === null ? 'no' : 'yes') },
  { id: 'assumed', label: 'Assumed', about: 'What its counts rest on.', value: ({ reader }) => reader.assumed, text: 'prose' },
];

function dead(id: keyof DeadDirections, label: string): DataColumn<ReaderRow> {
  const value = ({ reader }: ReaderRow) => reader.dead[id];
  return { id, label, term: id, numeric: true, value };
}

const CHIPS: readonly Chips<ReaderRow>[] = [{ label: 'use', of: ({ reader }) => reader.use, names: USES }];

export function Dead({ report }: { report: Report }) {
  const { dead_parameters: totals, norms } = report;
  const rows = useMemo(
    () => norms.flatMap(({ name, readers }) => readers.filter(counts).map((reader) => ({ reader, site: name }))),
    [norms],
  );
  if (totals.readers === 0) {
    return (
      <section id="dead" aria-labelledby="dead-heading">
        <Heading of="dead">What is dead</Heading>
        <p class="lead">
          No reader was recognised, so nothing is counted. A linear map counts only if its block is understood. Each site with
          a <Word term="kernel">kernel</Word> says what is not.
        </p>
      </section>
    );
  }
  return (
    <section id="dead" aria-labelledby="dead-heading">
      <Heading of="dead">What is dead</Heading>
      <p class="lead">
        After a site with a kernel direction v, a reader W can become W + a vᵀ for any a: one{' '}
        <Word term="dead">direction</Word> for each of its rows. The effect depends on the norm’s shift and the reader’s bias.
        {totals.share > 0 && (
          <>
            {' '}
            Of the parameters of {counted(totals.readers, 'reader')}, {percent(totals.share)} are free to move (
            <Word term="share">share</Word>).
          </>
        )}
      </p>
      {CLASSES.some((name) => totals[name] > 0) && (
        <div class="proportions" aria-hidden="true">
          {CLASSES.map(
            (name) => totals[name] > 0 && <span key={name} class={name} style={{ flexGrow: totals[name] }} />,
          )}
        </div>
      )}
      <dl class="classes">
        {CLASSES.map((name) => (
          <div key={name} class={name}>
            <dt>{TERMS[name]}</dt>
            <dd>
              <b>{count(totals[name])}</b>
              <span>{GLOSSARY[name]}</span>
            </dd>
          </div>
        ))}
      </dl>
      {totals.tied > 0 && (
        <p class="aside">
          <b>{count(totals.tied)}</b> more are <strong>tied</strong>. {GLOSSARY.tied} They are not in the counts
          above.
        </p>
      )}
      {rows.length > 0 && (
        <details class="more">
          <summary>Each of the {counted(rows.length, 'reader')}</summary>
          <DataTable
            label="Readers"
            noun="reader"
            rows={rows}
            columns={COLUMNS}
            text={({ reader, site }) => `${reader.name} ${site} ${USES[reader.use]}`}
            chips={CHIPS}
            group={({ reader }) => likeNames(reader.name)}
            file={report.checkpoint.name}
            onChoose={({ site }) => pointAt(site)}
          />
        </details>
      )}
      {totals.assumptions.length > 0 && (
        <details class="more">
          <summary>What the counts rest on</summary>
          <ul class="prose">
            {totals.assumptions.map((assumption) => (
              <li key={assumption}>
                <Prose>{assumption}</Prose>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
