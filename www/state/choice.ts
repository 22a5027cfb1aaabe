/** A question to the user who drops two things at once. */
import { signal } from '@preact/signals';

/** Two things that were dropped at once, while somebody is asked what they are. */
export const choice = signal<{ names: [string, string]; choose: (compare: boolean) => void } | null>(null);
