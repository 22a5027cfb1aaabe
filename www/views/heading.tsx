/** The heading of a section, with a link to it. */
import type { ComponentChildren } from 'preact';
import { CopyLink } from './copy-link';

type Props = { of: string; as?: 'h2' | 'h3'; children: ComponentChildren };

export function Heading({ of, as: Level = 'h2', children }: Props) {
  return (
    <div class="heading">
      <Level id={`${of}-heading`}>{children}</Level>
      <CopyLink section={of} label="Copy link to this section" />
    </div>
  );
}
