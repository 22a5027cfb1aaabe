/** The interface of `window.gammascope`, for code. */
import type { Openable } from './files';
import type { Device } from './protocol';
import type { AdapterReport, Comparison, MeasurementPlan, Report, RunOptions, RunPlan } from './report';

export interface Api {
  /**
   * Opens a checkpoint like a drop, for example `await gammascope.open(input.files)`. It reads headers and norm tensors. With
   * `weights: true` it also reads a sample of the weights, 64 MB at most. Without `weights`, the setting of the page decides.
   * Rejects with the message that the page shows.
   *
   * A string is a link that holds a report (`…#report=…`), or an address: the URL of a file, an index or a folder, or
   * `org/model[@revision]` on `hub` (the public one by default). The page asks its host for headers and norm tensors; `token` goes
   * to that host alone. The weights of a remote checkpoint are not sampled.
   */
  open(
    files: Openable | string,
    options?: { weights?: boolean; token?: string; hub?: string },
  ): Promise<Report>;

  /**
   * Returns a link to this page that holds the open report; the report reaches no host. `names: false` leaves out the names of files,
   * tensors and sites. `as: 'html'` returns the report as one HTML file instead.
   */
  share(options?: { as?: 'link' | 'html'; names?: boolean }): Promise<string>;

  /** Returns what `measure` takes with the same arguments: sites, bytes, operations, memory, seconds. */
  plan(activations: File, options?: { site?: string; device?: Device }): Promise<MeasurementPlan>;

  /**
   * Measures the norms of the open checkpoint on a file of activations, matched by name or all of one `site`. By default the faster of
   * GPU and CPU computes the covariance; both give the same bits. Rejects with the message that the page shows.
   */
  measure(activations: File, options?: { site?: string; device?: Device }): Promise<Report>;

  /** Returns what `verify` takes with the same options: bytes, operations, memory, seconds. */
  planVerify(options?: Partial<RunOptions> & { files?: File[]; device?: Device }): Promise<RunPlan>;

  /**
   * Runs the model of the open checkpoint, block by block from its files, and measures its norms and its residual stream. The input is
   * the sample text if there is a tokenizer.json, uniform token ids, noise, or `files`: a text, ids, images or sounds. With a `seed` it
   * also runs the same architecture with random weights and compares the two. Rejects with the message that the page shows.
   */
  verify(options?: Partial<RunOptions> & { files?: File[]; device?: Device; seed?: number }): Promise<Report>;

  /**
   * Compares the open checkpoint, which stays open, with another one, given as for `open`. Changes count from the open one. If the
   * weights of the open one are sampled, those of the other are too. Rejects with the message that the page shows.
   */
  compare(files: Openable | string, options?: { token?: string; hub?: string }): Promise<Comparison>;

  /** Measures what an adapter of the open checkpoint wastes, from its files. Rejects with the message that the page shows. */
  adapter(files: Openable): Promise<AdapterReport>;

  /** Returns the kernel directions of these sites, or of all, as a safetensors file or as JSON. */
  export(options?: { sites?: string[]; format?: 'safetensors' | 'json' }): Promise<Blob>;
}

declare global {
  interface Window {
    gammascope: Api;
  }
}
