/**
 * The page without a network: everything that is built is kept at the first visit. A new version waits until the page asks for it,
 * so that no report in view is lost.
 */
import { cleanupOutdatedCaches, precacheAndRoute } from 'workbox-precaching';

declare let self: ServiceWorkerGlobalScope & { __WB_MANIFEST: Parameters<typeof precacheAndRoute>[0] };

// A part of a file is for whoever asks for it to get from the server: what is kept is whole. This listener comes first.
self.addEventListener('fetch', (event) => {
  if (event.request.headers.has('range')) event.stopImmediatePropagation();
});

self.addEventListener('message', ({ data }: ExtendableMessageEvent) => {
  if ((data as { type?: string } | null)?.type === 'SKIP_WAITING') void self.skipWaiting();
});

cleanupOutdatedCaches();
precacheAndRoute(self.__WB_MANIFEST);
