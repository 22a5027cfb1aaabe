/** Mounts the page and defines `window.gammascope`. */
import { render } from 'preact';
import './api';
import { type Openable, entriesOf, readLink } from './files';
import { open } from './intake';
import { receive } from './launched';
import './state/controller';
import { measure, measuring, plan } from './state/measuring';
import { unfoldForPrint } from './print';
import type { Entry } from './protocol';
import { keepPlace } from './state/place';
import { share } from './state/sharing';
import { applyTheme } from './theme';
import { App } from './views/app';

type Together = typeof import('./together');

/** Loads the code for comparisons, adapters and exports when it is needed. */
async function withTogether<Result>(ask: (together: Together) => Promise<Result>): Promise<Result> {
  return ask(await import('./together'));
}

/** The entries of files, of an address, or of a link to the page. */
function given(files: Openable | string, access: { token?: string; hub?: string } = {}): Entry[] {
  if (typeof files !== 'string') return entriesOf(files);
  const linked = readLink(files.slice(files.indexOf('#')));
  return [linked ? linked.entry : { address: files, ...access }];
}

window.gammascope = {
  open(files, { weights, ...access } = {}) {
    return open(() => given(files, access), weights);
  },
  plan: (file, options) => plan({ path: file.name, file }, options),
  measure: (file, options) => measure({ path: file.name, file }, options),
  planVerify: (options) => import('./running').then(({ planRun }) => planRun(options)),
  verify: (options) => import('./running').then(({ verify }) => verify(options)),
  share: (options) => share(options),
  compare: (files, access) =>
    withTogether(({ compare }) => compare(() => given(files, access))),
  adapter: (files) => withTogether(({ weighAdapter }) => weighAdapter(entriesOf(files))),
  export: ({ sites, format = 'safetensors' } = {}) => withTogether(({ exportKernels }) => exportKernels(sites, format)),
};

// During a measurement, the browser asks before it leaves the page.
window.addEventListener('beforeunload', (event) => {
  if (measuring.value) event.preventDefault();
});

applyTheme();

keepPlace();
unfoldForPrint();

const mount = document.getElementById('app');
if (mount) render(<App />, mount);

receive();
