/** A quiet button that copies a link to one site or section. */
import { useState } from 'preact/hooks';
import type { Spot } from '../files';
import { announcement } from '../state/announcement';
import { linkTo, visit } from '../state/place';

const SHOWN_MS = 2_000;

type Props = Partial<Spot> & { label: string };

export function CopyLink({ label, ...spot }: Props) {
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard.writeText(linkTo(spot)).then(
      () => {
        announcement.value = 'The link is copied';
        setCopied(true);
        setTimeout(() => setCopied(false), SHOWN_MS);
      },
      () => {
        visit(spot);
        announcement.value = 'The browser does not let the page copy. The link is in the address bar.';
      },
    );
  return (
    <button
      type="button"
      class="copy-link"
      aria-label={label}
      title={copied ? 'Copied' : label}
      data-copied={copied}
      data-site={spot.site ?? undefined}
      onClick={() => void copy()}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true">
        {copied ? (
          <path d="M3 8.500l3.200 3.200L13 5" />
        ) : (
          <path d="M6.700 9.300a2.800 2.800 0 0 0 4 0l2.200-2.200a2.800 2.800 0 0 0-4-4L8 4M9.300 6.700a2.800 2.800 0 0 0-4 0L3.100 8.900a2.800 2.800 0 0 0 4 4L8 12" />
        )}
      </svg>
    </button>
  );
}
