//! Files on a local disk, read by position (pread), never mapped and never whole.

use super::aside::aside;
use super::coalesce::WIDEST_GAP;
use super::{ByteSource, SourceError};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Least bytes of a read that gets its own thread, so that computation can go on beside it.
const LARGE: u64 = 1 << 20;

/// An open file.
#[derive(Debug)]
pub struct DiskSource {
    path: String,
    length: u64,
    file: Arc<File>,
}

impl DiskSource {
    /// Opens `location`; `path` is what messages call it.
    pub fn open(location: &Path, path: impl Into<String>) -> Result<Self, SourceError> {
        let path = path.into();
        let refuse = |error: io::Error| SourceError::Refused {
            file: path.clone(),
            offset: 0,
            reason: error.to_string(),
        };
        let file = File::open(location).map_err(refuse)?;
        let length = file.metadata().map_err(refuse)?.len();
        Ok(Self { path, length, file: Arc::new(file) })
    }
}

impl ByteSource for DiskSource {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> u64 {
        self.length
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let offset = range.start;
        // Allocated here, not on the thread: memory that a thread allocates stays with it after it is freed.
        let bytes = vec![0; (range.end - offset) as usize];
        let found = if (bytes.len() as u64) < LARGE {
            read(&self.file, offset, bytes)
        } else {
            let file = Arc::clone(&self.file);
            let died = || Err(io::Error::other("the thread that read it ended"));
            aside(move || read(&file, offset, bytes)).await.unwrap_or_else(died)
        };
        found.map_err(|error| SourceError::Refused {
            file: self.path.clone(),
            offset,
            reason: error.to_string(),
        })
    }

    fn bridged(&self) -> u64 {
        WIDEST_GAP
    }
}

/// Fills `bytes` from `offset` on. Returns fewer if the file ends before.
fn read(file: &File, offset: u64, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut filled = 0;
    while filled < bytes.len() {
        match read_at(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
