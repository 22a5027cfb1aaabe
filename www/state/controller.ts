/** The service worker that controlled the page when it was opened; null where there was none. Kept from the start, to be compared later. */
export const controllerAtStart: ServiceWorker | null = navigator.serviceWorker?.controller ?? null;
