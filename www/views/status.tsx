/** What the page is doing: the running open, sampling or measurement, the last failure, and announcements for screen readers. */
import { bytes, count, counted, duration, parameters } from '../format';
import { announcement } from '../state/announcement';
import { measuring, stopMeasuring } from '../state/measuring';
import { cancel, draw, drawable, failure, opening, several } from '../state/opening';
import type { Task } from '../state/task';
import { stopWeighing, weighing } from '../state/weighing';
import type { MeasurementPlan, Progress } from '../report';

const STAGES: Record<Progress['stage'], { doing: string; unit: string }> = {
  headers: { doing: 'Reading headers', unit: 'shards' },
  scales: { doing: 'Reading norm scales', unit: 'tensors' },
  weights: { doing: 'Sampling the weights', unit: 'writers' },
  sites: { doing: 'Measuring', unit: 'sites' },
  blocks: { doing: 'Running the model', unit: 'blocks' },
};

export function Opening() {
  const now = opening.value;
  return now && <Progressing {...now} label="Progress of opening" start="Opening…" stop="Cancel" onStop={cancel} />;
}

export function Weighing() {
  const now = weighing.value;
  return (
    now && (
      <Progressing
        {...now}
        label="Progress of sampling the weights"
        start="Sampling the weights…"
        stop="Stop"
        onStop={stopWeighing}
      />
    )
  );
}

export function MeasuringNow() {
  const now = measuring.value;
  if (!now) return null;
  const { plan, workers, begin } = now;
  if (begin) {
    return (
      <div class="notice opening">
        <p class="line">
          <strong>The plan:</strong> {plan && <Plan {...plan} workers={workers} />}
        </p>
        <button type="button" class="button strong" onClick={begin}>
          Measure
        </button>
        <button type="button" class="button" onClick={stopMeasuring}>
          Cancel
        </button>
      </div>
    );
  }
  return (
    <>
      <Progressing
        {...now}
        label="Progress of measuring"
        start="Loading the verifier…"
        stop={now.progress && now.progress.done > 0 ? 'Stop and keep' : 'Stop'}
        onStop={stopMeasuring}
      />
      {plan && (
        <p class="muted small">
          <Plan {...plan} workers={workers} />
        </p>
      )}
    </>
  );
}

/** The plan of a measurement, in one sentence. */
function Plan(plan: MeasurementPlan & { workers: number }) {
  const { sites, tokens, device, workers } = plan;
  const [fewest, most] = tokens;
  return (
    <>
      {counted(sites.length, 'site')} of {fewest === most ? count(most) : `${count(fewest)} to ${count(most)}`} tokens:{' '}
      {bytes(plan.bytes)} to read, {parameters(plan.operations)} operations, about {duration(plan.seconds / workers)} by{' '}
      {counted(workers, 'worker')}
      {device === 'cpu' ? ' on the CPU' : ` and ${device}`}; {bytes(plan.memory)} of memory each.
    </>
  );
}

type ProgressingProps = Pick<Task, 'progress'> & { label: string; start: string; stop: string; stopping?: boolean; onStop(): void };

export function Progressing({ progress, label, start, stop, stopping = false, onStop }: ProgressingProps) {
  return (
    <div class="notice opening">
      <p class="line">
        {progress ? (
          <>
            <strong>{STAGES[progress.stage].doing}</strong>{' '}
            <span class="figures">
              {count(progress.done)} of {count(progress.total)} {STAGES[progress.stage].unit}
              {progress.bytes_read > 0 && ` · ${bytes(progress.bytes_read)} read`}
            </span>
          </>
        ) : (
          <strong>{start}</strong>
        )}
      </p>
      <progress
        aria-label={label}
        max={progress?.total || 1}
        {...(progress && progress.total > 0 ? { value: progress.done } : {})}
      />
      <button type="button" class="button" disabled={stopping} onClick={onStop}>
        {stopping ? 'Stopping…' : stop}
      </button>
    </div>
  );
}

/** Asks which of two checkpoints to open, or whether to compare them. */
export function Several() {
  const asked = several.value;
  if (asked === null) return null;
  const { two, both, open } = asked;
  const [first, second] = two;
  const compare = () => {
    const other = () => import('../together').then(({ showCompared }) => showCompared(() => second.entries));
    open(first).then(other).catch(() => undefined);
  };
  return (
    <div class="notice several" role="alertdialog" aria-labelledby="several">
      <p class="line" id="several">
        <strong>These are two checkpoints.</strong> Open one of them, or compare them.
      </p>
      <ul>
        {two.map((one) => (
          <li key={one.name}>
            <span class="mono">{one.name}</span>
            <button type="button" class="button" aria-label={`Open ${one.name}`} onClick={() => void open(one).catch(() => undefined)}>
              Open
            </button>
          </li>
        ))}
      </ul>
      <div class="buttons">
        <button type="button" class="button strong" onClick={compare}>
          Compare the two
        </button>
        {both && (
          <button type="button" class="button" onClick={() => void open(both).catch(() => undefined)}>
            Open both as one model
          </button>
        )}
        <button type="button" class="button quiet" onClick={() => (several.value = null)}>
          Cancel
        </button>
      </div>
    </div>
  );
}

export function Failure() {
  const sentence = failure.value;
  if (sentence === null) return null;
  return (
    <div class="notice failure" role="alert">
      <p class="line">
        <strong>Not opened.</strong> {sentence}
      </p>
      {drawable.value && (
        <button type="button" class="button strong" onClick={draw}>
          Draw random weights for the configuration
        </button>
      )}
      <button type="button" class="button" onClick={() => (failure.value = null)}>
        Dismiss
      </button>
    </div>
  );
}

export function Announcer() {
  return (
    <p class="sr-only" role="status">
      {announcement}
    </p>
  );
}
