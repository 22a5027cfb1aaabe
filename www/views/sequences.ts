/** The size of the input of a run, in words. */
import { count, counted } from '../format';
import type { PassSummary } from '../report';

/** The number of sequences and of tokens in each. With two stacks, for each stack. */
export function sequencesOf({ sequences, length, stacks }: Pick<PassSummary, 'sequences' | 'length' | 'stacks'>): string {
  if (stacks.length === 0) return `${counted(sequences, 'sequence')} of ${count(length)} tokens`;
  const inStack = (one: (typeof stacks)[number]) =>
    `${counted(one.sequences, 'sequence')} of ${count(one.length)} tokens in the ${one.stack}`;
  return stacks.map(inStack).join(' and ');
}
