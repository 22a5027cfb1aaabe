//! ONNX files: a protobuf message with the graph of a network and its tensors (`wire.rs` walks the message, `proto.rs` keeps what is
//! needed of it as the parts of `raw.rs`, `calls.rs` puts functions in place of their calls, `made.rs` makes the model, and `graph.rs` is
//! the graph as plain data).
//!
//! The walk is our own. `rten-onnx` and `onnx-rs` decode a message from a blocking reader or from a whole file in memory, and copy
//! every matrix on the way. Here a file of gigabytes may lie behind an address or in a browser: the walk reads by ranges, awaits each,
//! notes where the numbers of a tensor lie and passes over them. Numbers outside the file (external data) are read where they lie.
//!
//! Integers of shape computations and single numbers stay in the graph, but are no tensors of the catalogue.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

mod calls;
mod external;
pub mod graph;
mod made;
mod proto;
mod raw;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
pub(crate) mod tests;
mod varint;
mod wire;

use super::CheckpointError;
use super::header::Entry;
use crate::source::{ByteSource, Meter, SourceError};

/// Most bytes of memory for what is kept of a file: this, and so many times its length. Names take most of it, in files whose matrices
/// lie elsewhere.
const KEPT: u64 = 10 << 20;
const KEPT_TIMES: u64 = 10;

/// Why a file cannot be read as an ONNX file: what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct OnnxError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: Box<OnnxProblem>,
}

/// What is wrong with an ONNX file. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum OnnxProblem {
    #[error(
        "the part of the model at byte {byte} goes on to byte {end}, but the file has only {length}; it was cut off, download it again"
    )]
    Truncated { byte: u64, end: u64, length: u64 },
    #[error("byte {byte} is no valid part of an ONNX model; the file is damaged or not ONNX")]
    Damaged { byte: u64 },
    #[error("at byte {byte} graphs lie inside each other deeper than in any network; the file is damaged")]
    TooDeep { byte: u64 },
    #[error("the file has more nodes, tensors or names than any network; it is damaged")]
    TooMany,
    #[error("the file has no graph, so it is not an ONNX model; open the file that has the weights")]
    NoGraph,
    #[error("tensor {tensor:?} of shape {shape:?} has more values than a file can hold; the file is damaged")]
    SizeOverflow { tensor: String, shape: Vec<u64> },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and type {dtype} takes {expected} bytes, but the file has {got} for it (from byte {begin}); the file is damaged"
    )]
    SizeMismatch { tensor: String, shape: Vec<u64>, dtype: String, begin: u64, expected: u64, got: u64 },
    #[error(
        "tensor {tensor:?} lies in another file, but its place there ({key} {value:?}) is no number; export the model again"
    )]
    ExternalPlace { tensor: String, key: String, value: String },
}

/// Why reading ended.
enum Stop {
    Problem(OnnxProblem),
    Source(SourceError),
}

impl From<OnnxProblem> for Stop {
    fn from(problem: OnnxProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    /// Tensors whose numbers are in the file.
    pub(super) entries: Vec<Entry>,
    pub(super) beside: Beside,
}

/// What a file has beside tensors of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beside {
    /// The graph.
    graph: graph::Graph,
    /// Other files by their paths from the file's folder, each with the tensors whose numbers it has. Their byte ranges are checked
    /// against their shapes, and not yet against that file.
    external: Vec<(String, Vec<Entry>)>,
}

/// Reads the graph of a file and where its tensors lie, without their numbers.
pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Model, CheckpointError> {
    let most = source.length().saturating_mul(KEPT_TIMES).saturating_add(KEPT);
    let mut builder = proto::Builder::new(most);
    let walked = wire::walk(meter, source, &mut builder).await;
    let model = walked.and_then(|()| builder.model().map_err(Stop::Problem));
    model.map_err(|stop| match stop {
        Stop::Problem(problem) => {
            OnnxError { file: source.path().to_owned(), problem: Box::new(problem) }.into()
        }
        Stop::Source(error) => error.into(),
    })
}
