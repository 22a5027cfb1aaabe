//! Tensors whose values lie in several places: chunks that follow each other along the first dimension.
//!
//! Such a tensor gets a range of addresses behind the end of every file. Other code reads that range of one shard, as for any other
//! tensor, and the parts come from where they are. Nothing is copied before it is read.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use crate::source::{ByteSource, Meter, SourceError};
use std::ops::Range;

/// The first address. No file is as long.
pub(super) const FIRST: u64 = 1 << 62;

/// A part of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) shard: usize,
    pub(super) range: Range<u64>,
}

impl Piece {
    fn length(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

/// The pieces behind the addresses, without gaps.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The first address of each piece.
    starts: Vec<u64>,
    pieces: Vec<Piece>,
}

impl Joined {
    fn end(&self) -> u64 {
        let last = self.starts.last().zip(self.pieces.last());
        last.map_or(FIRST, |(start, piece)| start.saturating_add(piece.length()))
    }

    /// The addresses of these pieces, one after the other.
    pub(super) fn add(&mut self, pieces: Vec<Piece>) -> Range<u64> {
        let begin = self.end();
        for piece in pieces {
            self.starts.push(self.end());
            self.pieces.push(piece);
        }
        begin..self.end()
    }

    /// What lies behind a range of addresses.
    pub(super) fn parts(&self, range: &Range<u64>) -> Vec<Piece> {
        let mut parts = Vec::new();
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        for (start, piece) in self.starts.iter().zip(&self.pieces).skip(first) {
            if *start >= range.end {
                break;
            }
            let skipped = range.start.saturating_sub(*start).min(piece.length());
            let taken = range.end.saturating_sub(*start).min(piece.length());
            if skipped < taken {
                let at = |offset: u64| piece.range.start.saturating_add(offset);
                parts.push(Piece { shard: piece.shard, range: at(skipped)..at(taken) });
            }
        }
        parts
    }

    /// Reads ranges of addresses, and passes each to `each` with its index.
    pub(super) async fn read_many<S: ByteSource>(
        &self,
        meter: &Meter,
        shards: &[S],
        ranges: &[Range<u64>],
        mut each: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        let parts: Vec<Vec<Piece>> = ranges.iter().map(|range| self.parts(range)).collect();
        let mut wanted: Vec<(usize, u64, usize, usize)> = Vec::new();
        for (index, parts) in parts.iter().enumerate() {
            for (part, piece) in parts.iter().enumerate() {
                wanted.push((piece.shard, piece.range.start, index, part));
            }
        }
        wanted.sort_unstable();
        let mut read: Vec<Vec<Vec<u8>>> = parts.iter().map(|parts| vec![Vec::new(); parts.len()]).collect();
        let mut failed: Vec<Option<SourceError>> = vec![None; ranges.len()];
        for of_shard in wanted.chunk_by(|a, b| a.0 == b.0) {
            let places: Vec<Range<u64>> =
                of_shard.iter().map(|&(_, _, index, part)| parts[index][part].range.clone()).collect();
            let take = |at: usize, bytes: Result<Vec<u8>, SourceError>| {
                let (_, _, index, part) = of_shard[at];
                match bytes {
                    Ok(bytes) => read[index][part] = bytes,
                    Err(error) => failed[index] = Some(error),
                }
            };
            meter.read_many(&shards[of_shard[0].0], &places, take).await;
        }
        for (index, (parts, error)) in read.into_iter().zip(failed).enumerate() {
            each(index, error.map_or_else(|| Ok(parts.concat()), Err));
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
mod tests {
    use super::*;
    use crate::source::memory::MemorySource;

    #[test]
    fn a_range_of_addresses_gives_the_bytes_of_its_pieces() {
        let shards =
            [MemorySource::new("a", b"abcdefgh".to_vec()), MemorySource::new("b", b"ABCDEFGH".to_vec())];
        let piece = |shard, range: Range<u64>| Piece { shard, range };
        let mut joined = Joined::default();
        let one = joined.add(vec![piece(1, 2..4), piece(0, 0..3), piece(1, 5..5), piece(1, 7..8)]);
        let two = joined.add(vec![piece(0, 6..8)]);
        assert_eq!((one.clone(), two.clone()), (FIRST..FIRST + 6, FIRST + 6..FIRST + 8));
        let ranges = [one, FIRST + 1..FIRST + 4, two, FIRST + 5..FIRST + 7, FIRST + 3..FIRST + 3];
        let mut read = vec![String::new(); ranges.len()];
        pollster::block_on(joined.read_many(&Meter::default(), &shards, &ranges, |at, bytes| {
            read[at] = String::from_utf8(bytes.unwrap()).unwrap();
        }));
        assert_eq!(read, ["CDabcH", "Dab", "gh", "Hg", ""]);
    }
}
