/** The parts of a table around its rows: headings, chips, the button that copies, and what a row opens. */
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { count } from '../format';
import type { Chips, DataColumn, Order } from './table';
import { explains } from './term';

/** How long the button says that the text was copied. */
const SAID_MS = 2000;

/** One row with the height of all rows that are not in the document. */
export function Spacer({ height, columns }: { height: number; columns: number }) {
  return (
    <tr class="spacer" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}

type DetailProps = { columns: number; onHeight: (height: number) => void; children: ComponentChildren };

/** The detail of a row. It reports its height, which changes while figures load. */
export function Detail({ columns, onHeight, children }: DetailProps) {
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    const element = row.current;
    if (!element) return;
    const observer = new ResizeObserver(() => onHeight(element.getBoundingClientRect().height));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return (
    <tr class="detail" ref={row}>
      <td colSpan={columns}>
        <div class="panel">{children}</div>
      </td>
    </tr>
  );
}

/** A button that copies a text and says so. */
export function CopyButton({ text, what }: { text: () => string; what: string }) {
  const [said, setSaid] = useState('');
  return (
    <button
      type="button"
      class="button quiet"
      aria-label={said ? `${said}: ${what}` : `Copy: ${what}`}
      onClick={() =>
        navigator.clipboard.writeText(text()).then(
          () => {
            setSaid('Copied');
            setTimeout(() => setSaid(''), SAID_MS);
          },
          () => setSaid('Not allowed'),
        )
      }
    >
      {said || 'Copy'}
    </button>
  );
}

type HeadingProps<Row> = { column: DataColumn<Row>; order: Order; onSort: () => void };

/** A heading that sorts and explains its column. It is a separate component, so that a tooltip redraws only the heading. */
export function Heading<Row>({ column, order, onSort }: HeadingProps<Row>) {
  const sorts = order.column === column.id;
  return (
    <th
      scope="col"
      class={column.numeric ? 'numeric' : ''}
      aria-sort={sorts ? (order.down ? 'descending' : 'ascending') : undefined}
    >
      <button type="button" class="sort" title={column.term ? undefined : column.about} {...(column.term ? explains(column.term) : {})} onClick={onSort}>
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

/** A chip for each value in the rows, with its count. Shows nothing if there are fewer than two values. */
export function ChipRow<Row>({ group, rows, pressed, onPress }: ChipRowProps<Row>) {
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
