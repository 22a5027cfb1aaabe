/** The heading of a section, with a link to it. */
import type { ComponentChildren } from 'preact';
import { CopyLink } from './copy-link';

export function Heading({ of, children }: { of: string; children: ComponentChildren }) {
  return (
    <div class="heading">
      <h2 id={`${of}-heading`}>{children}</h2>
      <CopyLink section={of} label="Copy link to this section" />
    </div>
  );
}
