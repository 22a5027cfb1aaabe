//! Gammascope finds the *dead directions* of a transformer from the scales of its norms.
//!
//! LayerNorm outputs y = γ⊙x̂ + β with Σx̂ᵢ = 0, so v = γ⁻¹/‖γ⁻¹‖ is an exact kernel of the centred covariance
//! of y for every input (arXiv 2606.19491). RMSNorm does not subtract the mean and has no such direction.
//!
//! ```
//! use gammascope::inspect::inspect;
//! use gammascope::kernel::direction::Kernel;
//! use gammascope::source::disk::DiskSource;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sources = vec![
//!     DiskSource::open("samples/layernorm/model.safetensors".as_ref(), "model.safetensors")?,
//!     DiskSource::open("samples/layernorm/config.json".as_ref(), "config.json")?,
//! ];
//! let inspection = pollster::block_on(inspect(sources, |_progress| {}))?;
//! assert!(inspection.report.model.sentence.starts_with("LayerNorm model. All 9 norms ignore one direction"));
//!
//! // The direction along which the output of the last norm never varies.
//! let scale = inspection.scales[8].as_ref().ok_or("no scale")?;
//! let Kernel::InverseScale(direction) = Kernel::of(scale, true) else { return Err("no direction".into()) };
//! assert_eq!(direction.largest().0, 126);
//! # Ok(())
//! # }
//! ```
//!
//! Data moves one way, and so do the imports:
//!
//! ```text
//! bytes ── source ──▶ checkpoint ──▶ norm ──▶ kernel ──▶ report ──▶ plot · bin · web
//!            reads        names       which     which      the         shows
//!          positions    and shapes    norms   directions results
//!                            ├──────▶ reader ──▲
//!                            │     what reads a norm
//!                            └──────▶ writer ──▲
//!                                  what writes the stream
//! ```
//!
//! - [`source`]: positioned reads, counted. It knows no formats.
//! - [`checkpoint`]: turns files into one catalogue of tensors with byte ranges.
//! - `quantised` (feature `verify`): decodes the quantised values of GGUF files.
//! - [`norm`]: turns the catalogue into norm sites, each with evidence and a verdict.
//! - `graph` (feature `onnx`): the norm sites and readers that the graph of an ONNX file shows.
//! - [`reader`]: the linear maps that read a site's output.
//! - [`writer`]: the linear maps that write the residual stream, and a sample of their columns.
//! - [`kernel`]: pure mathematics on scales.
//! - [`report`]: the schema of all results. [`inspect`](mod@inspect) builds it.
//! - [`compare`](mod@compare): two inspections side by side. [`export`]: kernel directions as safetensors or JSON. [`adapter`]: how
//!   much of an adapter has no effect.
//! - [`share`]: a report as a link that holds it, or as one HTML file.
//! - [`plot`]: figures as SVG with the table behind them. [`figures`] draws those of an inspection.
//! - `measure` (feature `verify`): measures the outputs of a norm: exact covariance, eigenpairs, the scale-free test.
//! - `model`, `forward`, `cpu` (feature `verify`): what one model is, as data; the streamed forward pass that runs it; and its
//!   operations in f32. `run` makes a report of a run.
//! - `fold` (feature `verify`): the same function with other numbers: folded scales and shifts, centred writers, readers without dead parts.
//! - `gpu` (feature `gpu`): the exact Gram matrix with the same integers as on the CPU, and the operations of a forward pass.
//! - `text`, `image`, `audio` (feature `verify`): from texts, images, frames and sounds to the inputs of models. `pixels` and `sounds`
//!   choose between files, stored values and `noise`.
//! - `order`: sorting and grouping, compiled once; std only, and used everywhere.
//! - `terminal` (feature `cli`), `web/` and `python/` (crates of their own): the boundaries. They may use everything, and nothing depends
//!   on them.

// The terminal names the library as any other program does. So its files also compile inside its tests.
#[cfg(feature = "cli")]
extern crate self as gammascope;

pub mod adapter;
#[cfg(feature = "verify")]
pub mod audio;
pub mod check;
pub mod checkpoint;
pub mod compare;
#[cfg(feature = "verify")]
pub mod cpu;
pub mod export;
pub mod figures;
#[cfg(feature = "verify")]
pub mod fold;
#[cfg(feature = "verify")]
pub mod forward;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "onnx")]
pub mod graph;
#[cfg(feature = "verify")]
pub mod image;
pub mod inspect;
pub mod kernel;
#[cfg(feature = "verify")]
pub mod measure;
#[cfg(feature = "verify")]
pub mod model;
#[cfg(feature = "verify")]
pub mod noise;
pub mod norm;
mod order;
#[cfg(feature = "verify")]
pub mod pixels;
pub mod plot;
#[cfg(feature = "verify")]
pub mod quantised;
pub mod reader;
pub mod report;
#[cfg(feature = "verify")]
pub mod run;
#[cfg(feature = "verify")]
pub mod scratch;
pub mod share;
#[cfg(feature = "verify")]
pub mod sounds;
pub mod source;
pub mod tables;
#[cfg(feature = "cli")]
pub mod terminal;
#[cfg(feature = "verify")]
pub mod text;
#[cfg(test)]
mod typescript;
pub mod writer;
