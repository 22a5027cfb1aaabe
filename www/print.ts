/** Nobody can click on paper, so everything that is folded is open while the page prints, and tables show all of their rows. */
import { options } from 'preact';
import { printing } from './state/printing';

/** These stay folded: data behind figures, code and the glossary would fill pages, and options are of no use on paper. */
const FOLDED = 'main details:not([open], .data, .options, #how *, :has(.hook))';

/** Draws at once what depends on it: the browser prints when its event is over. */
function print(now: boolean): void {
  const { debounceRendering } = options;
  options.debounceRendering = (draw) => draw();
  printing.value = now;
  if (debounceRendering) options.debounceRendering = debounceRendering;
  else delete options.debounceRendering;
}

/** Opens what is folded away before the page is printed, and closes it again afterwards. */
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
