/** Whether the page is on its way to paper. */
import { signal } from '@preact/signals';

/** While it is, tables show every row, and nothing is folded away. */
export const printing = signal(false);
