/** Scrolls to an element, and keeps it in view while the content above it is still loading. */

/** The page counts as loaded when it has kept its size for this long and no figure is missing. */
const QUIET_MS = 1_000;
const LONGEST_MS = 20_000;

/** After one of these events, the page no longer scrolls by itself. */
const BY_HAND = ['wheel', 'touchstart', 'pointerdown', 'keydown'] as const;

let end = (): void => undefined;

/** Keeps the element of `find` in view once it exists, until the page has loaded or the reader scrolls. */
export function settle(find: () => Element | null, block: ScrollLogicalPosition): void {
  end();
  const page = document.getElementById('content');
  if (!page) return;
  const latest = performance.now() + LONGEST_MS;
  let quiet: ReturnType<typeof setTimeout> | undefined;
  const rest = () => {
    clearTimeout(quiet);
    quiet = setTimeout(() => ((isLoading() || !find()) && performance.now() < latest ? rest() : stop()), QUIET_MS);
  };
  const hold = () => {
    find()?.scrollIntoView({ block, behavior: 'instant' });
    rest();
  };
  const observer = new ResizeObserver(hold);
  const stop = () => {
    observer.disconnect();
    clearTimeout(quiet);
    for (const type of BY_HAND) removeEventListener(type, stop, true);
  };
  end = stop;
  observer.observe(page);
  for (const type of BY_HAND) addEventListener(type, stop, { capture: true, passive: true });
}

/** Stops keeping an element in view. */
export function unsettle(): void {
  end();
}

/** Whether a figure of the report has not been drawn yet. */
function isLoading(): boolean {
  return document.querySelector('.report .paper:empty') !== null;
}
