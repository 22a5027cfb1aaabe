//! Files that the user dropped.

use crate::js::{get, text};
use gammascope::source::{ByteSource, SourceError};
use js_sys::{Error, Uint8Array};
use std::ops::Range;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A dropped file, read in slices.
#[derive(Debug, Clone)]
pub struct BlobSource {
    path: String,
    file: web_sys::Blob,
}

impl BlobSource {
    /// Returns the browser's `File`.
    pub fn file(&self) -> &JsValue {
        &self.file
    }
}

impl ByteSource for BlobSource {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> u64 {
        // JavaScript stores bytes as doubles, which are exact up to 2⁵³.
        self.file.size() as u64
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let refuse = |error: JsValue| SourceError::Refused {
            file: self.path.clone(),
            offset: range.start,
            reason: error.dyn_ref::<Error>().map_or_else(
                || "the browser gave no reason".to_owned(),
                |error| String::from(error.message()).trim_end_matches('.').to_owned(),
            ),
        };
        let slice = self.file.slice_with_f64_and_f64(range.start as f64, range.end as f64).map_err(refuse)?;
        let buffer = JsFuture::from(slice.array_buffer()).await.map_err(refuse)?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

/// Reads an entry `{ path, file }`. An error if it has no file.
pub fn dropped(entry: &JsValue) -> Result<BlobSource, Error> {
    let file =
        get(entry, "file").dyn_into().map_err(|_| Error::new("each entry needs a file: { path, file }"))?;
    Ok(BlobSource { path: text(entry, "path").unwrap_or_default(), file })
}
