/** Choices of the user that survive a reload, if the browser has storage. */
import { type Signal, signal } from '@preact/signals';

/** A signal that holds one of `values`, remembered under `key`. */
export function stored<Value extends string>(key: string, values: readonly Value[], otherwise: Value): Signal<Value> {
  const choice = signal(remembered(key, values) ?? otherwise);
  choice.subscribe((value) => {
    // If storage is forbidden, the choice lasts as long as the page.
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

/** The list of words stored under `key`. */
export function rememberedList(key: string): string[] | null {
  try {
    return localStorage.getItem(key)?.split(',').filter(Boolean) ?? null;
  } catch {
    return null;
  }
}

/** Stores a list of words, or removes it. */
export function rememberList(key: string, words: readonly string[] | null): void {
  try {
    if (words === null) localStorage.removeItem(key);
    else localStorage.setItem(key, words.join(','));
  } catch {
    return;
  }
}
