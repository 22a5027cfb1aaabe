/** Opening what an address names. */
import { signal } from '@preact/signals';
import { openCheckpoint } from './opening';

/** The address in the field, and the hub that short names are looked up on: empty for the public one. */
export const address = signal('');
export const hub = signal('');

/** Opens the address in the field, with a token for its host where one is given. */
export function showAddress(token = ''): void {
  const entry = { address: address.value, ...(hub.value ? { hub: hub.value } : {}), ...(token ? { token } : {}) };
  openCheckpoint(() => [entry]).catch(() => undefined);
}
