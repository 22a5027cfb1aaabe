/** Buttons that pick files or a folder. */
import { useRef } from 'preact/hooks';
import { entriesOf } from '../files';
import type { Dropped } from '../protocol';

type Props = {
  name: string;
  files: string;
  folder: string;
  onPicked: (entries: Dropped[]) => void;
  /** Chooses files in another way first. `byInput` opens the file input instead. */
  choose?: (folder: boolean, byInput: () => void) => void;
  /** Whether choosing files is the main action here. */
  strong?: boolean;
};

export function Pick({ name, files, folder, onPicked, choose = (_, byInput) => byInput(), strong = false }: Props) {
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
      <button
        type="button"
        class={strong ? 'button strong' : 'button'}
        onClick={() => choose(false, () => several.current?.click())}
      >
        {files}
      </button>
      <button type="button" class="button" onClick={() => choose(true, () => whole.current?.click())}>
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
