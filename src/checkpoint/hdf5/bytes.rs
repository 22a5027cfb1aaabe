//! The bytes of a file in any order. What describes the arrays lies between their values, so the file is read by small pages.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::{Hdf5Problem, Stop};
use crate::source::{ByteSource, Meter};
use std::collections::HashMap;

/// A page has 2¹² bytes.
const PAGE_BITS: u32 = 12;
const PAGE: u64 = 4096;

/// Most pages that are kept.
const MOST_PAGES: usize = 1024;

/// Bytes that a file may describe beyond twice its own.
const SMALL: u64 = 1 << 16;

pub(super) struct Reader<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    pages: HashMap<u64, Vec<u8>>,
    /// Bytes that structures and names may still have. Those of a sound file do not overlap, so that they end before this does, and
    /// structures that refer to each other in a circle end too.
    left: u64,
}

impl<'a, S: ByteSource> Reader<'a, S> {
    pub(super) fn new(meter: &'a Meter, source: &'a S) -> Self {
        let left = source.length().saturating_mul(2).saturating_add(SMALL);
        Self { meter, source, pages: HashMap::new(), left }
    }

    pub(super) fn length(&self) -> u64 {
        self.source.length()
    }

    /// Counts bytes of structures and names.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Hdf5Problem> {
        self.left = self.left.checked_sub(bytes).ok_or(Hdf5Problem::TooMuch)?;
        Ok(())
    }

    /// The `count` bytes from `at`, which belong to `what`.
    pub(super) async fn take(&mut self, what: &'static str, at: u64, count: u64) -> Result<Vec<u8>, Stop> {
        let end = at.checked_add(count).filter(|end| *end <= self.length());
        let end = end.ok_or(Hdf5Problem::Damaged { what, byte: at })?;
        self.spend(count)?;
        if count > PAGE {
            return Ok(self.meter.read(self.source, at..end).await?);
        }
        let mut bytes = Vec::with_capacity(count as usize);
        let mut next = at;
        while next < end {
            let page = next.wrapping_shr(PAGE_BITS);
            let start = page.wrapping_shl(PAGE_BITS);
            let whole = self.page(page).await?;
            let from = next.saturating_sub(start) as usize;
            let to = end.saturating_sub(start).min(PAGE) as usize;
            bytes.extend_from_slice(whole.get(from..to).ok_or(Hdf5Problem::Damaged { what, byte: at })?);
            next = start.saturating_add(PAGE);
        }
        Ok(bytes)
    }

    async fn page(&mut self, page: u64) -> Result<&[u8], Stop> {
        if !self.pages.contains_key(&page) {
            if self.pages.len() >= MOST_PAGES {
                self.pages.clear();
            }
            let start = page.wrapping_shl(PAGE_BITS);
            let end = start.saturating_add(PAGE).min(self.length());
            let read = self.meter.read(self.source, start..end).await?;
            self.pages.insert(page, read);
        }
        Ok(self.pages.get(&page).map(Vec::as_slice).unwrap_or_default())
    }
}

/// Numbers of a structure, the least significant byte first. Each method returns `None` behind its end.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    /// Whether these bytes come next. They are passed.
    pub(super) fn begin_with(&mut self, expected: &[u8]) -> Option<()> {
        (self.take(expected.len())? == expected).then_some(())
    }

    /// A number of at most eight bytes.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut whole = [0; 8];
        whole.get_mut(..bytes)?.copy_from_slice(self.take(bytes)?);
        Some(u64::from_le_bytes(whole))
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        Some(*self.take(1)?.first()?)
    }
}
