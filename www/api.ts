/** The page from code: what `window.gammascope` offers. */
import type { Openable } from './files';
import type { Report } from './report';

export interface Api {
  /**
   * Opens a checkpoint as a drop would, for example `await gammascope.open(input.files)`. With `weights: false` only
   * headers and norm tensors are read, otherwise also a sample of the weights, 64 MB at most; left out, the page's own
   * setting decides. Rejects with the sentence shown.
   */
  open(files: Openable, options?: { weights?: boolean }): Promise<Report>;
}

declare global {
  interface Window {
    gammascope: Api;
  }
}
