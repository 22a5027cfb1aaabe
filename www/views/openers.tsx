/** The ways in other than dropping: pick files, pick a folder, open a sample. */
import { useRef } from 'preact/hooks';
import { SAMPLES, entriesOf, entriesOfSample } from '../files';
import { lazily } from './lazily';
import { show, weighs } from '../state';
import { AddressField } from './address';

const RecentList = lazily(() => import('./recent').then((views) => views.RecentList));

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
  /** By handles, which can be opened again, where the browser has them; else by the input. */
  const choose = (folder: boolean, byInput: () => void) => {
    if (!('showOpenFilePicker' in window)) return byInput();
    import('../recent')
      .then(async ({ entriesOfRecent, pick }) => {
        const handles = await pick(folder);
        if (handles.length === 0) return;
        onChosen?.();
        show(() => entriesOfRecent({ handles }), () => ({ handles }));
      })
      .catch(byInput);
  };
  return (
    <div class="openers">
      <div class="buttons">
        <button type="button" class="button strong" onClick={() => choose(false, () => files.current?.click())}>
          Choose files…
        </button>
        <button type="button" class="button" onClick={() => choose(true, () => folder.current?.click())}>
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
      <RecentList onChosen={onChosen} />
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
