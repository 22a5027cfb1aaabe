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
