//! Walks forwards through the bytes of a header, in chunks, and checks every step against the file's end.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::{GgufProblem, MAX_HEADER_BYTES, MAX_NAME_BYTES, Stop};
use crate::source::{ByteSource, Meter};

/// Least bytes of one read.
const SMALLEST_CHUNK: u64 = 4 * 1024;
/// Most bytes of one read.
const LARGEST_CHUNK: u64 = 256 * 1024;
/// A read may be one part in this many of the header passed so far, so that little is read past its end.
const GROWTH: u64 = 16;

/// A place in a file.
pub(super) struct Cursor<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    /// The next byte.
    at: u64,
    /// Bytes of the file from `start`.
    chunk: Vec<u8>,
    start: u64,
    section: &'static str,
}

impl<'a, S: ByteSource> Cursor<'a, S> {
    pub(super) fn new(meter: &'a Meter, source: &'a S) -> Self {
        Self { meter, source, at: 0, chunk: Vec::new(), start: 0, section: "the metadata" }
    }

    /// Sets what errors call the part that follows.
    pub(super) fn enter(&mut self, section: &'static str) {
        self.section = section;
    }

    /// The next byte's place in the file.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.source.length()
    }

    /// Bytes from here to the file's end.
    pub(super) fn left(&self) -> u64 {
        self.length().saturating_sub(self.at)
    }

    /// The place `count` bytes further. It must lie inside the file and within the largest header.
    fn step(&self, count: u64) -> Result<u64, GgufProblem> {
        if count > self.left() {
            let (byte, wanted, length) = (self.at, count, self.length());
            return Err(GgufProblem::HeaderTruncated { section: self.section, byte, wanted, length });
        }
        let end = self.at.saturating_add(count);
        if end > MAX_HEADER_BYTES { Err(GgufProblem::HeaderTooLarge) } else { Ok(end) }
    }

    /// Passes over `count` bytes without reading them.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Stop> {
        self.at = self.step(count)?;
        Ok(())
    }

    /// Reads the next `count` bytes. `count` is never large.
    async fn take(&mut self, count: u64) -> Result<&[u8], Stop> {
        let end = self.step(count)?;
        if self.at < self.start || end > self.start.saturating_add(self.chunk.len() as u64) {
            let ahead = (self.at / GROWTH).clamp(SMALLEST_CHUNK, LARGEST_CHUNK).max(count);
            let stop = self.at.saturating_add(ahead).min(self.length());
            self.chunk = self.meter.read(self.source, self.at..stop).await?;
            self.start = self.at;
        }
        let from = self.at.saturating_sub(self.start) as usize;
        self.at = end;
        Ok(&self.chunk[from..][..count as usize])
    }

    pub(super) async fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64).await?);
        Ok(array)
    }

    pub(super) async fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array().await?))
    }

    pub(super) async fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array().await?))
    }

    /// The length of a text that lies inside the file.
    async fn text_length(&mut self) -> Result<u64, Stop> {
        let byte = self.at;
        let announced = self.u64().await?;
        if announced > self.left() {
            let length = self.length();
            return Err(GgufProblem::TextPastEnd { section: self.section, byte, announced, length }.into());
        }
        Ok(announced)
    }

    /// Reads a text if it has at most `most` bytes and is UTF-8. Otherwise skips it.
    pub(super) async fn text(&mut self, most: u64) -> Result<Option<String>, Stop> {
        let length = self.text_length().await?;
        if length > most || most == 0 {
            self.skip(length)?;
            return Ok(None);
        }
        Ok(std::str::from_utf8(self.take(length).await?).ok().map(str::to_owned))
    }

    /// Reads a key or the name of a tensor.
    pub(super) async fn name(&mut self) -> Result<String, Stop> {
        let (section, byte) = (self.section, self.at);
        let announced = self.text_length().await?;
        if announced > MAX_NAME_BYTES {
            return Err(GgufProblem::NameTooLong { section, byte, announced }.into());
        }
        let start = self.at;
        let bytes = self.take(announced).await?;
        match std::str::from_utf8(bytes) {
            Ok(name) => Ok(name.to_owned()),
            Err(error) => {
                Err(GgufProblem::NotUtf8 { section, byte: start.saturating_add(error.valid_up_to() as u64) }
                    .into())
            }
        }
    }
}
