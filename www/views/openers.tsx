/** The ways in other than dropping: pick files, pick a folder, open a sample. */
import { useRef } from 'preact/hooks';
import { SAMPLES, entriesOf, entriesOfSample } from '../files';
import { show, weighs } from '../state';
import { AddressField } from './address';

export function Openers({ onChosen }: { onChosen?: () => void }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const picked = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const entries = entriesOf(input.files ?? []);
    input.value = '';
    onChosen?.();
    if (entries.length > 0) show(() => entries);
  };
  return (
    <div class="openers">
      <div class="buttons">
        <button type="button" class="button strong" onClick={() => files.current?.click()}>
          Choose files…
        </button>
        <button type="button" class="button" onClick={() => folder.current?.click()}>
          Choose a folder…
        </button>
      </div>
      <AddressField onChosen={onChosen} />
      <div class="buttons samples">
        <span class="muted">or open a sample</span>
        {SAMPLES.map(({ name, label }) => (
          <button
            key={name}
            type="button"
            class="button quiet"
            onClick={() => {
              onChosen?.();
              show((signal) => entriesOfSample(name, signal));
            }}
          >
            <span class={`dot ${name}`} aria-hidden="true" />
            {label}
          </button>
        ))}
      </div>
      <label class="choice">
        <input
          type="checkbox"
          checked={weighs.value === 'yes'}
          onChange={(event) => (weighs.value = event.currentTarget.checked ? 'yes' : 'no')}
        />
        After the verdict, also sample up to 64 MB of weights
      </label>
      <input ref={files} type="file" multiple hidden class="pick-files" onChange={picked} />
      <input
        ref={(input) => {
          folder.current = input;
          if (input) input.webkitdirectory = true;
        }}
        type="file"
        multiple
        hidden
        class="pick-folder"
        onChange={picked}
      />
    </div>
  );
}
