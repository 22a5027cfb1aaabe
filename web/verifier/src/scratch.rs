//! A scratch in a file of the browser's private storage, which a worker reads and writes at once.

use gammascope::scratch::{Scratch, ScratchError};
use js_sys::Error;
use wasm_bindgen::prelude::*;
use web_sys::{FileSystemReadWriteOptions, FileSystemSyncAccessHandle};

/// A scratch in an open file of the private storage.
#[derive(Debug)]
pub(crate) struct BrowserScratch(pub(crate) FileSystemSyncAccessHandle);

fn at(byte: u64) -> FileSystemReadWriteOptions {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(byte as f64);
    options
}

/// Says why a call failed, or that it did only part of the work.
fn reason(done: Result<f64, JsValue>, bytes: usize) -> Option<String> {
    match done {
        Ok(done) if done == bytes as f64 => None,
        Ok(done) => Some(format!("only {done} bytes of it")),
        Err(error) => Some(
            error
                .dyn_into::<Error>()
                .map_or_else(|error| format!("{error:?}"), |error| String::from(error.message())),
        ),
    }
}

impl Scratch for BrowserScratch {
    fn write(&mut self, place: u64, bytes: &[u8]) -> Result<(), ScratchError> {
        let done = self.0.write_with_u8_array_and_options(bytes, &at(place));
        match reason(done, bytes.len()) {
            None => Ok(()),
            Some(reason) => Err(ScratchError::Write { bytes: bytes.len() as u64, reason }),
        }
    }

    fn read(&mut self, place: u64, bytes: &mut [u8]) -> Result<(), ScratchError> {
        let wanted = bytes.len();
        let done = self.0.read_with_u8_array_and_options(bytes, &at(place));
        match reason(done, wanted) {
            None => Ok(()),
            Some(reason) => Err(ScratchError::Read { bytes: wanted as u64, reason }),
        }
    }
}
