/** The cells of a table: of one row, of a group of rows, and as lines of a file. */
import type { ComponentChildren } from 'preact';
import { count } from '../format';
import { Name } from './name';
import { Prose } from './prose';
import type { DataColumn } from './table';
import { sorted } from './table-entries';

/** How many rows decide the width of a column in a long table. */
const LOOKED_AT = 2000;

/** The largest width of a column in a long table, in characters. */
const WIDEST = 26;

/** The width of the column with names in a long table, in characters. */
const NAME = 34;

/** A cell of one row. */
export function rowCell<Row>(column: DataColumn<Row>, row: Row, index: number, format: (value: number) => string): ComponentChildren {
  if (column.cell) return column.cell(row, index);
  const value = column.value(row, index);
  if (value === null) return column.numeric ? '–' : '';
  if (typeof value === 'number') return format(value);
  return column.text === 'prose' ? <Prose>{value}</Prose> : value;
}

/** A cell of a group: the common value, the range, or the number of different values. */
export function groupCell<Row>(
  column: DataColumn<Row>,
  { group, members }: { group: string; members: readonly number[] },
  rows: readonly Row[],
  format: (value: number) => string,
): ComponentChildren {
  if (column.names) {
    return (
      <>
        <Name>{group}</Name> <span class="muted">× {count(members.length)}</span>
      </>
    );
  }
  const values = members.map((index) => column.value(rows[index] as Row, index));
  const distinct = [...new Set(values.filter((value) => value !== null))];
  const first = members[0];
  if (distinct.length <= 1 && first !== undefined) {
    const at = members.find((index) => column.value(rows[index] as Row, index) !== null) ?? first;
    return rowCell(column, rows[at] as Row, at, format);
  }
  const numbers = distinct.filter((value) => typeof value === 'number');
  if (numbers.length === distinct.length) {
    // A spread of 100,000 arguments overflows the stack.
    const [least, most] = [Math.min, Math.max].map((of) => format(numbers.reduce((one, other) => of(one, other))));
    return least === most ? least : `${least} … ${most}`;
  }
  if (distinct.length <= 3) return distinct.join(', ');
  const order = column.sortBy;
  if (!order) return `${count(distinct.length)} different`;
  const ordered = sorted(rows, members, [column], { column: column.id, down: false }).filter((index) => order(rows[index] as Row, index) !== null);
  const ends = [ordered[0], ordered.at(-1)].flatMap((index) => (index === undefined ? [] : [column.value(rows[index] as Row, index)]));
  return ends.join(' … ');
}

/** The width of a column in a long table, in characters. The rows in the document change, so they cannot decide it. */
export function widthOf<Row>(column: DataColumn<Row>, rows: readonly Row[], format: (value: number) => string): number {
  if (column.names) return NAME;
  const step = Math.max(1, Math.floor(rows.length / LOOKED_AT));
  let widest = column.label.length + 3;
  for (let index = 0; index < rows.length; index += step) {
    const value = column.value(rows[index] as Row, index);
    const shown = typeof value === 'number' ? format(value) : (value ?? '');
    widest = Math.max(widest, shown.length + 3);
  }
  return Math.min(widest, WIDEST);
}

/** Adds an apostrophe to a name that begins like a formula, so that no spreadsheet computes it. */
const text = (cell: string): string => (/^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell)) ? `'${cell}` : cell);

/** Lines of cells as CSV (RFC 4180). */
export function csv(lines: string[][]): string {
  const quoted = (cell: string) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return lines.map((line) => `${line.map((cell) => quoted(text(cell))).join(',')}\n`).join('');
}

/** Lines of cells separated by tabs, to paste into a spreadsheet. */
export const tabbed = (lines: string[][]): string =>
  lines.map((line) => line.map((cell) => text(cell).replace(/[\t\n\r]/g, ' ')).join('\t')).join('\n');
