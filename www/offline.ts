/** Keeps the page for when there is no network, where the browser lets it, and knows when a newer one is ready. */
import { signal } from '@preact/signals';
import { Workbox } from 'workbox-window';
import { controllerAtStart } from './state/controller';

/**
 * A newer version: one that waits to be taken up, or that another tab has taken up already, which leaves this one without its files;
 * or, under `npm start`, one that is still being compiled.
 */
export type Renewal = { state: 'ready' | 'taken' | 'compiling'; reload(): void };

/** Whether this is what `npm start` shows before the verifier is compiled. */
const BEFORE_VERIFIER = import.meta.env.VITE_BEFORE_VERIFIER === '1';
const LOOK_EVERY_MS = 3_000;

/** Null while this is the newest, as far as is known. */
export const renewal = signal<Renewal | null>(null);

/** Registers the service worker. Refused, or without one, the page works as before, from the network. */
export function keep(): void {
  if (BEFORE_VERIFIER) return awaitVerifier();
  if (!('serviceWorker' in navigator) || location.protocol === 'file:') return;
  const worker = new Workbox(new URL('service-worker.js', document.baseURI).href);
  const reload = () => location.reload();
  // Another tab took up a newer version before this one listened.
  if (controllerAtStart && navigator.serviceWorker.controller !== controllerAtStart) renewal.value = { state: 'taken', reload };
  let asked = false;
  worker.addEventListener('waiting', () => {
    renewal.value = {
      state: 'ready',
      reload() {
        asked = true;
        worker.messageSkipWaiting();
      },
    };
  });
  worker.addEventListener('controlling', ({ isUpdate }) => {
    if (asked) reload();
    else if (isUpdate) renewal.value = { state: 'taken', reload };
  });
  // A page that was there before its first service worker is not controlled by the next one either.
  worker.addEventListener('activated', () => {
    if (asked) reload();
  });
  worker.register().catch(() => undefined);
}

/** Looks whether `npm start` has put the whole page in place of this one. */
function awaitVerifier(): void {
  const reload = () => location.reload();
  const index = () => fetch(document.baseURI, { cache: 'no-store' }).then((answer) => answer.text());
  renewal.value = { state: 'compiling', reload };
  void index().then((first) => {
    const looking = setInterval(() => {
      void index().then(
        (now) => {
          if (now === first) return;
          clearInterval(looking);
          renewal.value = { state: 'ready', reload };
        },
        () => undefined, // The server is being stopped or started.
      );
    }, LOOK_EVERY_MS);
  });
}
