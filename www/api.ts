/** The page from code: what `window.gammascope` offers. */
import type { Openable } from './files';
import type { Device } from './protocol';
import type { MeasurementPlan, Report } from './report';

export interface Api {
  /**
   * Opens a checkpoint as a drop would, for example `await gammascope.open(input.files)`. With `weights: false` only
   * headers and norm tensors are read, otherwise also a sample of the weights, 64 MB at most; left out, the page's own
   * setting decides. Rejects with the sentence shown.
   */
  open(files: Openable, options?: { weights?: boolean }): Promise<Report>;

  /** What `measure` with the same arguments would take: sites, bytes, operations, memory, seconds. */
  plan(activations: File, options?: { site?: string; device?: Device }): Promise<MeasurementPlan>;

  /**
   * Measures the open checkpoint's norms on a file of activations, matched by name or all of one `site`. The covariance is
   * computed on the faster of GPU and CPU unless told otherwise; its bits are the same. Rejects with the sentence shown.
   */
  measure(activations: File, options?: { site?: string; device?: Device }): Promise<Report>;
}

declare global {
  interface Window {
    gammascope: Api;
  }
}
