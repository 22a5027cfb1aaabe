/** Which columns a table shows: a few by default, others by choice. The choice is stored for each table. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { explanations, fetchExplanations } from '../state/explanations';
import { rememberList, rememberedList } from '../stored';
import type { DataColumn } from './table';

type Chosen<Row> = { shown: readonly DataColumn<Row>[]; choose: (id: string, shown: boolean) => void };

/** The shown columns, in the order of the table. The column that names the row is always shown. */
export function useColumns<Row>(table: string, columns: readonly DataColumn<Row>[]): Chosen<Row> {
  const key = `gammascope.columns.${table}`;
  const usual = usually(columns).map(({ id }) => id);
  const [ids, setIds] = useState<readonly string[]>(() => rememberedList(key) ?? usual);
  return {
    shown: useMemo(() => columns.filter(({ id, names }) => names || ids.includes(id)), [columns, ids]),
    choose(id, shown) {
      const next = shown ? [...ids, id] : ids.filter((other) => other !== id);
      setIds(next);
      rememberList(key, next.length === usual.length && usual.every((one) => next.includes(one)) ? null : next);
    },
  };
}

/** The columns shown by default. If the table marks none as shown, all are. */
export function usually<Row>(columns: readonly DataColumn<Row>[]): readonly DataColumn<Row>[] {
  return columns.some(({ shown }) => shown) ? columns.filter(({ shown, names }) => shown || names) : columns;
}

type Props<Row> = { columns: readonly DataColumn<Row>[]; chosen: Chosen<Row> };

/** The list of columns to choose from, each with its explanation. */
export function ColumnChooser<Row>({ columns, chosen: { shown, choose } }: Props<Row>) {
  useEffect(fetchExplanations, []);
  return (
    <fieldset class="choices">
      <legend class="sr-only">Columns</legend>
      {columns.map(
        (column) =>
          !column.names && (
            <label key={column.id}>
              <input
                type="checkbox"
                checked={shown.includes(column)}
                onChange={(event) => choose(column.id, event.currentTarget.checked)}
              />
              <span>
                <b>{column.label}</b> <span class="muted">{column.about ?? (column.term && explanations.value?.[column.term])}</span>
              </span>
            </label>
          ),
      )}
    </fieldset>
  );
}
