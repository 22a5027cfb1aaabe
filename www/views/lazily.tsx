/** Views that load after the first content is on the screen, and show nothing until then. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/** How far below the window a view starts to load. */
const NEAR = '300px';

/** How long to wait after the load. A first visit still downloads what its first drop needs; later ones have everything in the cache. */
const A_WHILE_MS = { first: 10_000, later: 3_000 };

export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  return function Lazy(props: Props) {
    const [View, setView] = useState<ComponentType<Props> | null>(null);
    useEffect(() => {
      let wanted = true;
      idle().then(load).then(
        (view) => wanted && setView(() => view),
        (error: unknown) => console.error(error),
      );
      return () => {
        wanted = false;
      };
    }, []);
    return View && <View {...props} />;
  };
}

/** Like `lazily`, for a view far down the page: it loads shortly before it comes into view, or in any case with `soon`. */
export function whenNear(load: () => Promise<ComponentType>): ComponentType<{ soon: boolean }> {
  const View = lazily(load);
  return function Near({ soon }) {
    const place = useRef<HTMLDivElement>(null);
    const [near, setNear] = useState(false);
    useEffect(() => {
      if (soon) setNear(true);
      if (soon || near || !place.current) return;
      const observer = new IntersectionObserver((entries) => setNear(entries.some(({ isIntersecting }) => isIntersecting)), {
        rootMargin: NEAR,
      });
      observer.observe(place.current);
      return () => observer.disconnect();
    }, [soon, near]);
    return near ? <View /> : <div ref={place} />;
  };
}

/** Resolves some seconds after the page has loaded. By then a first drop usually has its verdict, so loading more does not slow it down. */
export async function longAfterLoad(): Promise<void> {
  if (document.readyState !== 'complete') await new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  await new Promise((resolve) => setTimeout(resolve, A_WHILE_MS[navigator.serviceWorker?.controller ? 'later' : 'first']));
}

/** Resolves when the browser is idle, or after half a second. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    // Safari has no requestIdleCallback.
    if ('requestIdleCallback' in window) requestIdleCallback(() => resolve(), { timeout: 500 });
    else setTimeout(resolve, 50);
  });
}
