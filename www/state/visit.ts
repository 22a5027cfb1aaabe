/** From the start page to a tool: a sample is opened, and the page goes to the tool once it is there. */
import { entriesOfSample } from '../files';
import { show } from '../intake';

/** How long a part of the page is waited for, in milliseconds. */
const PATIENCE = 20_000;

/** Opens the LayerNorm sample and takes the reader to the part of the page with this id. */
export function visit(id: string): void {
  show((signal) => entriesOfSample('layernorm', signal));
  const until = performance.now() + PATIENCE;
  const look = () => {
    const found = document.getElementById(id);
    if (found) found.scrollIntoView({ block: 'start' });
    else if (performance.now() < until) setTimeout(look, 100);
  };
  look();
}
