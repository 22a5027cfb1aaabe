/** Views that are fetched once what is shown first is on the screen, and show nothing until then. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

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

/** When the page has loaded. */
export function afterLoad(): Promise<void> {
  return new Promise((resolve) => {
    if (document.readyState === 'complete') resolve();
    else addEventListener('load', () => resolve(), { once: true });
  });
}

/** When the browser has nothing else to do, or in half a second. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    // Safari has no requestIdleCallback.
    if ('requestIdleCallback' in window) requestIdleCallback(() => resolve(), { timeout: 500 });
    else setTimeout(resolve, 50);
  });
}
