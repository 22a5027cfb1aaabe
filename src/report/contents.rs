//! Everything in the files of a checkpoint: every tensor, the metadata and the configuration.

use serde::Serialize;

/// The tensors, column by column, because a checkpoint may have 100,000 of them. Rows are sorted by name, with numbers in numeric order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Contents {
    /// Name of each tensor in the file.
    pub names: Vec<String>,
    /// Every element type that occurs.
    pub dtypes: Vec<String>,
    /// For each tensor, its index in `dtypes`.
    pub dtype: Vec<u32>,
    /// Every shape that occurs, outermost dimension first.
    #[cfg_attr(test, ts(type = "Array<Array<number>>"))]
    pub shapes: Vec<Vec<u64>>,
    /// For each tensor, its index in `shapes`.
    pub shape: Vec<u32>,
    /// For each tensor, its bytes in the file.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    pub bytes: Vec<u64>,
    /// Path of each file.
    pub files: Vec<String>,
    /// For each tensor, its index in `files`.
    pub file: Vec<u32>,
    /// For each tensor, its first byte in that file.
    #[cfg_attr(test, ts(type = "Array<number>"))]
    pub offset: Vec<u64>,
    /// The configurations, and the metadata of the files.
    pub documents: Vec<Document>,
}

/// A configuration, or the metadata of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Document {
    /// The file of the document.
    pub path: String,
    /// Whether it is the metadata inside a file of weights.
    pub metadata: bool,
    /// Its fields. Long texts are cut. Of lists in a GGUF file only the length is known.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub fields: serde_json::Value,
}
