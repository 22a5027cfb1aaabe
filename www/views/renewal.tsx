/** That a newer version of the page is ready: nothing is reloaded until somebody says so. */
import { keep, renew } from '../offline';
import { opened } from '../state';

keep();

export function Renewal() {
  const now = renew.value;
  if (!now) return null;
  return (
    <div class="notice" role="status" id="renewal">
      <p class="line">
        <strong>A newer version of this page is ready.</strong>{' '}
        {opened.value ? 'Reloading closes the report: open the checkpoint again afterwards, or share it first.' : ''}
      </p>
      <button type="button" class="button" onClick={now}>
        Reload
      </button>
      <button type="button" class="button quiet" onClick={() => (renew.value = null)}>
        Later
      </button>
    </div>
  );
}
