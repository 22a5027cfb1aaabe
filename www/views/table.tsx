/**
 * A table of any length. It sorts by any column, filters by text and by chips, groups rows with similar names, works with the
 * keyboard, and opens a detail below a row. A long table scrolls in its own box, with only a window of its rows in the document, so
 * that 100,000 rows stay fast.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { aligned, count } from '../format';
import { saveText } from '../download';
import type { Term } from '../terms';
import { printing } from '../state/printing';
import { ColumnChooser, useColumns, usually } from './table-columns';
import { csv, groupCell, rowCell, tabbed, widthOf } from './table-cells';
import { type Entry, entries, filtered, sorted } from './table-entries';
import { ChipRow, CopyButton, Detail, Heading, Spacer } from './table-parts';
import { useWindow } from './table-window';

const JUMP = 20;

/** A table with more rows scrolls in its own box, with only a window of its rows in the document. */
const LONG = 200;

/** A table with more rows prints only its window, because all rows would fill a hundred pages. */
const PRINTED = 5000;

/** A table with more rows starts with similar rows in groups. */
const GROUPED_FROM = 20;

/** The height of the detail of a row until it is measured. */
const DETAIL = 400;

export type DataColumn<Row> = {
  id: string;
  label: string;
  term?: Term;
  /** The explanation, if the column has no term. */
  about?: string;
  numeric?: boolean;
  /** The kind of text, which decides how it wraps: a sentence from the report, or a name. */
  text?: 'prose' | 'name';
  /** Whether this column names the row. The keyboard moves along its cells. */
  names?: boolean;
  /** Whether the column is shown by default. */
  shown?: boolean;
  /** The value, which is also saved. Null is an empty cell. */
  value: (row: Row, index: number) => number | string | null;
  /** What sorting compares, if not the value. Null sorts last in both directions. */
  sortBy?: (row: Row, index: number) => number | string | null;
  /** Formats the numbers. By default, all have the same number of decimals. */
  format?: (value: number) => string;
  cell?: (row: Row, index: number) => ComponentChildren;
};

/** A row of chips. The table shows the rows whose `of` matches a pressed chip, or all rows if none is pressed. */
export type Chips<Row> = { label: string; of: (row: Row) => string; names: Readonly<Record<string, string>> };

/** The column that a table is sorted by, and whether in descending order. */
export type Order = { column: string; down: boolean };

type Props<Row> = {
  label: string;
  noun: string;
  rows: readonly Row[];
  columns: readonly DataColumn<Row>[];
  /** The text that the filter searches. */
  text: (row: Row) => string;
  chips?: readonly Chips<Row>[];
  /** The key of the group of a row. Without it, nothing is grouped. */
  group?: (row: Row) => string;
  /** Whether the table starts with groups. By default, it does if there are many rows. */
  grouped?: boolean;
  /** The detail that a row opens below itself. */
  detail?: (row: Row) => ComponentChildren;
  /** Called when a row without a detail is chosen. */
  onChoose?: (row: Row) => void;
  /** A row to open, show and focus. Each request is a new object. */
  target?: { site: number } | null;
  /** The first part of the name of a saved table. */
  file?: string;
};

export function DataTable<Row>(props: Props<Row>) {
  const { label, noun, rows, columns, text, chips = [], group, detail, onChoose, target, file } = props;
  const natural = columns[0]?.id ?? '';
  const [needle, setNeedle] = useState('');
  const [pressed, setPressed] = useState<ReadonlySet<string>>(new Set());
  const [order, setOrder] = useState<Order>({ column: natural, down: false });
  const [grouping, setGrouping] = useState(props.grouped ?? rows.length > GROUPED_FROM);
  const [openGroups, setOpenGroups] = useState<ReadonlySet<string>>(new Set());
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(new Set());
  const [heights, setHeights] = useState<ReadonlyMap<number, number>>(new Map());
  const [active, setActive] = useState(0);
  const [going, setGoing] = useState<{ place: number } | { row: number } | null>(null);
  const [choosing, setChoosing] = useState(false);
  const chosen = useColumns(label, columns);
  const prints = printing.value;
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);

  const alike = useMemo(() => {
    const keys = group ? rows.map(group) : [];
    return new Set(keys).size < keys.length ? keys : null;
  }, [rows]);
  const kept = useMemo(() => filtered(rows, text, needle, chips, pressed), [rows, needle, pressed]);
  const ordered = useMemo(() => sorted(rows, kept, columns, order), [rows, kept, order]);
  const list = useMemo(
    () => entries(ordered, grouping && !prints ? alike : null, openGroups),
    [ordered, alike, grouping, openGroups, prints],
  );
  const formats = useMemo(
    () =>
      new Map(
        columns.map((column) => [
          column.id,
          column.format ?? (column.numeric ? aligned(rows.map((row, index) => numberOf(column.value(row, index)))) : String),
        ]),
      ),
    [rows, columns],
  );
  const long = list.length > (prints ? PRINTED : LONG);
  const tall = useMemo(
    () =>
      list.flatMap((entry, place) =>
        'row' in entry && expanded.has(entry.row) ? [[place, heights.get(entry.row) ?? DETAIL] as const] : [],
      ),
    [list, expanded, heights],
  );
  const seen = useWindow(long, box, list.length, tall);
  const widths = useMemo(
    () => (long ? chosen.shown.map((column) => widthOf(column, rows, formats.get(column.id) ?? String)) : null),
    [long, rows, chosen.shown],
  );

  // After a change of the filter or the order, the table starts at the top. A link sets its own place.
  const restart = () => {
    setActive(0);
    if (box.current) box.current.scrollTop = 0;
  };

  useEffect(() => {
    const row = target ? rows[target.site] : undefined;
    if (!target || row === undefined) return;
    setNeedle('');
    setPressed(new Set());
    setExpanded(new Set(expanded).add(target.site));
    if (group) setOpenGroups(new Set(openGroups).add(group(row)));
    setGoing({ row: target.site });
  }, [target]);

  // Goes to a row once it is in the document. If the window has to move first, that takes one more render.
  useLayoutEffect(() => {
    if (!going) return;
    const place = 'place' in going ? going.place : list.findIndex((entry) => 'row' in entry && entry.row === going.row);
    if (place < 0) return;
    if (place !== active) setActive(place);
    const button = body.current?.querySelector<HTMLElement>(`[data-place="${place}"]`);
    if (!button) return seen.show(place);
    setGoing(null);
    if (long) seen.show(place);
    button.focus({ preventScroll: long });
    button.scrollIntoView({ block: 'nearest' });
  }, [going, list, seen.first, seen.last]);

  // If the row with the focus scrolls out of the document, the box takes the focus, so that the arrow keys scroll it.
  const hadFocus = useRef(false);
  useLayoutEffect(() => {
    if (hadFocus.current && document.activeElement === document.body) box.current?.focus({ preventScroll: true });
    hadFocus.current = body.current?.contains(document.activeElement) ?? false;
  });

  const go = (place: number) => setGoing({ place: Math.min(list.length - 1, Math.max(0, place)) });

  function choose(entry: Entry, open?: boolean): void {
    if ('group' in entry) return setOpenGroups(toggled(openGroups, entry.group, open));
    const row = rows[entry.row];
    if (row === undefined) return;
    if (!detail) return onChoose?.(row);
    setExpanded(toggled(expanded, entry.row, open));
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
      End: list.length - 1,
    };
    const to = moves[event.key];
    const entry = list[place];
    const opens = entry && ('group' in entry || detail !== undefined);
    if (to !== undefined) go(to);
    else if (opens && event.key === 'ArrowRight') choose(entry, true);
    else if (opens && event.key === 'ArrowLeft') choose(entry, false);
    else return;
    event.preventDefault();
  };

  const onRowClick = (event: MouseEvent, entry: Entry) => {
    const clicked = event.target as HTMLElement;
    // Ignore clicks that end a text selection, and clicks on buttons.
    if (clicked.closest('button, a') || getSelection()?.isCollapsed === false) return;
    choose(entry);
  };

  /** The shown columns of all rows, filtered and sorted, as lines of cells with full numbers. */
  const lines = (): string[][] => [
    chosen.shown.map((column) => column.label),
    ...ordered.map((index) => chosen.shown.map((column) => String(column.value(rows[index] as Row, index) ?? ''))),
  ];

  const roving = Math.min(Math.max(active, seen.first), Math.max(seen.first, seen.last - 1));
  const nothing = rows.length === 0 ? `No ${noun}s.` : `No ${noun} matches the filter.`;

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
        {chips.map((chipGroup) => (
          <ChipRow
            key={chipGroup.label}
            group={chipGroup}
            rows={rows}
            pressed={pressed}
            onPress={(chip) => {
              setPressed(toggled(pressed, chip));
              restart();
            }}
          />
        ))}
        <p class="tally" role="status">
          {kept.length === rows.length
            ? `${count(rows.length)} ${noun}${rows.length === 1 ? '' : 's'}`
            : `${count(kept.length)} of ${count(rows.length)} ${noun}s`}
        </p>
        <div class="buttons small">
          {alike && (
            <button
              type="button"
              class="button quiet"
              aria-pressed={grouping}
              onClick={() => {
                setGrouping(!grouping);
                restart();
              }}
            >
              Group blocks
            </button>
          )}
          {usually(columns).length < columns.length && (
            <button type="button" class="button quiet" aria-expanded={choosing} onClick={() => setChoosing(!choosing)}>
              Columns
            </button>
          )}
          <CopyButton text={() => tabbed(lines())} what={label} />
          <button
            type="button"
            class="button quiet"
            aria-label={`Download CSV: ${label}`}
            onClick={() => saveText(csv(lines()), 'text/csv', `${file ? `${file}-` : ''}${noun}s.csv`)}
          >
            CSV
          </button>
        </div>
      </div>
      {choosing && <ColumnChooser columns={columns} chosen={chosen} />}
      <div class={long ? 'scroll long' : 'scroll'} role="region" aria-label={`Table: ${label}`} tabIndex={0} ref={box}>
        <table
          aria-label={label}
          aria-rowcount={list.length + 1}
          style={widths ? { minWidth: `${widths.reduce((sum, width) => sum + width, 0)}ch` } : {}}
        >
          {widths && (
            <colgroup>
              {widths.map((width, index) => (
                <col key={index} style={chosen.shown[index]?.names ? {} : { width: `${width}ch` }} />
              ))}
            </colgroup>
          )}
          <thead>
            <tr aria-rowindex={1}>
              {chosen.shown.map((column) => (
                <Heading
                  key={column.id}
                  column={column}
                  order={order}
                  onSort={() => {
                    setOrder(nextOrder(order, column.id, natural));
                    restart();
                  }}
                />
              ))}
            </tr>
          </thead>
          <tbody ref={body} onKeyDown={onKeyDown}>
            {seen.above > 0 && <Spacer height={seen.above} columns={chosen.shown.length} />}
            {list.slice(seen.first, seen.last).map((entry, offset) => {
              const place = seen.first + offset;
              const isGroup = 'group' in entry;
              const open = isGroup ? openGroups.has(entry.group) : expanded.has(entry.row);
              const key = isGroup ? `group ${entry.group}` : entry.row;
              const row = isGroup ? undefined : rows[entry.row];
              return [
                <tr
                  key={key}
                  aria-rowindex={place + 2}
                  class={[open && !isGroup && 'open', isGroup && 'group', !isGroup && entry.inside && 'inside'].filter(Boolean).join(' ')}
                  onClick={(event) => onRowClick(event, entry)}
                >
                  {chosen.shown.map((column) => {
                    const format = formats.get(column.id) ?? String;
                    const shown = isGroup
                      ? groupCell(column, entry, rows, format)
                      : rowCell(column, row as Row, entry.row, format);
                    return column.names ? (
                      <th key={column.id} scope="row">
                        <button
                          type="button"
                          class="opens"
                          data-place={place}
                          tabIndex={place === roving ? 0 : -1}
                          aria-expanded={isGroup || detail ? open : undefined}
                          onFocus={() => setActive(place)}
                          onClick={() => choose(entry)}
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
                open && !isGroup && detail && (
                  <Detail
                    key={`${key} detail`}
                    columns={chosen.shown.length}
                    onHeight={(height) => {
                      if (long) setHeights((now) => (now.get(entry.row) === height ? now : new Map(now).set(entry.row, height)));
                    }}
                  >
                    {detail(row as Row)}
                  </Detail>
                ),
              ];
            })}
            {seen.below > 0 && <Spacer height={seen.below} columns={chosen.shown.length} />}
            {list.length === 0 && (
              <tr>
                <td colSpan={chosen.shown.length} class="nothing muted">
                  {nothing}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </div>
  );
}

const numberOf = (value: number | string | null) => (typeof value === 'number' ? value : null);

/** The set with `item` added or removed. */
function toggled<Item>(set: ReadonlySet<Item>, item: Item, present = !set.has(item)): ReadonlySet<Item> {
  const next = new Set(set);
  if (present) next.add(item);
  else next.delete(item);
  return next;
}

/** The first click on a heading sorts ascending, the second descending, the third as at the start. */
function nextOrder({ column, down }: Order, id: string, natural: string): Order {
  if (column !== id) return { column: id, down: false };
  return down ? { column: natural, down: false } : { column: id, down: true };
}
