/** The service worker that controlled the page when it loaded, or null. It is read early, so that a later change can be noticed. */
export const controllerAtStart: ServiceWorker | null = navigator.serviceWorker?.controller ?? null;
