/** Opens an address. */
import { signal } from '@preact/signals';
import { openCheckpoint } from './opening';

/** The address in the field, and the hub for short names: empty for the public one. */
export const address = signal('');
export const hub = signal('');

/** Opens the address in the field, with the token for its host if there is one. */
export function showAddress(token = ''): void {
  const entry = { address: address.value, ...(hub.value ? { hub: hub.value } : {}), ...(token ? { token } : {}) };
  openCheckpoint(() => [entry]).catch(() => undefined);
}
