/** That a newer version of the page is ready: nothing is reloaded until somebody says so. */
import { receive } from '../launched';
import { keep, renewal } from '../offline';
import { opened } from '../state';

keep();
receive();

export function Renewal() {
  const now = renewal.value;
  if (!now) return null;
  return (
    <div class="notice" role="status" id="renewal">
      <p class="line">
        <strong>A newer version of this page is {now.taken ? 'in use in another tab' : 'ready'}.</strong>{' '}
        {now.taken && 'Parts that this tab has not loaded yet may be missing. '}
        {opened.value && 'Reloading closes the report: open the checkpoint again afterwards, or share it first.'}
      </p>
      <button type="button" class="button" onClick={() => now.reload()}>
        Reload
      </button>
      <button type="button" class="button quiet" onClick={() => (renewal.value = null)}>
        Later
      </button>
    </div>
  );
}
