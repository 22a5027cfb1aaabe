/** Whether the page is being printed. */
import { signal } from '@preact/signals';

/** While true, tables show every row and nothing is folded. */
export const printing = signal(false);
