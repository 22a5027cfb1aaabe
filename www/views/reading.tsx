/** The values at one mark of a figure, next to the mark and always inside the window. */
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { cell } from '../format';
import type { Figure } from '../report';

/** Pixels between a mark and its reading, and between a reading and the edge of the window. */
const GAP = 14;
const EDGE = 8;

type Props = {
  figure: Figure;
  row: Figure['table']['rows'][number];
  /** The element at the mark. */
  mark: RefObject<HTMLElement | null>;
};

export function Reading({ figure: { table }, row, mark }: Props) {
  const ref = useRef<HTMLParagraphElement>(null);
  // A popover is in the top layer, so no box of the page clips or moves it.
  useLayoutEffect(() => {
    const reading = ref.current;
    reading?.showPopover();
    return () => reading?.hidePopover();
  }, []);
  useLayoutEffect(() => {
    const place = () => {
      const [reading, at] = [ref.current, mark.current?.getBoundingClientRect()];
      if (!reading || !at) return;
      const { clientWidth, clientHeight } = document.documentElement;
      const { offsetWidth, offsetHeight } = reading;
      const right = at.right + GAP + offsetWidth + EDGE <= clientWidth;
      const left = right ? at.right + GAP : at.left - GAP - offsetWidth;
      // Above the mark, where a finger does not cover it.
      const top = at.top - offsetHeight >= EDGE ? at.top - offsetHeight : at.bottom + GAP;
      reading.style.left = `${clamped(left, clientWidth - offsetWidth)}px`;
      reading.style.top = `${clamped(top, clientHeight - offsetHeight)}px`;
    };
    place();
    addEventListener('scroll', place, { capture: true, passive: true });
    addEventListener('resize', place);
    return () => {
      removeEventListener('scroll', place, { capture: true });
      removeEventListener('resize', place);
    };
  });
  return (
    <p class="readout" popover="manual" ref={ref} aria-hidden="true">
      {table.columns.map(({ name, unit }, index) => (
        <span key={name}>
          <span class="muted">{name}</span> <b>{cell(row[index])}</b>
          {unit && <span class="muted"> {unit}</span>}
        </span>
      ))}
    </p>
  );
}

/** Keeps a position at least `EDGE` from the edges. */
const clamped = (place: number, room: number): number => Math.max(EDGE, Math.min(place, room - EDGE));

/** The values as one line of text, for screen readers. */
export function spokenReading({ table }: Figure, row: Props['row']): string {
  return table.columns.map(({ name, unit }, index) => `${name} ${cell(row[index])}${unit ? ` ${unit}` : ''}`).join(', ');
}
