/** Whether the page is being printed. */
import { signal } from '@preact/signals';

/** While it is, tables show every row, and nothing is folded away. */
export const printing = signal(false);
