/** A list of named values. Each name has an explanation. */
import type { ComponentChildren } from 'preact';
import type { Term } from '../terms';
import { Word } from './term';

export type Fact = { term?: Term; label?: string; value: ComponentChildren; exact?: string };

export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts.map(({ term, label, value, exact }) => (
        <div key={label ?? term}>
          <dt>{term ? <Word term={term}>{label}</Word> : label}</dt>
          <dd title={exact}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
