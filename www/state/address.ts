/** Opening what an address or a link names. */
import { signal } from '@preact/signals';
import type { Link } from '../files';
import { pointAt } from './opened';
import { openCheckpoint } from './opening';

/** The address in the field, and the hub that short names are looked up on: empty for the public one. */
export const address = signal('');
export const hub = signal('');

/** Opens what a link names or holds, and points at its site. */
export function showLink({ entry, site }: Link): void {
  if ('address' in entry) {
    address.value = entry.address;
    hub.value = entry.hub ?? '';
  }
  openCheckpoint(() => [entry])
    .then(() => site !== null && pointAt(site))
    .catch(() => undefined);
}

/** Opens the address in the field, with a token for its host where one is given. */
export function showAddress(token = ''): void {
  const entry = { address: address.value, ...(hub.value ? { hub: hub.value } : {}), ...(token ? { token } : {}) };
  openCheckpoint(() => [entry]).catch(() => undefined);
}
