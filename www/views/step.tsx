/** One step of a run's result: its number, what it is about, the finding in one sentence, and the figures and tables behind it. */
import type { ComponentChildren } from 'preact';

type Props = {
  /** Its place in the order of the paper, from 1. */
  at: number;
  /** The id of its finding. */
  id: string;
  name: string;
  finding: ComponentChildren;
  children?: ComponentChildren;
};

export function Step({ at, id, name, finding, children }: Props) {
  return (
    <div class="step">
      <h3>
        <span>{at}</span>
        {name}
      </h3>
      <p class="finding" id={id}>
        {finding}
      </p>
      {children}
    </div>
  );
}
