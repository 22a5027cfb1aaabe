/** The explanations of terms, fetched when somebody may ask for one: nobody does before there is something to explain. */
import { signal } from '@preact/signals';
import type { Term } from '../terms';

/** Null until they have been fetched. */
export const explanations = signal<Readonly<Record<Term, string>> | null>(null);

/** Fetches them, unless that is done. Where they do not come, the page works without them, and the next call tries again. */
export function fetchExplanations(): void {
  if (explanations.value) return;
  import('../glossary').then(
    ({ GLOSSARY }) => (explanations.value = GLOSSARY),
    () => undefined,
  );
}
