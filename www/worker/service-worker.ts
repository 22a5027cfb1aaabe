/**
 * Makes the page work without a network: the first visit stores the whole build. A new version waits until a page activates it, so that
 * an open report is not lost. The files of the earlier version stay for tabs that still show it.
 */
import { PrecacheController, cleanupOutdatedCaches, getCacheKeyForURL, precacheAndRoute } from 'workbox-precaching';

declare let self: ServiceWorkerGlobalScope & { __WB_MANIFEST: Parameters<typeof precacheAndRoute>[0] };

/** The cache of the files that only the earlier version has. */
const EARLIER = `earlier-version ${self.registration.scope}`;

// Range requests go to the server, because the cache stores only whole files. This listener must come first.
self.addEventListener('fetch', (event) => {
  if (event.request.headers.has('range')) event.stopImmediatePropagation();
});

self.addEventListener('message', ({ data }: ExtendableMessageEvent) => {
  if ((data as { type?: string } | null)?.type === 'SKIP_WAITING') void self.skipWaiting();
});

// If the storage is full, the new version is more important than the earlier files.
self.addEventListener('install', (event) => event.waitUntil(keepEarlier().catch(() => undefined)));

cleanupOutdatedCaches();
precacheAndRoute(self.__WB_MANIFEST);

self.addEventListener('fetch', (event) => {
  const { url, method } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== self.location.origin || !pathname.includes('/assets/')) return;
  if (getCacheKeyForURL(url) !== undefined) return;
  event.respondWith(caches.match(url, { cacheName: EARLIER }).then((kept) => kept ?? fetch(event.request)));
});

/** Copies the files that this version no longer has, before workbox deletes them. Their names contain a hash of their contents. */
async function keepEarlier(): Promise<void> {
  await caches.delete(EARLIER);
  const [earlier, stored] = await Promise.all([caches.open(EARLIER), caches.open(new PrecacheController().strategy.cacheName)]);
  for (const request of await stored.keys()) {
    if (new URL(request.url).search !== '' || getCacheKeyForURL(request.url) !== undefined) continue;
    const file = await stored.match(request);
    if (file) await earlier.put(request, file);
  }
}
