/** The page from code: what `window.gammascope` offers. */
import type { Openable } from './files';
import type { Report } from './report';

export interface Api {
  /** Opens a checkpoint as a drop would, for example `await gammascope.open(input.files)`. Rejects with the sentence shown. */
  open(files: Openable): Promise<Report>;
}

declare global {
  interface Window {
    gammascope: Api;
  }
}
