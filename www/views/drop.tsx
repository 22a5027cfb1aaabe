/** Makes the whole page a target for drops and pasted files. With a report open, one half of it compares. */
import { useEffect, useState } from 'preact/hooks';
import { carriesFiles, entriesOfTransfer, handlesOfTransfer } from '../files';
import { prepare } from '../inspector';
import { shown } from '../state/opened';

const load = () => import('../dropped');

export function DropTarget() {
  const [over, setOver] = useState<'open' | 'compare' | null>(null);
  useEffect(() => {
    const half = ({ target }: DragEvent) =>
      target instanceof Element && target.closest('[data-drop=compare]') ? 'compare' : 'open';
    const take = (data: DataTransfer, compares: boolean) => {
      const [entries, handles] = [entriesOfTransfer(data), handlesOfTransfer(data)];
      void load().then(({ drop }) => drop(entries, handles, compares));
    };
    const onDragOver = (event: DragEvent) => {
      if (!carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy';
      setOver(half(event));
      prepare('inspector');
      load().catch(() => undefined);
    };
    const onDragLeave = (event: DragEvent) => {
      // Leaving the window has no related target; moving between elements does.
      if (!event.relatedTarget) setOver(null);
    };
    const onDrop = (event: DragEvent) => {
      setOver(null);
      if (!event.dataTransfer || !carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      take(event.dataTransfer, half(event) === 'compare');
    };
    const onPaste = (event: ClipboardEvent) => {
      if (!event.clipboardData || !carriesFiles(event.clipboardData)) return;
      event.preventDefault();
      take(event.clipboardData, false);
    };
    addEventListener('dragover', onDragOver);
    addEventListener('dragleave', onDragLeave);
    addEventListener('drop', onDrop);
    addEventListener('paste', onPaste);
    return () => {
      removeEventListener('dragover', onDragOver);
      removeEventListener('dragleave', onDragLeave);
      removeEventListener('drop', onDrop);
      removeEventListener('paste', onPaste);
    };
  }, []);
  return (
    <div class="veil" data-over={over !== null} aria-hidden="true">
      {shown.value ? (
        <div class="halves">
          <p data-drop="open" data-over={over === 'open'}>
            Open instead
          </p>
          <p data-drop="compare" data-over={over === 'compare'}>
            Compare with the open one
          </p>
        </div>
      ) : (
        <p>Drop to inspect</p>
      )}
    </div>
  );
}
