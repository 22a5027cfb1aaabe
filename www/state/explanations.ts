/** The explanations of terms. They load when they may be needed, not at the start. */
import { signal } from '@preact/signals';
import type { Term } from '../terms';

/** Null until they are loaded. */
export const explanations = signal<Readonly<Record<Term, string>> | null>(null);

/** Loads the explanations once. If that fails, the page works without them, and the next call tries again. */
export function fetchExplanations(): void {
  if (explanations.value) return;
  import('../glossary').then(
    ({ GLOSSARY }) => (explanations.value = GLOSSARY),
    () => undefined,
  );
}
