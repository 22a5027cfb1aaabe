/**
 * A table of any length: sorted by any column, filtered by text and by chips, walked with the keyboard, its rows
 * opening their own detail. Only one window of rows is ever in the document, so that 100,000 sites stay fast.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { count } from '../format';
import type { Term } from '../glossary';
import { Prose } from './prose';
import { explains } from './term';

const WINDOW = 200;
const JUMP = 20;

/** From here a table scrolls in a box of its own, under its headings, instead of pushing the next section away. */
const LONG = 30;

const collator = new Intl.Collator('en', { numeric: true });

export type DataColumn<Row> = {
  id: string;
  label: string;
  term?: Term;
  numeric?: boolean;
  /** What kind of text it holds, which decides how it wraps: a sentence from the report, or a name. */
  text?: 'prose' | 'name';
  /** The column that names the row: its cell is what the keyboard walks along. */
  names?: boolean;
  /** What sorting compares; null sorts last both ways. */
  value: (row: Row, index: number) => number | string | null;
  cell?: (row: Row, index: number) => ComponentChildren;
};

/** A row of chips: rows are kept whose `of` is among those pressed, or all when none is. */
export type Chips<Row> = { label: string; of: (row: Row) => string; names: Readonly<Record<string, string>> };

type Props<Row> = {
  label: string;
  noun: string;
  rows: readonly Row[];
  columns: readonly DataColumn<Row>[];
  /** The text that the filter searches. */
  text: (row: Row) => string;
  chips?: readonly Chips<Row>[];
  /** What a row opens below itself. */
  detail?: (row: Row) => ComponentChildren;
  /** What choosing a row does where it has no detail. */
  onChoose?: (row: Row) => void;
  /** A row to open, show and focus; a new object each time. */
  target?: { site: number } | null;
};

type Order = { column: string; down: boolean };

export function DataTable<Row>({ label, noun, rows, columns, text, chips = [], detail, onChoose, target }: Props<Row>) {
  const [needle, setNeedle] = useState('');
  const [pressed, setPressed] = useState<ReadonlySet<string>>(new Set());
  const [order, setOrder] = useState<Order>({ column: columns[0]?.id ?? '', down: false });
  const [start, setStart] = useState(0);
  const [active, setActive] = useState(0);
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(new Set());
  const body = useRef<HTMLTableSectionElement>(null);
  const focusNext = useRef(false);

  const kept = useMemo(() => filtered(rows, text, needle, chips, pressed), [rows, needle, pressed]);
  const ordered = useMemo(() => sorted(rows, kept, columns, order), [rows, kept, order]);
  const page = ordered.slice(start, start + WINDOW);

  // A filter or an order that changed puts the reader back at the top; following a link sets its own place.
  const restart = () => {
    setStart(0);
    setActive(0);
  };

  useEffect(() => {
    if (!target) return;
    const all = sorted(
      rows,
      rows.map((_, index) => index),
      columns,
      order,
    );
    setNeedle('');
    setPressed(new Set());
    setExpanded(new Set(expanded).add(target.site));
    go(all.indexOf(target.site), all.length);
  }, [target]);

  useEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    const button = body.current?.querySelector<HTMLElement>(`[data-place="${active}"]`);
    button?.focus();
    button?.scrollIntoView({ block: 'nearest' });
  }, [active, start, ordered]);

  function go(place: number, total = ordered.length): void {
    const to = Math.min(total - 1, Math.max(0, place));
    const first = Math.floor(to / WINDOW) * WINDOW;
    focusNext.current = true;
    setStart(first);
    setActive(to);
    if (to === active && first === start && total === ordered.length) {
      // Nothing will change, so nothing would run the effect.
      focusNext.current = false;
      body.current?.querySelector<HTMLElement>(`[data-place="${to}"]`)?.focus();
    }
  }

  function choose(index: number, open?: boolean): void {
    const row = rows[index];
    if (row === undefined) return;
    if (!detail) return onChoose?.(row);
    const next = new Set(expanded);
    if (open ?? !next.has(index)) next.add(index);
    else next.delete(index);
    setExpanded(next);
  }

  const onKeyDown = (event: KeyboardEvent) => {
    const button = (event.target as HTMLElement).closest<HTMLElement>('[data-place]');
    if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
    const place = Number(button.dataset['place']);
    const moves: Record<string, number> = {
      ArrowDown: place + 1,
      ArrowUp: place - 1,
      PageDown: place + JUMP,
      PageUp: place - JUMP,
      Home: 0,
      End: ordered.length - 1,
    };
    const to = moves[event.key];
    const index = ordered[place];
    if (to !== undefined) go(to);
    else if (index !== undefined && detail && event.key === 'ArrowRight') choose(index, true);
    else if (index !== undefined && detail && event.key === 'ArrowLeft') choose(index, false);
    else return;
    event.preventDefault();
  };

  const onRowClick = (event: MouseEvent, index: number) => {
    const target = event.target as HTMLElement;
    // A click that ends a text selection is a selection, and buttons speak for themselves.
    if (target.closest('button, a') || getSelection()?.isCollapsed === false) return;
    choose(index);
  };

  const roving = active >= start && active < start + WINDOW ? active : start;

  return (
    <div class="datatable">
      <div class="tools">
        <input
          type="search"
          aria-label={`Filter ${noun}s`}
          placeholder={`Filter ${noun}s`}
          value={needle}
          onInput={(event) => {
            setNeedle(event.currentTarget.value);
            restart();
          }}
        />
        {chips.map((group) => (
          <ChipRow
            key={group.label}
            group={group}
            rows={rows}
            pressed={pressed}
            onPress={(chip) => {
              const next = new Set(pressed);
              if (!next.delete(chip)) next.add(chip);
              setPressed(next);
              restart();
            }}
          />
        ))}
        <p class="tally" role="status">
          {kept.length === rows.length
            ? `${count(rows.length)} ${noun}${rows.length === 1 ? '' : 's'}`
            : `${count(kept.length)} of ${count(rows.length)} ${noun}s`}
        </p>
      </div>
      <div
        class={ordered.length > LONG ? 'scroll long' : 'scroll'}
        role="region"
        aria-label={`Table: ${label}`}
        tabIndex={0}
      >
        <table aria-label={label} aria-rowcount={ordered.length + 1}>
          <thead>
            <tr>
              {columns.map((column) => (
                <Heading
                  key={column.id}
                  column={column}
                  order={order}
                  onSort={() => {
                    setOrder({ column: column.id, down: order.column === column.id && !order.down });
                    restart();
                  }}
                />
              ))}
            </tr>
          </thead>
          <tbody ref={body} onKeyDown={onKeyDown}>
            {page.map((index, offset) => {
              const row = rows[index];
              if (row === undefined) return null;
              const open = expanded.has(index);
              const place = start + offset;
              return [
                <tr
                  key={index}
                  aria-rowindex={place + 2}
                  class={open ? 'open' : ''}
                  onClick={(event) => onRowClick(event, index)}
                >
                  {columns.map((column) => {
                    const value = column.value(row, index);
                    const sentence = column.text === 'prose' ? <Prose>{String(value ?? '')}</Prose> : value;
                    const shown = column.cell ? column.cell(row, index) : sentence;
                    return column.names ? (
                      <th key={column.id} scope="row">
                        <button
                          type="button"
                          class="opens"
                          data-place={place}
                          tabIndex={place === roving ? 0 : -1}
                          aria-expanded={detail ? open : undefined}
                          onFocus={() => setActive(place)}
                          onClick={() => choose(index)}
                        >
                          {shown}
                        </button>
                      </th>
                    ) : (
                      <td key={column.id} class={column.numeric ? 'numeric' : (column.text ?? '')}>
                        {shown}
                      </td>
                    );
                  })}
                </tr>,
                open && detail && (
                  <tr key={`${index} detail`} class="detail">
                    <td colSpan={columns.length}>
                      <div class="panel">{detail(row)}</div>
                    </td>
                  </tr>
                ),
              ];
            })}
            {ordered.length === 0 && (
              <tr>
                <td colSpan={columns.length} class="nothing muted">
                  {rows.length === 0 ? `No ${noun}s.` : `No ${noun} matches the filter.`}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      {ordered.length > WINDOW && (
        <div class="pager">
          <button
            type="button"
            class="button"
            disabled={start === 0}
            onClick={() => setStart(Math.max(0, start - WINDOW))}
          >
            Previous {WINDOW}
          </button>
          <span class="muted">
            {count(start + 1)}–{count(Math.min(start + WINDOW, ordered.length))} of {count(ordered.length)}
          </span>
          <button
            type="button"
            class="button"
            disabled={start + WINDOW >= ordered.length}
            onClick={() => setStart(start + WINDOW)}
          >
            Next {WINDOW}
          </button>
        </div>
      )}
    </div>
  );
}

type HeadingProps<Row> = { column: DataColumn<Row>; order: Order; onSort: () => void };

/** A heading that sorts and explains its column; a component of its own, so that its tooltip redraws only itself. */
function Heading<Row>({ column, order, onSort }: HeadingProps<Row>) {
  const sorts = order.column === column.id;
  return (
    <th
      scope="col"
      class={column.numeric ? 'numeric' : ''}
      aria-sort={sorts ? (order.down ? 'descending' : 'ascending') : undefined}
    >
      <button type="button" class="sort" {...(column.term ? explains(column.term) : {})} onClick={onSort}>
        {column.label}
        <span class="arrow" aria-hidden="true">
          {sorts ? (order.down ? '↓' : '↑') : ''}
        </span>
      </button>
    </th>
  );
}

type ChipRowProps<Row> = {
  group: Chips<Row>;
  rows: readonly Row[];
  pressed: ReadonlySet<string>;
  onPress: (chip: string) => void;
};

/** A chip for each value that occurs, with how often; nothing to choose from shows nothing. */
function ChipRow<Row>({ group, rows, pressed, onPress }: ChipRowProps<Row>) {
  const tally = useMemo(() => {
    const counts = new Map<string, number>();
    for (const row of rows) counts.set(group.of(row), (counts.get(group.of(row)) ?? 0) + 1);
    return counts;
  }, [rows]);
  if (tally.size < 2) return null;
  return (
    <div class="chips" role="group" aria-label={`Filter by ${group.label}`}>
      {Object.entries(group.names).map(([value, name]) => {
        const chip = `${group.label}:${value}`;
        return tally.has(value) ? (
          <button key={value} type="button" class="chip" aria-pressed={pressed.has(chip)} onClick={() => onPress(chip)}>
            <span class={`dot ${value}`} aria-hidden="true" />
            {name} <span class="muted">{count(tally.get(value) ?? 0)}</span>
          </button>
        ) : null;
      })}
    </div>
  );
}

/** Indices of the rows that pass the text filter and every row of chips. */
function filtered<Row>(
  rows: readonly Row[],
  text: (row: Row) => string,
  needle: string,
  chips: readonly Chips<Row>[],
  pressed: ReadonlySet<string>,
): number[] {
  const words = needle.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = chips.filter(({ label }) => [...pressed].some((chip) => chip.startsWith(`${label}:`)));
  const kept: number[] = [];
  rows.forEach((row, index) => {
    if (!groups.every(({ label, of }) => pressed.has(`${label}:${of(row)}`))) return;
    const searched = words.length > 0 ? text(row).toLowerCase() : '';
    if (words.every((word) => searched.includes(word))) kept.push(index);
  });
  return kept;
}

/** The kept rows in the order of a column; ties keep the order they came in. */
function sorted<Row>(
  rows: readonly Row[],
  kept: readonly number[],
  columns: readonly DataColumn<Row>[],
  order: Order,
): number[] {
  const column = columns.find(({ id }) => id === order.column);
  if (!column) return [...kept];
  const keyed = kept.map((index) => ({ index, value: column.value(rows[index] as Row, index) }));
  const sign = order.down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null);
    return (
      sign *
      (typeof a.value === 'number' && typeof b.value === 'number'
        ? a.value - b.value
        : collator.compare(String(a.value), String(b.value)))
    );
  });
  return keyed.map(({ index }) => index);
}
