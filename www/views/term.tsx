/** A word with a one-line explanation in a shared tooltip. Hovering, keyboard focus or a tap shows it. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { explanations, fetchExplanations } from '../state/explanations';
import { TERMS, type Term } from '../terms';

const HOVER_DELAY = 120;
const GAP = 6;

/** The shown explanation and its element. */
const shown = signal<{ term: Term; anchor: HTMLElement } | null>(null);

/** Shows the explanation of a term at an element. */
function explain(term: Term, anchor: HTMLElement): void {
  fetchExplanations();
  shown.value = { term, anchor };
}

let timer: ReturnType<typeof setTimeout> | undefined;

function later(action: () => void): void {
  clearTimeout(timer);
  timer = setTimeout(action, HOVER_DELAY);
}

const hide = (): void => {
  clearTimeout(timer);
  shown.value = null;
};

/** Handlers that show the explanation of a term at any focusable element. */
export function explains(term: Term) {
  return {
    'aria-describedby': shown.value?.term === term ? 'explanation' : undefined,
    onPointerEnter(event: PointerEvent) {
      const anchor = event.currentTarget as HTMLElement;
      if (event.pointerType === 'mouse') later(() => explain(term, anchor));
    },
    onPointerLeave(event: PointerEvent) {
      if (event.pointerType === 'mouse') later(hide);
    },
    onFocus(event: FocusEvent) {
      const anchor = event.currentTarget as HTMLElement;
      if (anchor.matches(':focus-visible')) explain(term, anchor);
    },
    onBlur: hide,
  };
}

/** A glossary word in running text or as a label. */
export function Word({ term, children }: { term: Term; children?: ComponentChildren }) {
  return (
    <button
      type="button"
      class="word"
      {...explains(term)}
      onClick={(event) => {
        const anchor = event.currentTarget;
        clearTimeout(timer);
        explain(term, anchor);
      }}
    >
      {children ?? TERMS[term]}
    </button>
  );
}

/** The one tooltip of the page. */
export function Explanation() {
  const ref = useRef<HTMLDivElement>(null);
  const current = shown.value;
  const text = current && explanations.value?.[current.term];
  useEffect(() => {
    const tip = ref.current;
    if (!tip || !current || !text) return;
    tip.showPopover();
    const place = current.anchor.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = tip;
    const left = Math.min(Math.max(8, place.left), document.documentElement.clientWidth - offsetWidth - 8);
    const below = place.bottom + GAP;
    const top = below + offsetHeight > innerHeight ? place.top - GAP - offsetHeight : below;
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(8, top)}px`;
    const onKey = (event: KeyboardEvent) => event.key === 'Escape' && hide();
    // A scroll that leaves the word in its place, such as the end of one that brought it into view, hides nothing.
    const onScroll = () => {
      const now = current.anchor.getBoundingClientRect();
      if (now.top !== place.top || now.left !== place.left) hide();
    };
    const onPress = (event: PointerEvent) => {
      const target = event.target as Node;
      if (!tip.contains(target) && !current.anchor.contains(target)) hide();
    };
    addEventListener('keydown', onKey);
    addEventListener('pointerdown', onPress);
    addEventListener('scroll', onScroll, { capture: true, passive: true });
    return () => {
      removeEventListener('keydown', onKey);
      removeEventListener('pointerdown', onPress);
      removeEventListener('scroll', onScroll, { capture: true });
      if (tip.matches(':popover-open')) tip.hidePopover();
    };
  }, [current, text]);
  return (
    <div
      id="explanation"
      role="tooltip"
      class="explanation"
      popover="manual"
      ref={ref}
      onPointerEnter={() => clearTimeout(timer)}
      onPointerLeave={() => later(hide)}
    >
      {text}
    </div>
  );
}
