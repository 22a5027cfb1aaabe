/** Goes from the start page to a tool: opens a sample, at the section of the tool. */
import { show } from '../intake';
import { awaited } from './place';

/** Opens the LayerNorm sample and scrolls to the section with this id. */
export function visit(id: string): void {
  awaited.value = { site: null, section: id };
  show(async (signal) => (await import('../samples')).entriesOfSample('layernorm', signal));
}
