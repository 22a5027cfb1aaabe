/** While the page prints, everything folded is open and tables show all rows, because nobody can click on paper. */
import { options } from 'preact';
import { printing } from './state/printing';

/** All folded elements but these: the data of figures, code and the glossary would fill pages, and options are useless on paper. */
const FOLDED = 'main details:not([open], .data, .options, #how *, :has(.hook))';

/** Sets `printing` and redraws synchronously, because the browser prints right after the event. */
function print(now: boolean): void {
  const { debounceRendering } = options;
  options.debounceRendering = (draw) => draw();
  printing.value = now;
  if (debounceRendering) options.debounceRendering = debounceRendering;
  else delete options.debounceRendering;
}

/** Opens folded elements before printing, and closes them afterwards. */
export function unfoldForPrint(): void {
  let unfolded: HTMLDetailsElement[] = [];
  const unfold = () => {
    print(true);
    const folded = [...document.querySelectorAll<HTMLDetailsElement>(FOLDED)];
    for (const details of folded) details.open = true;
    unfolded = [...unfolded, ...folded];
  };
  const fold = () => {
    print(false);
    for (const details of unfolded) details.open = false;
    unfolded = [];
  };
  // Not every browser sends both events.
  addEventListener('beforeprint', unfold);
  addEventListener('afterprint', fold);
  matchMedia('print').addEventListener('change', ({ matches }) => (matches ? unfold() : fold()));
}
