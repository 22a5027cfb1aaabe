/** Buttons that pick files or a folder. */
import { useRef } from 'preact/hooks';
import { entriesOf } from '../files';
import type { Dropped } from '../protocol';

type Props = { name: string; files: string; folder: string; onPicked: (entries: Dropped[]) => void };

export function Pick({ name, files, folder, onPicked }: Props) {
  const several = useRef<HTMLInputElement>(null);
  const whole = useRef<HTMLInputElement>(null);
  const picked = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const entries = entriesOf(input.files ?? []);
    input.value = '';
    if (entries.length > 0) onPicked(entries);
  };
  return (
    <>
      <button type="button" class="button" onClick={() => several.current?.click()}>
        {files}
      </button>
      <button type="button" class="button" onClick={() => whole.current?.click()}>
        {folder}
      </button>
      <input ref={several} type="file" multiple hidden class={`pick-${name}`} onChange={picked} />
      <input
        ref={(input) => {
          whole.current = input;
          if (input) input.webkitdirectory = true;
        }}
        type="file"
        multiple
        hidden
        class={`pick-${name}-folder`}
        onChange={picked}
      />
    </>
  );
}
