/** Keeps the page for when there is no network, where the browser lets it, and knows when a newer one is ready. */
import { signal } from '@preact/signals';
import { Workbox } from 'workbox-window';

/** A newer version: one that waits to be taken up, or that another tab has taken up already, which leaves this one without its files. */
export type Renewal = { taken: boolean; reload(): void };

/** Null while this is the newest, as far as is known. */
export const renewal = signal<Renewal | null>(null);

/** Registers the service worker. Refused, or without one, the page works as before, from the network. */
export function keep(): void {
  if (!('serviceWorker' in navigator) || location.protocol === 'file:') return;
  const worker = new Workbox(new URL('service-worker.js', document.baseURI).href);
  const reload = () => location.reload();
  let asked = false;
  worker.addEventListener('waiting', () => {
    renewal.value = {
      taken: false,
      reload() {
        asked = true;
        worker.messageSkipWaiting();
      },
    };
  });
  worker.addEventListener('controlling', ({ isUpdate }) => {
    if (asked) reload();
    else if (isUpdate) renewal.value = { taken: true, reload };
  });
  // A page that was there before its first service worker is not controlled by the next one either.
  worker.addEventListener('activated', () => {
    if (asked) reload();
  });
  worker.register().catch(() => undefined);
}
