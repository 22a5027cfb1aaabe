/** What a screen reader says of what goes on. */
import { signal } from '@preact/signals';

/** A short line for screen readers: said when it changes. */
export const announcement = signal('');
