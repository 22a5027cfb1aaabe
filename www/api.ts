/** The page from code: what `window.gammascope` offers. */
import type { Openable } from './files';
import type { Device } from './protocol';
import type { AdapterReport, Comparison, MeasurementPlan, Report, RunOptions, RunPlan } from './report';

export interface Api {
  /**
   * Opens a checkpoint as a drop would, for example `await gammascope.open(input.files)`. With `weights: false` only
   * headers and norm tensors are read, otherwise also a sample of the weights, 64 MB at most; left out, the page's own
   * setting decides. Rejects with the sentence shown.
   *
   * A string is a link that holds a report (`…#report=…`), or an address: the URL of a file, an index or a folder, or `org/model[@revision]` on `hub` (the public one where
   * it is left out). Its host is asked for headers and norm tensors; `token` goes to that host alone. The weights of a remote
   * checkpoint are not sampled.
   */
  open(
    files: Openable | string,
    options?: { weights?: boolean; token?: string; hub?: string },
  ): Promise<Report>;

  /**
   * A link to this page that holds the open report: nothing of it reaches a host. `names: false` leaves out the names of files,
   * tensors and sites; `as: 'html'` gives the report as one HTML file instead.
   */
  share(options?: { as?: 'link' | 'html'; names?: boolean }): Promise<string>;

  /** What `measure` with the same arguments would take: sites, bytes, operations, memory, seconds. */
  plan(activations: File, options?: { site?: string; device?: Device }): Promise<MeasurementPlan>;

  /**
   * Measures the open checkpoint's norms on a file of activations, matched by name or all of one `site`. The covariance is
   * computed on the faster of GPU and CPU by default; its bits are the same. Rejects with the sentence shown.
   */
  measure(activations: File, options?: { site?: string; device?: Device }): Promise<Report>;

  /** What `verify` with the same options would take: bytes, operations, memory, seconds. */
  planVerify(options?: Partial<RunOptions> & { files?: File[]; device?: Device }): Promise<RunPlan>;

  /**
   * Runs the model of the open checkpoint, block by block from its files, and measures its norms and its residual stream: on the
   * sample text where there is a tokenizer.json, on uniform token ids, on noise, or on `files`: a text, ids, images. With a `seed` the same
   * architecture with random weights is run too, and held beside it. Rejects with the sentence shown.
   */
  verify(options?: Partial<RunOptions> & { files?: File[]; device?: Device; seed?: number }): Promise<Report>;

  /**
   * Compares the open checkpoint with another one, given as for `open`: changes are counted from the open one, which stays
   * open. Its weights are sampled where those of the open one were. Rejects with the sentence shown.
   */
  compare(files: Openable | string, options?: { token?: string; hub?: string }): Promise<Comparison>;

  /** Measures what an adapter of the open checkpoint wastes: its safetensors file, or PEFT's. Rejects with the sentence shown. */
  adapter(files: Openable): Promise<AdapterReport>;

  /** The kernel directions of these sites, or of all, as a safetensors file or as JSON. Rejects with the sentence. */
  export(options?: { sites?: string[]; format?: 'safetensors' | 'json' }): Promise<Blob>;
}

declare global {
  interface Window {
    gammascope: Api;
  }
}
