/** The part of a very long table that is in the document: the visible rows, and some above and below them. */
import type { RefObject } from 'preact';
import { useLayoutEffect, useState } from 'preact/hooks';

/** Rows above and below the visible ones, so that a quick scroll shows rows and no blank space. */
const BEYOND = 15;

/** The window moves in steps of this many rows, so that not every scroll event redraws. */
const STEP = 5;

/** The height of a row until one can be measured. */
const ROW = 30;

export type TableWindow = {
  first: number;
  /** The end of the window, exclusive. */
  last: number;
  /** The heights in pixels of the rows above and below the window. */
  above: number;
  below: number;
  /** Scrolls until a row is visible. */
  show: (place: number) => void;
};

/**
 * Returns the window of `total` rows of equal height in the scroll box. `tall` has the height of the detail below each open row, by
 * place, in order. Without `on`, the window is the whole table.
 */
export function useWindow(
  on: boolean,
  box: RefObject<HTMLElement | null>,
  total: number,
  tall: readonly (readonly [place: number, height: number])[],
): TableWindow {
  const [row, setRow] = useState(ROW);
  const [seen, setSeen] = useState({ from: 0, to: 40 });

  const top = (place: number) => place * row + tall.reduce((sum, [at, height]) => (at < place ? sum + height : sum), 0);
  const placeAt = (y: number) => {
    let [low, high] = [0, total];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (top(middle + 1) <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const look = () => {
    const element = box.current;
    if (!element) return;
    // In a closed part of the page, all heights are 0.
    const measured = element.querySelector('tbody > tr[aria-rowindex]')?.getBoundingClientRect().height;
    if (measured && Math.abs(measured - row) > 0.1) setRow(measured);
    const from = Math.floor(placeAt(element.scrollTop) / STEP) * STEP;
    const to = Math.ceil((placeAt(element.scrollTop + element.clientHeight) + 1) / STEP) * STEP;
    setSeen((now) => (now.from === from && now.to === to ? now : { from, to }));
  };

  useLayoutEffect(() => {
    const element = box.current;
    if (!on || !element) return;
    look();
    element.addEventListener('scroll', look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(element);
    return () => {
      element.removeEventListener('scroll', look);
      resized.disconnect();
    };
  }, [on, total, tall, row]);

  if (!on) return { first: 0, last: total, above: 0, below: 0, show: () => undefined };
  const first = Math.max(0, Math.min(seen.from, total) - BEYOND);
  const last = Math.min(total, seen.to + BEYOND);
  return {
    first,
    last,
    above: top(first),
    below: top(total) - top(last),
    show(place) {
      const element = box.current;
      if (!element) return;
      const head = element.querySelector('thead')?.clientHeight ?? 0;
      // The rows begin below the heading, which stays visible.
      const [upper, lower] = [top(place), top(place) + row];
      if (upper < element.scrollTop) element.scrollTop = upper;
      else if (lower > element.scrollTop + element.clientHeight - head) element.scrollTop = lower - element.clientHeight + head;
      look();
    },
  };
}
