//! All that the files of a checkpoint hold: every tensor, their metadata and the configuration.

use serde::Serialize;

/// The tensors, column by column: a checkpoint may have 100,000 of them. Rows are sorted by name, numbers in their numeric order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Contents {
    /// Name of each tensor, as it is in the file.
    pub names: Vec<String>,
    /// Every element type that occurs.
    pub dtypes: Vec<String>,
    /// For each tensor, its place in `dtypes`.
    pub dtype: Vec<u32>,
    /// Every shape that occurs, outermost dimension first.
    #[cfg_attr(test, ts(type = "Array<Array<number>>"))]
    pub shapes: Vec<Vec<u64>>,
    /// For each tensor, its place in `shapes`.
    pub shape: Vec<u32>,
    /// For each tensor, the bytes that it takes in its file.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    pub bytes: Vec<u64>,
    /// Path of each file.
    pub files: Vec<String>,
    /// For each tensor, its place in `files`.
    pub file: Vec<u32>,
    /// For each tensor, its first byte in that file.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    pub offset: Vec<u64>,
    /// The configurations, and what the files say of themselves.
    pub documents: Vec<Document>,
}

/// A configuration, or the metadata of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Document {
    /// The file that it is, or that it is in.
    pub path: String,
    /// Whether it is the metadata inside a file of weights.
    pub metadata: bool,
    /// What it says. Long texts are cut, and of the lists in a GGUF file only the length is known.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub fields: serde_json::Value,
}
