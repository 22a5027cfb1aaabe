/** Says that a newer version of the page is ready or still compiling. The page reloads only after a click. */
import { keep, renewal } from '../offline';
import { shown } from '../state/opened';

keep();

const STATES = {
  ready: 'A newer version of this page is ready.',
  starting: 'Starting the newer version…',
  taken: 'A newer version of this page is in use in another tab.',
  compiling: 'The verifier is still being compiled.',
};

export function Renewal() {
  const now = renewal.value;
  if (!now) return null;
  if (now.state === 'starting') {
    return (
      <div class="notice" role="status" id="renewal">
        <strong>{STATES.starting}</strong>
      </div>
    );
  }
  return (
    <div class="notice" role="status" id="renewal">
      <p class="line">
        <strong>{STATES[now.state]}</strong>{' '}
        {now.state === 'taken' && 'This tab keeps working with its own version. '}
        {now.state === 'compiling' && 'You can already drop checkpoints. Addresses, links, comparing and measuring work once it is ready.'}
        {shown.value && now.state !== 'compiling' && 'Reloading closes the report. Open the checkpoint again afterwards, or share the report first.'}
      </p>
      {now.state !== 'compiling' && (
        <button type="button" class="button" onClick={() => now.reload()}>
          Reload
        </button>
      )}
      <button type="button" class="button quiet" onClick={() => (renewal.value = null)}>
        {now.state === 'compiling' ? 'Dismiss' : 'Later'}
      </button>
    </div>
  );
}
