/** The list of recent checkpoints. A click opens one again. */
import { useEffect } from 'preact/hooks';
import { bytes } from '../format';
import { type Recent, entriesOfRecent, forget, forgetAll, recall, recent, refusal } from '../recent';
import { show } from '../intake';

const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const STEPS = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [Infinity, 'day'],
] as const;

function ago(when: number): string {
  let passed = (when - Date.now()) / 1000;
  for (const [most, unit] of STEPS) {
    if (Math.abs(passed) < most) return AGO.format(Math.round(passed), unit);
    passed /= most;
  }
  return '';
}

/** The host of an address, to distinguish models with the same name. */
function host(item: Recent): string | null {
  if (!('address' in item)) return null;
  const { address, hub } = item.address;
  const url = [address, hub].find((text) => text && URL.canParse(text));
  return url ? new URL(url).host : null;
}

export function RecentList({ onChosen }: { onChosen?: (() => void) | undefined }) {
  useEffect(() => void recall(), []);
  const items = recent.value ?? [];
  if (items.length === 0 && refusal.value === null) return null;
  return (
    <details class="recent" open={items.length > 0}>
      <summary>Recent</summary>
      {refusal.value !== null && <p class="muted small">This browser cannot keep a list here ({refusal.value}).</p>}
      <ul>
        {items.map((item) => (
          <li key={item.when}>
            <button
              type="button"
              class="link"
              title={item.name}
              onClick={() => {
                onChosen?.();
                const origin = 'address' in item ? { address: item.address } : { handles: item.handles };
                show(() => entriesOfRecent(item), () => origin);
              }}
            >
              {item.name}
            </button>
            <span class="muted small">
              {bytes(item.bytes)}
              {host(item) && ` at ${host(item)}`}, {ago(item.when)}
            </span>
            <button type="button" class="button quiet" aria-label={`Forget ${item.name}`} onClick={() => void forget(item)}>
              ×
            </button>
          </li>
        ))}
      </ul>
      {items.length > 0 && (
        <p class="muted small">
          Kept in this browser only.{' '}
          <button type="button" class="link" onClick={() => void forgetAll()}>
            Forget all
          </button>
        </p>
      )}
    </details>
  );
}
