/** Measuring on the user's own activations: how to capture them, the measurement, and what it says. */
import { useRef, useState } from 'preact/hooks';
import hook from '../../scripts/activations/hook.py?raw';
import { count, counted, maybe } from '../format';
import type { Device } from '../protocol';
import type { MeasuredVerdict, NormAlone, SiteVerification } from '../report';
import { type Opened, alone, measureAlone, measureFailure, measuring, pointAt, showMeasured } from '../state';
import { name, order } from './columns';
import { FigureView } from './figure';
import { Name } from './name';
import { Prose } from './prose';
import { Snippet } from './snippet';
import { MeasuringNow } from './status';
import { type Column, Table } from './table';
import { Word } from './term';

/** More sites than this are not listed to choose from: a list of them would slow the page down. */
const LISTED = 2000;

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

type Measure = {
  id: 'depth_scale_free' | 'cos_scale_free' | 'depth' | 'cos' | 'sin_bound' | 'gap' | 'schur' | 'schur_null' | 'tokens';
  label: string;
  value: (site: SiteVerification) => number | null;
};

const NUMBERS: readonly Measure[] = [
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

const COLUMNS: readonly Column<SiteVerification>[] = [
  order(),
  name('Site', 'site', ({ name }) => name),
  {
    id: 'verdict',
    label: 'Measured',
    term: 'measured',
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

function numeric({ id, label, value }: Measure): Column<SiteVerification> {
  return { id, label, term: id, numeric: true, value, cell: (site) => maybe(value(site)) };
}

export function Measure({ opened }: { opened: Opened }) {
  const { report, inspector } = opened;
  const input = useRef<HTMLInputElement>(null);
  const [site, setSite] = useState('');
  const [device, setDevice] = useState<Device>('fastest');
  const { verification } = report;
  if (report.norms.length === 0) return null;
  return (
    <section id="measure" aria-labelledby="measure-heading">
      <h2 id="measure-heading">Measure it on your own activations</h2>
      <p class="lead">
        What a checkpoint says is evidence. The outputs of its norms, captured from your own code, are direct: the covariance
        is computed exactly, here, and either has the predicted kernel or does not.
      </p>
      {report.shared ? (
        <p class="muted">A report from a link cannot be measured: that takes the checkpoint's own scales. Open the checkpoint.</p>
      ) : (
        <>
          <details class="more">
            <summary>How to capture them in PyTorch</summary>
            <Snippet code={hook} />
          </details>
          <div class="buttons measure-controls">
            <button type="button" class="button" disabled={measuring.value !== null} onClick={() => input.current?.click()}>
              Choose activations…
            </button>
            <label class="choice">
              of
              {report.norms.length > LISTED ? (
                <input
                  type="text"
                  placeholder="the sites their tensors are named after"
                  value={site}
                  onInput={(event) => setSite(event.currentTarget.value)}
                />
              ) : (
                <select class="pick-site" value={site} onChange={(event) => setSite(event.currentTarget.value)}>
                  <option value="">the sites their tensors are named after</option>
                  {report.norms.map(({ name }) => (
                    <option key={name} value={name}>
                      {name}
                    </option>
                  ))}
                </select>
              )}
            </label>
            <label class="choice">
              on the
              <select value={device} onChange={(event) => setDevice(event.currentTarget.value as Device)} class="pick-device">
                <option value="fastest">fastest of GPU and CPU</option>
                <option value="gpu">GPU, if there is one</option>
                <option value="cpu">CPU</option>
              </select>
            </label>
          </div>
          <input
            ref={input}
            type="file"
            accept=".safetensors,.npy"
            hidden
            class="pick-activations"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = '';
              if (file) showMeasured({ path: file.name, file }, site === '' ? undefined : site, device);
            }}
          />
          <p class="muted small">
            No activations at hand? Random inputs through a norm's γ, β and ε, as both kinds, show what its kernel would look
            like. They are no evidence about the model.{' '}
            <button
              type="button"
              class="button quiet"
              disabled={measuring.value !== null}
              onClick={() => void measureAlone(site || report.model.final_norm || report.norms[0]?.name || '', device)}
            >
              Measure the norm alone
            </button>
          </p>
        </>
      )}
      <MeasuringNow />
      {measureFailure.value !== null && (
        <div class="notice failure" role="alert">
          <p class="line">
            <strong>Not measured.</strong> {measureFailure.value}
          </p>
          <button type="button" class="button" onClick={() => (measureFailure.value = null)}>
            Dismiss
          </button>
        </div>
      )}
      {alone.value && <Alone {...alone.value} />}
      {verification && (
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
          <Table
            label="Measured sites"
            noun="site"
            rows={verification.sites}
            columns={COLUMNS}
            text={({ name, verdict }) => `${name} ${VERDICTS[verdict]}`}
            chips={[{ label: 'measured', of: ({ verdict }) => verdict, names: VERDICTS }]}
            onChoose={({ name }) => pointAt(name)}
          />
          <Notes sites={verification.sites} />
        </>
      )}
    </section>
  );
}

/** One norm as both kinds, and first of all that this says nothing of the model. */
function Alone({ name, epsilon, epsilon_configured, layernorm, rmsnorm, warnings }: NormAlone) {
  const rows = [
    ['LayerNorm', layernorm],
    ['RMSNorm', rmsnorm],
  ] as const;
  return (
    <div id="alone">
      <h3>
        <Name>{name}</Name> alone, on random inputs: no evidence about the model
      </h3>
      <p class="muted">
        Each row is what it was told to be. {count(layernorm.tokens)} tokens of standard normal channels, f32, ε ={' '}
        {maybe(epsilon)}
        {epsilon_configured ? '' : ' (no configuration names it)'}.{' '}
        {rmsnorm.raw_test_fooled
          ? 'The raw |cos| is fooled here: a scale is nearly off, so it matches γ⁻¹ without a mean subtracted. depth^ is not.'
          : 'The raw |cos| is not fooled by these scales.'}
      </p>
      {warnings.map(({ message }) => (
        <p key={message} class="notice">
          <Prose>{message}</Prose>.
        </p>
      ))}
      <div class="scroll" role="region" aria-label="The norm alone" tabIndex={0}>
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Told to be</th>
              {NUMBERS.map(({ id, label }) => (
                <th key={id} scope="col" class="numeric">
                  <Word term={id}>{label}</Word>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([kind, site]) => (
              <tr key={kind}>
                <th scope="row">{kind}</th>
                {NUMBERS.map(({ id, value }) => (
                  <td key={id} class="numeric">
                    {maybe(value(site))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
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
