/** The button that opens the way to pass a report on, which is loaded when it is asked for. */
import { useState } from 'preact/hooks';
import type { FunctionComponent } from 'preact';
import type { Opened } from '../state';

type Dialog = FunctionComponent<{ opened: Opened; onClose: () => void }>;

export function Sharing({ opened }: { opened: Opened }) {
  const [dialog, setDialog] = useState<{ Share: Dialog } | null>(null);
  return (
    <>
      <button type="button" class="button" onClick={() => void import('./share').then(setDialog)}>
        Share…
      </button>
      {dialog && <dialog.Share opened={opened} onClose={() => setDialog(null)} />}
    </>
  );
}
