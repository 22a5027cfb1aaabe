/**
 * Makes the page work without a network: the first visit stores the whole build. A new version waits until the page activates it,
 * so that an open report is not lost.
 */
import { cleanupOutdatedCaches, precacheAndRoute } from 'workbox-precaching';

declare let self: ServiceWorkerGlobalScope & { __WB_MANIFEST: Parameters<typeof precacheAndRoute>[0] };

// Range requests go to the server, because the cache stores only whole files. This listener must come first.
self.addEventListener('fetch', (event) => {
  if (event.request.headers.has('range')) event.stopImmediatePropagation();
});

self.addEventListener('message', ({ data }: ExtendableMessageEvent) => {
  if ((data as { type?: string } | null)?.type === 'SKIP_WAITING') void self.skipWaiting();
});

cleanupOutdatedCaches();
precacheAndRoute(self.__WB_MANIFEST);
