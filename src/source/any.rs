//! A file of a checkpoint, wherever it is: on this machine, behind an address, in memory, or unreadable.

use super::generated::GeneratedSource;
use super::http::{Fault, HttpSource, Transport};
use super::memory::MemorySource;
use super::{ByteSource, SourceError, Transfer};
use futures_util::FutureExt;
use std::ops::Range;

/// A requested file that could not be read. The files beside it are still used.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// What messages call it.
    pub path: String,
    /// Why.
    pub fault: Fault,
}

/// One file. `L` is the type of a file on this machine.
#[derive(Debug, Clone)]
pub enum AnySource<L, T: Transport> {
    /// On this machine.
    Local(L),
    /// Behind an address, read by ranges.
    Remote(HttpSource<T>),
    /// Fetched whole: an index or a configuration.
    Whole(MemorySource),
    /// Computed while it is read.
    Generated(GeneratedSource),
    /// Behind an address that failed.
    Unreadable(Unreadable),
}

impl<L: ByteSource, T: Transport> ByteSource for AnySource<L, T> {
    fn path(&self) -> &str {
        match self {
            Self::Local(source) => source.path(),
            Self::Remote(source) => source.path(),
            Self::Whole(source) => source.path(),
            Self::Generated(source) => source.path(),
            Self::Unreadable(source) => &source.path,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Local(source) => source.length(),
            Self::Remote(source) => source.length(),
            Self::Whole(source) => source.length(),
            Self::Generated(source) => source.length(),
            // Long enough that it is read, which gives the error.
            Self::Unreadable(_) => u64::from(u32::MAX),
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Local(source) => source.read(range).await,
            // On the heap: otherwise the large future of the network would be part of every future that reads.
            Self::Remote(source) => source.read(range).boxed_local().await,
            Self::Whole(source) => source.read(range).await,
            Self::Generated(source) => source.read(range).await,
            Self::Unreadable(source) => Err(SourceError::Remote(Box::new(source.fault.clone()))),
        }
    }

    fn bridged(&self) -> u64 {
        match self {
            Self::Local(source) => source.bridged(),
            Self::Remote(source) => source.bridged(),
            Self::Whole(source) => source.bridged(),
            Self::Generated(source) => source.bridged(),
            Self::Unreadable(_) => 0,
        }
    }

    async fn read_many(
        &self,
        ranges: &[Range<u64>],
        mut each: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        match self {
            Self::Local(source) => source.read_many(ranges, each).await,
            Self::Remote(source) => source.read_many(ranges, each).boxed_local().await,
            Self::Whole(source) => source.read_many(ranges, each).await,
            Self::Generated(source) => source.read_many(ranges, each).await,
            Self::Unreadable(_) => {
                for (index, range) in ranges.iter().enumerate() {
                    each(index, self.read(range.clone()).await);
                }
            }
        }
    }

    fn transfer(&self) -> Option<Transfer> {
        match self {
            Self::Local(source) => source.transfer(),
            Self::Remote(source) => source.transfer(),
            Self::Generated(_) | Self::Whole(_) | Self::Unreadable(_) => None,
        }
    }
}
