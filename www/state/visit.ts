/** From the start page to a tool: a sample is opened, at the part of the page with the tool. */
import { entriesOfSample } from '../files';
import { show } from '../intake';
import { awaited } from './place';

/** Opens the LayerNorm sample and takes the reader to the part of the page with this id. */
export function visit(id: string): void {
  awaited.value = { site: null, section: id };
  show((signal) => entriesOfSample('layernorm', signal));
}
