/** Documents as trees with a search by key and value. */
import { useMemo, useState } from 'preact/hooks';
import { count, counted } from '../format';
import type { Document } from '../report';

/** How many members of a list or object are shown. */
const MOST_SHOWN = 200;

/** A list of plain values up to this length is shown on one line. */
const ONE_LINE = 72;

export function Documents({ documents }: { documents: readonly Document[] }) {
  const [needle, setNeedle] = useState('');
  const found = useMemo(() => documents.map(({ fields }) => matching(fields, needle.trim().toLowerCase())), [documents, needle]);
  if (documents.length === 0) return <p class="muted">There is no configuration, and the files have no metadata.</p>;
  return (
    <div class="documents">
      <input
        type="search"
        aria-label="Search the configuration and metadata"
        placeholder="Search keys and values"
        value={needle}
        onInput={(event) => setNeedle(event.currentTarget.value)}
      />
      {documents.map(({ path, metadata }, index) => (
        <section key={path} class="card">
          <h3>
            {metadata ? 'Metadata of ' : ''}
            <span class="mono">{path}</span>
          </h3>
          {found[index] === undefined ? <p class="muted">Nothing here matches.</p> : <Members value={found[index]} open={needle !== ''} />}
        </section>
      ))}
    </div>
  );
}

/** The members of an object or a list, each on a line or as a branch. */
function Members({ value, open }: { value: unknown; open: boolean }) {
  const members = Object.entries(value as object);
  return (
    <ul class="tree">
      {members.slice(0, MOST_SHOWN).map(([key, member]) => (
        <li key={key}>
          {isBranch(member) ? (
            <Branch key={`${key} ${open}`} name={key} value={member} open={open} />
          ) : (
            <>
              <span class="key">{key}</span> <code>{JSON.stringify(member)}</code>
            </>
          )}
        </li>
      ))}
      {members.length > MOST_SHOWN && <li class="muted">… and {count(members.length - MOST_SHOWN)} more</li>}
    </ul>
  );
}

/** A branch. Its members are drawn when it is open. */
function Branch({ name, value, open: opens }: { name: string; value: object; open: boolean }) {
  const [open, setOpen] = useState(opens);
  return (
    <details open={open} onToggle={(event) => event.target === event.currentTarget && setOpen(event.currentTarget.open)}>
      <summary>
        <span class="key">{name}</span> <span class="muted">{counted(Object.keys(value).length, Array.isArray(value) ? 'item' : 'field')}</span>
      </summary>
      {open && <Members value={value} open={opens} />}
    </details>
  );
}

function isBranch(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const flat = Array.isArray(value) && value.every((member) => typeof member !== 'object' || member === null);
  return !(flat && JSON.stringify(value).length <= ONE_LINE);
}

/** The part of a value with the text in a key or a value. Below a matching key, it keeps everything. */
function matching(value: unknown, needle: string): unknown {
  if (needle === '') return value;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value).toLowerCase().includes(needle) ? value : undefined;
  const kept = Object.entries(value).flatMap(([key, member]) => {
    const found = key.toLowerCase().includes(needle) ? member : matching(member, needle);
    return found === undefined ? [] : [[key, found] as const];
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
