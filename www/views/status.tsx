/** What is going on right now: the running open, the failure of the last one, and both for screen readers. */
import { bytes, count } from '../format';
import {
  type Running,
  announcement,
  cancel,
  failure,
  measuring,
  opening,
  stopMeasuring,
  stopWeighing,
  weighing,
} from '../state';
import type { Progress } from '../report';

const STAGES: Record<Progress['stage'], { doing: string; unit: string }> = {
  headers: { doing: 'Reading headers', unit: 'shards' },
  scales: { doing: 'Reading norm scales', unit: 'tensors' },
  weights: { doing: 'Sampling the weights', unit: 'writers' },
  sites: { doing: 'Measuring', unit: 'sites' },
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
  return (
    now && (
      <Progressing
        {...now}
        label="Progress of measuring"
        start="Loading the verifier…"
        stop={now.stop.signal.aborted ? 'Stopping…' : 'Stop and keep'}
        onStop={stopMeasuring}
      />
    )
  );
}

type ProgressingProps = Running & { label: string; start: string; stop: string; onStop(): void };

function Progressing({ progress, label, start, stop, onStop }: ProgressingProps) {
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
      <button type="button" class="button" onClick={onStop}>
        {stop}
      </button>
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
