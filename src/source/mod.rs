//! Positioned reads of untrusted bytes. Reads are counted here and nowhere else.
//!
//! A source knows its name, its length and how to read a range. It knows nothing of file formats, and offsets are
//! `u64` throughout: on wasm32 a `usize` would end at 4 GiB.

mod any;
#[cfg(not(target_arch = "wasm32"))]
mod aside;
mod coalesce;
#[cfg(not(target_arch = "wasm32"))]
pub mod disk;
pub mod generated;
pub mod http;
pub mod memory;
pub mod url;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use std::cell::Cell;
use std::ops::Range;

pub use any::{AnySource, Unreadable};
pub use coalesce::coalesce;

/// A read that did not return the requested bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The file ended before the range did: it was shortened or deleted since it was opened.
    #[error(
        "`{file}` gave {got} of the {wanted} bytes from byte {offset}: it changed while it was read; open it again"
    )]
    Short {
        /// The file.
        file: String,
        /// First byte of the range.
        offset: u64,
        /// Length of the range.
        wanted: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The system refused the read.
    #[error(
        "`{file}` could not be read at byte {offset}: {reason}; check that the file was not changed, moved or deleted, and that it may be read"
    )]
    Refused {
        /// The file.
        file: String,
        /// First byte of the range.
        offset: u64,
        /// The system's own words.
        reason: String,
    },
    /// What was read does not fit the rest of the file.
    #[error("`{file}`: {problem}; the file is damaged, so download it or write it again")]
    Unfit {
        /// The file.
        file: String,
        /// What does not fit, and where.
        problem: String,
    },
    /// An address could not be read.
    #[error(transparent)]
    Remote(#[from] Box<http::Fault>),
}

impl SourceError {
    /// Whether a token, or a different one, would open it.
    pub fn wants_token(&self) -> bool {
        matches!(self, Self::Remote(fault) if fault.problem.wants_token())
    }
}

/// What was transferred over a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What was opened, without anything secret.
    pub address: String,
    /// Requests made, failed ones included.
    pub requests: u32,
    /// Bytes of the bodies that came.
    pub bytes: u64,
}

/// Runs all of `work`, at most `most` at a time. One function serves all kinds of work, because each compiled copy adds kilobytes
/// to the page.
pub(crate) fn at_once<'a>(most: usize, work: Vec<LocalBoxFuture<'a, ()>>) -> LocalBoxFuture<'a, ()> {
    stream::iter(work).buffer_unordered(most).collect::<()>().boxed_local()
}

/// A file that can be read at any position.
///
/// Futures need not be `Send`: the browser's are not, and natively each checkpoint is read on one thread.
#[allow(async_fn_in_trait, reason = "the futures are deliberately not Send; see above")]
pub trait ByteSource {
    /// Path as the user gave it, relative to what was opened; forward slashes.
    fn path(&self) -> &str;

    /// Length in bytes when it was opened.
    fn length(&self) -> u64;

    /// Reads exactly the bytes of `range`, or fails.
    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError>;

    /// Reads several ranges as [`ByteSource::read`] would, and passes each to `each` with its index as it comes. If reads are
    /// expensive, several may become one.
    async fn read_many(
        &self,
        ranges: &[Range<u64>],
        mut each: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        for (index, range) in ranges.iter().enumerate() {
            each(index, self.read(range.clone()).await);
        }
    }

    /// Up to this many bytes between two reads, one read is faster than two. Large over a network and in a browser.
    fn bridged(&self) -> u64 {
        1 << 20
    }

    /// What was transferred over a network so far. `None` without a network.
    fn transfer(&self) -> Option<Transfer> {
        None
    }
}

/// Counts the bytes that reads have returned.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: Cell<u64>,
}

impl Meter {
    /// Reads `range` from `source` and counts it. Every read of the library goes through here.
    pub async fn read(&self, source: &impl ByteSource, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        self.count(source, &range, source.read(range.clone()).await)
    }

    /// Reads `ranges` from `source` and counts them, as [`ByteSource::read_many`] does.
    pub async fn read_many(
        &self,
        source: &impl ByteSource,
        ranges: &[Range<u64>],
        mut each: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        source.read_many(ranges, |index, bytes| each(index, self.count(source, &ranges[index], bytes))).await;
    }

    fn count(
        &self,
        source: &impl ByteSource,
        range: &Range<u64>,
        bytes: Result<Vec<u8>, SourceError>,
    ) -> Result<Vec<u8>, SourceError> {
        let (offset, wanted) = (range.start, range.end - range.start);
        let bytes = bytes?;
        let got = bytes.len() as u64;
        self.bytes.set(self.bytes.get() + got);
        if got == wanted {
            Ok(bytes)
        } else {
            Err(SourceError::Short { file: source.path().to_owned(), offset, wanted, got })
        }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}
