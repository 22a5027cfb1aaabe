/** Images or sounds that were dropped while a model was open. Its next run uses them. */
import { signal } from '@preact/signals';

export const media = signal<{ kind: 'images' | 'sounds'; files: File[] } | null>(null);
