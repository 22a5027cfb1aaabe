/** Opens a checkpoint that is not on this machine: an address, or the name of a model on a hub. */
import { useId } from 'preact/hooks';
import { address, hub, showAddress } from '../state/address';
import { tokenWanted } from '../state/opening';
import { AddressInput } from './address-input';

const PUBLIC_HUB = 'https://huggingface.co';

export function AddressField({ onChosen }: { onChosen?: (() => void) | undefined }) {
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get('token');
    onChosen?.();
    showAddress(typeof token === 'string' ? token : '');
  };
  return (
    <form class="address" onSubmit={submit}>
      <label for={`${id}-address`}>or paste a URL, or org/model</label>
      <div class="buttons">
        <AddressInput
          id={`${id}-address`}
          name="address"
          placeholder="https://… or org/model@revision"
          value={address.value}
          onValue={(value) => (address.value = value)}
        />
        <button type="submit" class="button">
          Open address
        </button>
      </div>
      {tokenWanted.value && (
        <label class="field">
          Token, kept in memory until the page is closed
          <input name="token" type="password" autocomplete="off" class="pick-token" />
        </label>
      )}
      <details>
        <summary class="muted small">The page asks only the host that you name, and only for headers and norm scales.</summary>
        <p class="muted small">
          It sends only the request itself, without cookies. The host must allow pages of other sites to read it (CORS) and must
          support ranges. The weights of a remote checkpoint are not sampled.
        </p>
        <label class="field">
          Hub for org/model
          <AddressInput name="hub" required={false} placeholder={PUBLIC_HUB} value={hub.value} onValue={(value) => (hub.value = value)} />
        </label>
      </details>
    </form>
  );
}
