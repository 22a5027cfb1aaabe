/** Measures the user's own activations, and shows how to capture them. */
import { useRef, useState } from 'preact/hooks';
import hook from '../../scripts/activations/hook.py?raw';
import { count, maybe } from '../format';
import type { Device } from '../protocol';
import type { NormAlone } from '../report';
import { alone, measureAlone, measureFailure, measuring, showMeasured } from '../state/measuring';
import type { Opened } from '../state/opened';
import { Heading } from './heading';
import { NUMBERS } from './measured';
import { Name } from './name';
import { Prose } from './prose';
import { Snippet } from './snippet';
import { MeasuringNow } from './status';
import { Word } from './term';

/** If there are more sites, the page lists none to choose from: a longer list would slow it down. */
const LISTED = 2000;

export function Measure({ opened }: { opened: Opened }) {
  const { report } = opened;
  const input = useRef<HTMLInputElement>(null);
  const [site, setSite] = useState('');
  const [device, setDevice] = useState<Device>('fastest');
  return (
    <section class="card" id="measure" aria-labelledby="measure-heading">
      <Heading of="measure" as="h3">Measure it on your own activations</Heading>
      <p>Outputs of the norms, captured from your own code, show directly whether a norm subtracts the mean.</p>
      <div class="buttons">
        <button type="button" class="button strong" disabled={measuring.value !== null} onClick={() => input.current?.click()}>
          Choose activations…
        </button>
        {report.verification?.pass === null && (
          <a class="button quiet" href="#measure-result">
            See the result
          </a>
        )}
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
      <details class="more">
        <summary>How to capture them in PyTorch</summary>
        <Snippet code={hook} />
      </details>
      <details class="more">
        <summary>Options: of which norm, where, or without activations</summary>
        <div class="options measure-controls">
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
          <p class="muted">
            No activations? The page can send random inputs through a norm's γ, β and ε, once as each kind. This shows what its
            kernel would look like. It is no evidence about the model.{' '}
            <button
              type="button"
              class="button quiet"
              disabled={measuring.value !== null}
              onClick={() => void measureAlone(site || report.model.final_norm || report.norms[0]?.name || '', device)}
            >
              Measure the norm alone
            </button>
          </p>
        </div>
      </details>
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
    </section>
  );
}

/** The result of one norm measured as both kinds. It first says that this is no evidence about the model. */
function Alone({ name, epsilon, epsilon_configured, layernorm, rmsnorm, warnings }: NormAlone) {
  const rows = [
    ['LayerNorm', layernorm],
    ['RMSNorm', rmsnorm],
  ] as const;
  return (
    <div id="alone">
      <h4>
        <Name>{name}</Name> alone, on random inputs: no evidence about the model
      </h4>
      <p class="muted">
        Each row has the kind that was chosen for it. {count(layernorm.tokens)} tokens of standard normal channels, f32, ε ={' '}
        {maybe(epsilon)}
        {epsilon_configured ? '' : ' (no configuration names it)'}.{' '}
        {rmsnorm.raw_test_fooled
          ? 'The raw |cos| is misleading here. A scale is nearly off, so it matches γ⁻¹ although no mean is subtracted. depth^ is reliable.'
          : 'The raw |cos| is reliable for these scales.'}
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
              <th scope="col">Run as</th>
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
