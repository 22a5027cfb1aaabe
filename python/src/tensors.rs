//! Tensors in the memory of Python, as a safetensors file that is never written: the header is made here, and Python is asked for the
//! bytes of a tensor when they are read.

use gammascope::source::{ByteSource, SourceError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Map, json};
use std::ops::Range;
use std::sync::Arc;

/// Up to this many bytes between two reads, one call into Python is faster than two.
const BRIDGED: u64 = 16 << 10;

/// Tensors as Python hands them over.
#[derive(FromPyObject)]
pub(crate) struct Tensors {
    /// What the report calls them: the name of a file.
    path: String,
    /// Name, type as safetensors spells it, shape, and bytes of each.
    entries: Vec<(String, String, Vec<u64>, u64)>,
    /// `read(index, start, end)` returns these bytes of the tensor at this index.
    read: Py<PyAny>,
}

/// The same as a file.
#[derive(Debug, Clone)]
pub(crate) struct TensorSource(Arc<File>);

#[derive(Debug)]
struct File {
    path: String,
    header: Vec<u8>,
    /// Where each tensor lies in the file.
    places: Vec<Range<u64>>,
    length: u64,
    read: Py<PyAny>,
}

impl TensorSource {
    pub(crate) fn new(tensors: Tensors) -> Self {
        let Tensors { path, entries, read } = tensors;
        let (mut header, mut places, mut end) = (Map::new(), Vec::new(), 0);
        for (name, dtype, shape, bytes) in entries {
            let begin = end;
            end += bytes;
            header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, end] }));
            places.push(begin..end);
        }
        let text = serde_json::Value::Object(header).to_string();
        let header = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let first = header.len() as u64;
        let places = places.into_iter().map(|place| first + place.start..first + place.end).collect();
        Self(Arc::new(File { path, header, places, length: first + end, read }))
    }
}

impl File {
    /// Returns the bytes of `range` by asking Python for the part of each tensor in it.
    fn bytes(&self, range: Range<u64>) -> PyResult<Vec<u8>> {
        let header = self.header.len() as u64;
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        if range.start < header {
            bytes.extend(&self.header[range.start as usize..range.end.min(header) as usize]);
        }
        let first = self.places.partition_point(|place| place.end <= range.start);
        Python::attach(|py| {
            for (index, place) in self.places.iter().enumerate().skip(first) {
                if place.start >= range.end {
                    break;
                }
                let start = range.start.max(place.start) - place.start;
                let end = range.end.min(place.end) - place.start;
                if start < end {
                    let read = self.read.bind(py).call1((index, start, end))?;
                    bytes.extend(read.cast::<PyBytes>()?.as_bytes());
                }
            }
            Ok(bytes)
        })
    }
}

impl ByteSource for TensorSource {
    fn path(&self) -> &str {
        &self.0.path
    }

    fn length(&self) -> u64 {
        self.0.length
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.0.bytes(range.clone()).map_err(|error| SourceError::Refused {
            file: self.0.path.clone(),
            offset: range.start,
            reason: error.to_string(),
        })
    }

    fn bridged(&self) -> u64 {
        BRIDGED
    }
}
