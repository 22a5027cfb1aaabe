/** Keeps the page for when there is no network, where the browser lets it, and knows when a newer one is ready. */
import { signal } from '@preact/signals';
import { Workbox } from 'workbox-window';

/** Takes up the version that is waiting; null while this is the newest. */
export const renew = signal<(() => void) | null>(null);

/** Registers the service worker. Refused, or without one, the page works as before, from the network. */
export function keep(): void {
  if (!('serviceWorker' in navigator) || location.protocol === 'file:') return;
  const worker = new Workbox(new URL('service-worker.js', document.baseURI).href);
  worker.addEventListener('waiting', () => {
    renew.value = () => {
      worker.addEventListener('controlling', () => location.reload());
      worker.messageSkipWaiting();
    };
  });
  worker.register().catch(() => undefined);
}
