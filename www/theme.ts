/** Dark, light, or whatever the system says; the choice survives a reload where the browser lets it. */
import { signal } from '@preact/signals';

const KEY = 'gammascope.theme';
const THEMES = ['auto', 'light', 'dark'] as const;

export type Theme = (typeof THEMES)[number];

/** The theme the user has chosen. */
export const theme = signal<Theme>(stored());

/** Storage may be forbidden altogether: then the choice lasts as long as the page. */
function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((name) => name === value) ?? 'auto';
  } catch {
    return 'auto';
  }
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    return;
  }
}

/** Keeps the document in the chosen theme; style.css does the rest. */
export function applyTheme(): void {
  theme.subscribe((name) => {
    if (name === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = name;
  });
}
