/** Mounts the page and gives code the same way in as a drop. */
import { render } from 'preact';
import './api';
import { entriesOf, readLink } from './files';
import { measure, measuring, open, plan, share, showLink } from './state';
import { applyTheme } from './theme';
import { App } from './views/app';

window.gammascope = {
  open(files, { weights, ...access } = {}) {
    if (typeof files !== 'string') return open(() => entriesOf(files), weights);
    const linked = readLink(files.slice(files.indexOf('#')));
    return open(() => [linked ? linked.entry : { address: files, ...access }], weights);
  },
  plan: (file, options) => plan({ path: file.name, file }, options),
  measure: (file, options) => measure({ path: file.name, file }, options),
  share: (options) => share(options),
};

// The browser asks before the page is left with a measurement half done.
window.addEventListener('beforeunload', (event) => {
  if (measuring.value) event.preventDefault();
});

applyTheme();

/** Opens what a link to the page names or holds. */
function openLinked(): void {
  const linked = readLink(location.hash);
  if (linked) showLink(linked);
}

addEventListener('hashchange', openLinked);
openLinked();

const mount = document.getElementById('app');
if (mount) render(<App />, mount);
