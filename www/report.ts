// Written by ts-rs from src/report/mod.rs and src/web/mod.rs.

/**
 * What one inspection found.
 */
export type Report = {
  schema: string,
  tool_version: string,
  checkpoint: CheckpointSummary,
  model: ModelSummary,
  norms: Array<NormReport>,
  dead_parameters: DeadParameters,
  verification: Verification | null,
  warnings: Array<Warning>,
};

export type Verification = never;

export type CheckpointSummary = {
  name: string,
  format: string,
  shards: number,
  missing_shards: Array<string>,
  tensors: number,
  parameters: number,
  bytes: number,
  bytes_read: number,
  header_bytes: number,
  norm_bytes: number,
};

export type NormKind = "layernorm" | "rmsnorm" | "other" | "unknown";

export type ModelVerdict = "layernorm" | "rmsnorm" | "mixed" | "other" | "unknown";

export type ModelSummary = {
  family: string | null,
  verdict: ModelVerdict,
  confidence: number,
  sentence: string,
  reasons: Array<string>,
  final_norm: string | null,
  layers: number | null,
  width: number | null,
};

export type NormRole = "final" | "block" | "embedding" | "query_key" | "other";

export type ScaleConvention = "weight" | "one_plus_weight" | "none";

export type NormReport = {
  name: string,
  scale: string | null,
  shift: string | null,
  width: number,
  role: NormRole,
  block: number | null,
  kind: NormKind,
  confidence: number,
  scale_convention: ScaleConvention,
  convention_reason: string,
  evidence: Array<EvidenceReport>,
  kernel: KernelReport,
  readers: Array<ReaderReport>,
  reader_note: string | null,
  problem: string | null,
};

export type EvidenceReport = { source: string, says: NormKind, strength: number, detail: string };

export type KernelForm = "inverse_scale" | "coordinates" | "none" | "unknown";

export type KernelReport = {
  form: KernelForm,
  coordinates: Array<number>,
  participation: number | null,
  max_component: number | null,
  max_index: number | null,
  inverse_norm: number | null,
  scale_min_abs: number | null,
  scale_median_abs: number | null,
  scale_max_abs: number | null,
  condition: number | null,
  near_dead: Array<number>,
  predicted_below_tau: number | null,
};

export type ReaderUse =
  | "query" | "key" | "value" | "fused_attention" | "feed_forward" | "expert"
  | "router" | "unembedding" | "tied_unembedding" | "projection";

export type ReaderReport = {
  name: string,
  use: ReaderUse,
  rows: number,
  parameters: number,
  bias: string | null,
  dead: DeadDirections,
  assumed: string | null,
};

export type DeadDirections = { outright: number, with_bias_shift: number, constant_shift: number, tied: number };

export type DeadParameters = {
  outright: number,
  with_bias_shift: number,
  constant_shift: number,
  tied: number,
  share: number,
  readers: number,
  assumptions: Array<string>,
};

export type Warning = { code: string, message: string, where: string };

export type Progress = { stage: "headers" | "scales", done: number, total: number, bytes_read: number };

export type FigureKind = "kernel_direction" | "scale_distribution" | "site_map" | "soft_spectrum";

export type Mark = { x: number, y: number, row: number };

export type Table = { columns: Array<{ name: string, unit: string | null }>, rows: Array<Array<number | string | null>> };

export type Figure = {
  kind: FigureKind,
  title: string,
  caption: string,
  width: number,
  height: number,
  svg: string,
  marks: Array<Mark>,
  table: Table,
};
