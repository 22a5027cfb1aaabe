/** The button that opens the dialog to share a report. The dialog loads when it is first opened. */
import { useState } from 'preact/hooks';
import type { Opened } from '../state/opened';
import { lazily } from './lazily';

const Share = lazily(() => import('./share').then((views) => views.Share));

export function Sharing({ opened }: { opened: Opened }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="button" onClick={() => setOpen(true)}>
        Share…
      </button>
      {open && <Share opened={opened} onClose={() => setOpen(false)} />}
    </>
  );
}
