/** A choice of the user that survives a reload where the browser lets it. */
import { type Signal, signal } from '@preact/signals';

/** A signal that holds one of `values`, remembered under `key`. */
export function stored<Value extends string>(key: string, values: readonly Value[], otherwise: Value): Signal<Value> {
  const choice = signal(remembered(key, values) ?? otherwise);
  choice.subscribe((value) => {
    // Storage may be forbidden altogether: then the choice lasts as long as the page.
    try {
      if (value === otherwise) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      return;
    }
  });
  return choice;
}

function remembered<Value extends string>(key: string, values: readonly Value[]): Value | undefined {
  try {
    const value = localStorage.getItem(key);
    return values.find((name) => name === value);
  } catch {
    return undefined;
  }
}

/** A list of words that was remembered under `key`. */
export function rememberedList(key: string): string[] | null {
  try {
    return localStorage.getItem(key)?.split(',').filter(Boolean) ?? null;
  } catch {
    return null;
  }
}

/** Remembers a list of words, or forgets it. */
export function rememberList(key: string, words: readonly string[] | null): void {
  try {
    if (words === null) localStorage.removeItem(key);
    else localStorage.setItem(key, words.join(','));
  } catch {
    return;
  }
}
