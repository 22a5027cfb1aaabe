/** Mounts the page and gives code the same way in as a drop. */
import { render } from 'preact';
import './api';
import { addressOfLink, entriesOf } from './files';
import { address, hub, measure, measuring, open, plan, showAddress } from './state';
import { applyTheme } from './theme';
import { App } from './views/app';

window.gammascope = {
  open(files, { weights, ...access } = {}) {
    return open(() => (typeof files === 'string' ? [{ address: files, ...access }] : entriesOf(files)), weights);
  },
  plan: (file, options) => plan({ path: file.name, file }, options),
  measure: (file, options) => measure({ path: file.name, file }, options),
};

// The browser asks before the page is left with a measurement half done.
window.addEventListener('beforeunload', (event) => {
  if (measuring.value) event.preventDefault();
});

applyTheme();

/** Opens the address that a link to the page names. */
function openLinked(): void {
  const linked = addressOfLink(location.hash);
  if (!linked) return;
  address.value = linked.address;
  hub.value = linked.hub ?? '';
  showAddress();
}

addEventListener('hashchange', openLinked);
openLinked();

const mount = document.getElementById('app');
if (mount) render(<App />, mount);
