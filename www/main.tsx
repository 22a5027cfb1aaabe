/** Mounts the page and gives code the same way in as a drop. */
import { render } from 'preact';
import './api';
import { entriesOf } from './files';
import { measure, open, plan } from './state';
import { applyTheme } from './theme';
import { App } from './views/app';

window.gammascope = {
  open: (files, options) => open(() => entriesOf(files), options?.weights),
  plan: (file, options) => plan({ path: file.name, file }, options),
  measure: (file, options) => measure({ path: file.name, file }, options),
};

applyTheme();

const mount = document.getElementById('app');
if (mount) render(<App />, mount);
