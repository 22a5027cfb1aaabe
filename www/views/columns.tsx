/** The two columns that every table of sites, readers and writers begins with. */
import { count } from '../format';
import { Name } from './name';
import type { DataColumn } from './table';

/** The position in the order of the network. */
export function order<Row>(): DataColumn<Row> {
  return {
    id: 'order',
    label: '#',
    term: 'order',
    numeric: true,
    value: (_, index) => index + 1,
    format: count,
  };
}

/** The name of a row. */
export function name<Row>(label: string, term: 'site' | 'reader' | 'writer', of: (row: Row) => string): DataColumn<Row> {
  return { id: 'name', label, term, names: true, value: of, cell: (row) => <Name>{of(row)}</Name> };
}
