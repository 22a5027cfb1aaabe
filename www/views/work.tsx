/** The running comparison or measurement of an adapter, and the error of the last one that failed. */
import type { Opened } from '../state/opened';
import { type Work, stopWork, workFailure, working } from '../together';
import { Prose } from './prose';
import { Progressing } from './status';

const WORDS: Record<Work, { progress: string; start: string; failed: string }> = {
  compare: { progress: 'Progress of comparing', start: 'Comparing…', failed: 'Not compared.' },
  adapter: { progress: 'Progress of measuring the adapter', start: 'Measuring the adapter…', failed: 'Not measured.' },
};

export function WorkNow({ work, opened }: { work: Work; opened: Opened }) {
  const [now, failure, words] = [working.value, workFailure.value, WORDS[work]];
  return (
    <>
      {now?.work === work && (
        <Progressing {...now} label={words.progress} start={words.start} stop="Cancel" onStop={stopWork} />
      )}
      {failure?.work === work && failure.of === opened.id && (
        <div class="notice failure" role="alert">
          <p class="line">
            <strong>{words.failed}</strong> <Prose>{failure.sentence}</Prose>
          </p>
          <button type="button" class="button" onClick={() => (workFailure.value = null)}>
            Dismiss
          </button>
        </div>
      )}
    </>
  );
}
