//! Bytes that are already in memory: small companions fetched by the caller, and tests.

use super::{ByteSource, SourceError};
use std::ops::Range;

/// A named byte string.
#[derive(Debug, Clone)]
pub struct MemorySource {
    path: String,
    bytes: Vec<u8>,
}

impl MemorySource {
    /// Names the bytes.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl ByteSource for MemorySource {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let end = range.end.min(self.length()) as usize;
        let start = range.start.min(end as u64) as usize;
        Ok(self.bytes[start..end].to_vec())
    }
}
