/** Ways to open a checkpoint without dropping: files, a folder, an address, a sample, a recent one. */
import { prepare } from '../inspector';
import { show } from '../intake';
import { weighs } from '../state/weighing';
import { AddressField } from './address';
import { lazily } from './lazily';
import { Pick } from './pick';

const RecentList = lazily(() => import('./recent').then((views) => views.RecentList));


/** The samples that ship with the page. */
const SAMPLES = [
  { name: 'layernorm', label: 'LayerNorm sample' },
  { name: 'rmsnorm', label: 'RMSNorm sample' },
  { name: 'vit-layernorm', label: 'LayerNorm vision' },
  { name: 'vit-rmsnorm', label: 'RMSNorm vision' },
] as const;

export function Openers({ onChosen }: { onChosen?: () => void }) {
  /** Picks file handles, which can be opened again later, if the browser has them; otherwise calls `byInput`. */
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
  const ahead = () => prepare('inspector');
  return (
    <div class="openers">
      <div class="buttons" onPointerDown={ahead} onFocusIn={ahead}>
        <Pick
          name="opened"
          files="Choose files…"
          folder="Choose a folder…"
          strong
          choose={choose}
          onPicked={(entries) => {
            onChosen?.();
            show(() => entries);
          }}
        />
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
              show(async (signal) => (await import('../samples')).entriesOfSample(name, signal));
            }}
          >
            <span class={`dot ${name.replace('vit-', '')}`} aria-hidden="true" />
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
        After the verdict, sample up to 64 MB of weights
      </label>
    </div>
  );
}
