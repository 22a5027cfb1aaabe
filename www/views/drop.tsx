/** The whole page as a drop target: drag over it anywhere, or paste files. */
import { useEffect, useState } from 'preact/hooks';
import { carriesFiles, entriesOfTransfer } from '../files';
import { show } from '../state';

export function DropTarget() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const take = (data: DataTransfer) => {
      const entries = entriesOfTransfer(data);
      show(() => entries);
    };
    const onDragOver = (event: DragEvent) => {
      if (!carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy';
      setOver(true);
    };
    const onDragLeave = (event: DragEvent) => {
      // Leaving the window has no related target; moving between elements does.
      if (!event.relatedTarget) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      setOver(false);
      if (!event.dataTransfer || !carriesFiles(event.dataTransfer)) return;
      event.preventDefault();
      take(event.dataTransfer);
    };
    const onPaste = (event: ClipboardEvent) => {
      if (!event.clipboardData || !carriesFiles(event.clipboardData)) return;
      event.preventDefault();
      take(event.clipboardData);
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
    <div class="veil" data-over={over} aria-hidden="true">
      <p>Drop to inspect</p>
    </div>
  );
}
