/** Rewrites the open checkpoint with the same function: what to do, the plan, progress, and the proof. */
import '../styles/fold.css';
import { useState } from 'preact/hooks';
import { fileName, saveText } from '../download';
import { writesFolders } from '../destination';
import { type FoldPlan, type Folded, cancelFolding, foldFailure, folded, folding, plan, planned, tooLarge, whyNot, write } from '../folding';
import { bytes, count, counted, maybe } from '../format';
import { show } from '../intake';
import type { FoldDifference, FoldOperation, FoldReport, FoldedTensor } from '../report';
import type { Opened } from '../state/opened';
import { Facts } from './facts';
import { Heading } from './heading';
import { Name } from './name';
import { Prose } from './prose';
import { type DataColumn, DataTable } from './table';
import { likeNames } from './table-entries';

/** What can be done, under the names that the terminal has. */
const OPERATIONS: readonly { operation: FoldOperation; does: string }[] = [
  { operation: 'scales', does: 'Multiply the scales of the norms into the maps that read them.' },
  { operation: 'shifts', does: 'Move the shifts of the norms into the biases of these maps.' },
  { operation: 'centre', does: 'Take the mean off everything that writes the residual stream. Only LayerNorm models.' },
  { operation: 'canonical', does: 'Set to zero what the maps read along dead directions.' },
];

/** Up to this many parameters, both checkpoints run by default: that takes less than a minute. */
const SMALL = 5e7;

export function Fold({ opened }: { opened: Opened }) {
  const [chosen, setChosen] = useState<readonly FoldOperation[]>(['scales', 'shifts']);
  const reason = whyNot(opened);
  const toggle = (operation: FoldOperation, on: boolean) => {
    // The plan of another choice would mislead.
    planned.value = null;
    setChosen(OPERATIONS.map((one) => one.operation).filter((one) => (one === operation ? on : chosen.includes(one))));
  };
  return (
    <section class="card" id="fold" aria-labelledby="fold-heading">
      <Heading of="fold" as="h3">Rewrite it with the same function</Heading>
      <p>The page writes a new checkpoint with other numbers that computes the same, and proves it. The original stays as it is.</p>
      {reason !== null ? (
        <p class="muted" id="fold-not">
          {reason}
        </p>
      ) : (
        <>
          <fieldset class="operations">
            <legend class="sr-only">What to do</legend>
            {OPERATIONS.map(({ operation, does }) => (
              <label key={operation} class="choice">
                <input
                  type="checkbox"
                  checked={chosen.includes(operation)}
                  onChange={(event) => toggle(operation, event.currentTarget.checked)}
                />
                <span>
                  <code>{operation}</code> {does}
                </span>
              </label>
            ))}
          </fieldset>
          <div class="buttons">
            <button
              type="button"
              class="button strong"
              disabled={chosen.length === 0 || folding.value !== null}
              onClick={() => plan([...chosen])}
            >
              See the plan
            </button>
          </div>
        </>
      )}
      <FoldingNow />
      <Failed opened={opened} />
      {folded.value?.of === opened.id ? (
        <Result opened={opened} result={folded.value} />
      ) : (
        planned.value?.of === opened.id && <Plan opened={opened} plan={planned.value} />
      )}
    </section>
  );
}

/** The running step, with its progress. */
function FoldingNow() {
  const now = folding.value;
  if (!now) return null;
  const { step, done, total, stopping } = now;
  const isWriting = step === 'write' && total > 0;
  return (
    <div class="notice opening">
      <p class="line">
        <strong>{step === 'plan' ? 'Planning…' : step === 'prove' ? 'Running both on the same tokens…' : 'Writing'}</strong>{' '}
        {isWriting && (
          <span class="figures">
            {bytes(done)} of {bytes(total)}
          </span>
        )}
      </p>
      <progress aria-label="Progress of rewriting" max={total || 1} {...(isWriting ? { value: Math.min(done, total) } : {})} />
      <button type="button" class="button" disabled={stopping} onClick={cancelFolding}>
        {stopping ? 'Cancelling…' : 'Cancel'}
      </button>
    </div>
  );
}

function Failed({ opened }: { opened: Opened }) {
  const failure = foldFailure.value;
  if (failure?.of !== opened.id) return null;
  return (
    <div class="notice failure" role="alert">
      <p class="line">
        <strong>{failure.step === 'plan' ? 'Not planned.' : 'Not written.'}</strong> <Prose>{failure.sentence}</Prose>
      </p>
      <button type="button" class="button" onClick={() => (foldFailure.value = null)}>
        Dismiss
      </button>
    </div>
  );
}

/** What would change, what is left and why, and the button that writes it. */
function Plan({ opened, plan: { report, names, total }, plan: whole }: { opened: Opened; plan: FoldPlan }) {
  const [proves, setProves] = useState(opened.report.checkpoint.parameters <= SMALL);
  const refused = tooLarge(whole);
  const nothing = report.tensors.length === 0;
  const folders = writesFolders();
  return (
    <div id="fold-plan" class="fold-part">
      <h4>
        <Prose>{nothing ? 'Nothing would change, so there is nothing to write.' : report.sentence}</Prose>
      </h4>
      {!nothing && (
        <>
          <Facts
            facts={[
              { label: 'Values that change', value: count(report.tensors.reduce((sum, { values }) => sum + values, 0)) },
              { label: 'To write', value: `${bytes(total)} in ${counted(names.length, 'file')}`, exact: names.join(', ') },
            ]}
          />
          <Tensors report={report} file={opened.report.checkpoint.name} />
        </>
      )}
      <Left report={report} />
      {!nothing &&
        (refused !== null ? (
          <p class="notice caution">{refused}</p>
        ) : (
          <>
            <label class="choice">
              <input type="checkbox" class="pick-proof" checked={proves} onChange={(event) => setProves(event.currentTarget.checked)} />
              <span>
                Also run both on the same 128 tokens, on the CPU of this machine, and keep the result only if they agree. For a large
                model, <code>gammascope fold --prove</code> is faster.
              </span>
            </label>
            <div class="buttons">
              <button type="button" class="button strong" disabled={folding.value !== null} onClick={() => void write(proves)}>
                {folders ? 'Choose an empty folder and write…' : `Download ${counted(names.length, 'file')}`}
              </button>
            </div>
            {!folders && (
              <p class="muted small">This browser cannot write into a folder. It asks whether the page may download several files.</p>
            )}
          </>
        ))}
    </div>
  );
}

/** What was written, and the proof. */
function Result({ opened, result: { report, html, place, entries, notRun } }: { opened: Opened; result: Folded }) {
  const name = opened.report.checkpoint.name;
  return (
    <div id="fold-result" class="fold-part">
      <h4>
        <Prose>{report.sentence}</Prose>
      </h4>
      <p class="muted">
        <Prose>{`${counted(entries.length, 'file')} in ${place}.`}</Prose>
      </p>
      {notRun !== null && (
        <p class="notice caution">
          <span>
            <strong>Not run.</strong> <Prose>{notRun}</Prose>
          </span>
        </p>
      )}
      <div class="buttons">
        <button type="button" class="button" onClick={() => show(() => entries)}>
          Open the result
        </button>
        <button type="button" class="button quiet" onClick={() => saveText(html, 'text/html', fileName([name, 'fold'], 'html'))}>
          Proof as HTML
        </button>
        <button
          type="button"
          class="button quiet"
          onClick={() => saveText(JSON.stringify(report, null, 2), 'application/json', fileName([name, 'fold'], 'json'))}
        >
          Proof as JSON
        </button>
      </div>
      <p class="small muted">
        From the parameters: each identity leaves the function as it is, and each result is rounded once to the type of its tensor.
        Rounding is ‖rounded − exact‖/‖exact‖. Bound is the largest change of what the tensor computes, for any input. Writers have none.
      </p>
      <Tensors report={report} file={name} />
      <Run report={report} />
      <Left report={report} />
    </div>
  );
}

const COLUMNS: readonly DataColumn<FoldedTensor>[] = [
  { id: 'tensor', label: 'Tensor', names: true, value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  { id: 'identity', label: 'What happens', about: 'The formula. W, b, γ and β are the stored values.', shown: true, value: ({ identity }) => identity },
  { id: 'dtype', label: 'Type', about: 'The element type, which stays.', value: ({ dtype }) => dtype },
  { id: 'values', label: 'Values', about: 'Number of its values.', numeric: true, shown: true, value: ({ values }) => values },
];

/** Two digits are enough for a rounding. */
const brief = (value: number): string => (value === 0 ? '0' : value.toExponential(1));

const WRITTEN: readonly DataColumn<FoldedTensor>[] = [
  ...COLUMNS,
  {
    id: 'rounding',
    label: 'Rounding',
    about: '‖rounded − exact‖/‖exact‖: how far the exact result was rounded to the type of the tensor.',
    numeric: true,
    shown: true,
    value: ({ rounding }) => rounding,
    format: brief,
  },
  {
    id: 'bound',
    label: 'Bound',
    about: 'No input changes what the tensor computes by more than this, as a Euclidean norm. Empty for writers, whose input has no bound.',
    numeric: true,
    shown: true,
    value: ({ bound }) => bound,
    format: brief,
  },
];

function Tensors({ report, file }: { report: FoldReport; file: string }) {
  const written = report.tensors.some(({ rounding }) => rounding !== null);
  return (
    <DataTable
      key={String(written)}
      label={written ? 'Changed tensors' : 'Tensors that would change'}
      noun="tensor"
      rows={report.tensors}
      columns={written ? WRITTEN : COLUMNS}
      text={({ name, identity }) => `${name} ${identity}`}
      group={({ name }) => likeNames(name)}
      file={`${file}-fold`}
    />
  );
}

/** The figures of the run against the floor. */
function Run({ report: { proof } }: { report: FoldReport }) {
  if (!proof) return null;
  const furthest = proof.blocks.reduce<{ block: number; one: FoldDifference } | null>(
    (most, one, block) => (most && most.one.found >= one.found ? most : { block, one }),
    null,
  );
  const rows: [string, FoldDifference | null][] = [
    ['Logits', proof.logits],
    ['Last hidden states', proof.hidden],
    ['KL divergence, nats', proof.divergence],
    [`Stream, at most, after block ${furthest?.block ?? 0}`, furthest?.one ?? null],
  ];
  return (
    <>
      <p class="small muted">
        By running both on {count(proof.tokens)} token ids: the floor is the original with the last bit of half of its weights flipped. Up to ten
        times the floor counts as the same.
      </p>
      <div class="scroll" role="region" aria-label="Both on the same tokens" tabIndex={0}>
        <table class="plain" id="fold-run">
          <thead>
            <tr>
              <th scope="col">What is compared</th>
              <th scope="col" class="numeric">
                Difference
              </th>
              <th scope="col" class="numeric">
                Floor
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(
              ([name, one]) =>
                one && (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td class="numeric">{maybe(one.found)}</td>
                    <td class="numeric">{maybe(one.floor)}</td>
                  </tr>
                ),
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** What stays as it is, each reason once. */
function Left({ report: { left, not_centred: notCentred } }: { report: FoldReport }) {
  if (left.length === 0 && notCentred === null) return null;
  return (
    <details class="more" open>
      <summary>What stays, and why</summary>
      <ul class="prose" id="fold-left">
        {notCentred !== null && (
          <li>
            Writers are not centred: <Prose>{notCentred}</Prose>.
          </li>
        )}
        {left.map(({ why, names: [first = '', ...more] }) => (
          <li key={why}>
            <span class="mono">
              <Name>{first}</Name>
            </span>
            {more.length > 0 && ` and ${count(more.length)} more`}: <Prose>{why}</Prose>.
          </li>
        ))}
      </ul>
    </details>
  );
}
