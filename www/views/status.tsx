/** What is going on right now: the running open, the failure of the last one, and both for screen readers. */
import { bytes, count } from '../format';
import { announcement, cancel, failure, opening } from '../state';
import type { Progress } from '../report';

const STAGES: Record<Progress['stage'], { doing: string; unit: string }> = {
  headers: { doing: 'Reading headers', unit: 'shards' },
  scales: { doing: 'Reading norm scales', unit: 'tensors' },
};

export function Opening() {
  const now = opening.value;
  if (!now) return null;
  const { progress } = now;
  return (
    <div class="notice opening">
      <p class="line">
        {progress ? (
          <>
            <strong>{STAGES[progress.stage].doing}</strong>{' '}
            <span class="figures">
              {count(progress.done)} of {count(progress.total)} {STAGES[progress.stage].unit} ·{' '}
              {bytes(progress.bytes_read)} read
            </span>
          </>
        ) : (
          <strong>Opening…</strong>
        )}
      </p>
      <progress
        aria-label="Progress of opening"
        max={progress?.total || 1}
        {...(progress && progress.total > 0 ? { value: progress.done } : {})}
      />
      <button type="button" class="button" onClick={cancel}>
        Cancel
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
