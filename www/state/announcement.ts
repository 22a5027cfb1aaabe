/** What screen readers say about the state of the page. */
import { signal } from '@preact/signals';

/** A short line. Screen readers read it when it changes. */
export const announcement = signal('');
