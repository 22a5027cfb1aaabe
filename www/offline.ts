/** Stores the page for use without a network, if the browser allows it, and notices when a newer version is ready. */
import { signal } from '@preact/signals';
import { Workbox } from 'workbox-window';
import { controllerAtStart } from './state/controller';

/**
 * A newer version. `ready`: it waits to be activated. `starting`: the user asked for it, and it starts when the downloads of the old
 * version have ended. `taken`: another tab has activated it, so the files of this version may be gone.
 * `compiling`: `npm start` is still compiling it.
 */
export type Renewal = { state: 'ready' | 'starting' | 'taken' | 'compiling'; reload(): void };

/** Whether this is the page that `npm start` shows until the verifier is compiled. */
const BEFORE_VERIFIER = import.meta.env.VITE_BEFORE_VERIFIER === '1';
const LOOK_EVERY_MS = 3_000;

/** Null while no newer version is known. */
export const renewal = signal<Renewal | null>(null);

/** Registers the service worker. Without one, the page still works from the network. */
export function keep(): void {
  if (BEFORE_VERIFIER) return awaitVerifier();
  if (!('serviceWorker' in navigator) || location.protocol === 'file:') return;
  const worker = new Workbox(new URL('service-worker.js', document.baseURI).href);
  const reload = () => location.reload();
  // Another tab activated a newer version before this one listened.
  if (controllerAtStart && navigator.serviceWorker.controller !== controllerAtStart) renewal.value = { state: 'taken', reload };
  let asked = false;
  worker.addEventListener('waiting', () => {
    renewal.value = {
      state: 'ready',
      reload() {
        asked = true;
        renewal.value = { state: 'starting', reload };
        worker.messageSkipWaiting();
      },
    };
  });
  worker.addEventListener('controlling', ({ isUpdate }) => {
    if (asked) reload();
    else if (isUpdate) renewal.value = { state: 'taken', reload };
  });
  // A page that loaded before the first service worker is not controlled by the next one, so it gets no `controlling` event.
  worker.addEventListener('activated', () => {
    if (asked) reload();
  });
  worker.register().catch(() => undefined);
}

/** Polls until `npm start` serves the whole page. */
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
        () => undefined, // The server is stopping or starting.
      );
    }, LOOK_EVERY_MS);
  });
}
