/** The theme: dark, light, or that of the system. */
import { stored } from './stored';

const THEMES = ['auto', 'light', 'dark'] as const;

/** The theme the user has chosen. */
export const theme = stored('gammascope.theme', THEMES, 'auto');

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
}

/** Applies the chosen theme to the document. styles/tokens.css does the rest. */
export function applyTheme(): void {
  theme.subscribe((name) => {
    if (name === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = name;
  });
}
