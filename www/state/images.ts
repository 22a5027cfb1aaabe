/** Images that were dropped while a model was on show: its next run is on them. */
import { signal } from '@preact/signals';

export const images = signal<File[]>([]);
