/** The entries of a table: rows that pass its filters, sorted by a column, with similar names in one group. */
import type { Chips, DataColumn, Order } from './table';

const collator = new Intl.Collator('en', { numeric: true });

/** An entry: one row by its index, or a group of rows. */
export type Entry = { row: number; inside: boolean } | { group: string; members: readonly number[] };

/** Replaces each number between dots in a name by a star, so that the same site in all blocks has the same result. */
export function likeNames(name: string): string {
  return name.replace(/(^|[./])\d+(?=[./]|$)/g, '$1*');
}

/** Returns the indices of the rows that pass the text filter and every row of chips. */
export function filtered<Row>(
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

/** Sorts the kept rows by a column. Ties keep their order. */
export function sorted<Row>(
  rows: readonly Row[],
  kept: readonly number[],
  columns: readonly DataColumn<Row>[],
  order: Order,
): number[] {
  const column = columns.find(({ id }) => id === order.column);
  if (!column) return [...kept];
  const key = column.sortBy ?? column.value;
  const keyed = kept.map((index) => ({ index, value: key(rows[index] as Row, index) }));
  const sign = order.down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.value === b.value) return 0;
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

/** The entries of a table. A group has the position of its first row. If it is open, its rows follow. */
export function entries(ordered: readonly number[], keys: readonly string[] | null, open: ReadonlySet<string>): Entry[] {
  if (!keys) return ordered.map((row) => ({ row, inside: false }));
  const groups = new Map<string, number[]>();
  for (const row of ordered) {
    const key = keys[row] ?? '';
    const members = groups.get(key);
    if (members) members.push(row);
    else groups.set(key, [row]);
  }
  return [...groups].flatMap(([group, members]): Entry[] => {
    if (members.length === 1) return members.map((row) => ({ row, inside: false }));
    const rows = open.has(group) ? members.map((row) => ({ row, inside: true })) : [];
    return [{ group, members }, ...rows];
  });
}
