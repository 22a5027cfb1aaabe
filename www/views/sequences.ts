/** How much of a model is run, in words. */
import { count, counted } from '../format';
import type { PassSummary } from '../report';

/** How many sequences of how many tokens; where there are two stacks, of each. */
export function sequencesOf({ sequences, length, stacks }: Pick<PassSummary, 'sequences' | 'length' | 'stacks'>): string {
  if (stacks.length === 0) return `${counted(sequences, 'sequence')} of ${count(length)} tokens`;
  const inStack = (one: (typeof stacks)[number]) =>
    `${counted(one.sequences, 'sequence')} of ${count(one.length)} tokens in the ${one.stack}`;
  return stacks.map(inStack).join(' and ');
}
