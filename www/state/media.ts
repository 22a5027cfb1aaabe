/** Images or sounds that came with the open model, or were dropped while it was open. Its next run uses them. */
import { signal } from '@preact/signals';

export const media = signal<{ kind: 'images' | 'sounds'; files: File[] } | null>(null);
