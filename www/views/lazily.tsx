/** Views that are fetched when they are first shown, and show nothing until then. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  return function Lazy(props: Props) {
    const [View, setView] = useState<ComponentType<Props> | null>(null);
    useEffect(() => {
      let wanted = true;
      load().then(
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
