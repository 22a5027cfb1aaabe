//! Walks the fields of a protobuf message forwards through a file, in chunks. Bulky fields are passed over: only their places are
//! noted.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::proto::{Action, Builder, Kind};
use super::varint::{VARINT_BYTES, varint};
use super::{OnnxProblem, Stop};
use crate::source::{ByteSource, Meter};

/// Bytes of a read after bulky numbers were passed over: what describes the next tensor is shorter.
const SMALLEST_CHUNK: u64 = 1024;
/// Most bytes of one read.
const LARGEST_CHUNK: u64 = 256 * 1024;

/// Most messages inside each other. A graph inside a node inside a graph takes three.
const MAX_DEPTH: usize = 48;

/// A message that is being read, and where it ends.
struct Open {
    kind: Kind,
    end: u64,
}

/// Gives every field of the model in a file to `builder`, as far as it wants them.
pub(super) async fn walk<S: ByteSource>(
    meter: &Meter,
    source: &S,
    builder: &mut Builder,
) -> Result<(), Stop> {
    let mut cursor = Cursor { meter, source, at: 0, chunk: Vec::new(), start: 0, ahead: SMALLEST_CHUNK };
    let mut open = vec![Open { kind: Kind::Model, end: source.length() }];
    while let Some(&Open { kind, end }) = open.last() {
        if cursor.at >= end {
            open.pop();
            builder.leave(kind)?;
            continue;
        }
        let byte = cursor.at;
        let tag = cursor.varint(end).await?;
        let field = tag >> 3;
        match tag & 7 {
            0 => {
                let value = cursor.varint(end).await?;
                builder.number(kind, field, value)?;
            }
            1 => {
                let value = u64::from_le_bytes(cursor.array(end).await?);
                builder.fixed(kind, field, f64::from_bits(value));
            }
            5 => {
                let value = u32::from_le_bytes(cursor.array(end).await?);
                builder.fixed(kind, field, f64::from(f32::from_bits(value)));
            }
            2 => {
                let length = cursor.varint(end).await?;
                let stop = cursor.at.checked_add(length).ok_or(OnnxProblem::Damaged { byte })?;
                if stop > end {
                    // What reaches beyond the file was cut off. What reaches beyond its message is damage.
                    return Err(match stop > source.length() && open.len() < 3 {
                        true => OnnxProblem::Truncated { byte, end: stop, length: source.length() }.into(),
                        false => OnnxProblem::Damaged { byte }.into(),
                    });
                }
                match kind.action(field) {
                    Action::Enter(_) if open.len() >= MAX_DEPTH => {
                        return Err(OnnxProblem::TooDeep { byte }.into());
                    }
                    Action::Enter(inner) => {
                        builder.enter(kind, inner, field)?;
                        open.push(Open { kind: inner, end: stop });
                    }
                    Action::Keep(most) => {
                        let range = cursor.at..stop;
                        let bytes = match length <= most {
                            true => Some(cursor.take(length).await?),
                            false => None,
                        };
                        builder.bytes(kind, field, range, bytes)?;
                        cursor.at = stop;
                    }
                    Action::Skip => cursor.at = stop,
                }
            }
            _ => return Err(OnnxProblem::Damaged { byte }.into()),
        }
    }
    Ok(())
}

/// A place in a file.
struct Cursor<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    /// The next byte.
    at: u64,
    /// Bytes of the file from `start`.
    chunk: Vec<u8>,
    start: u64,
    /// Bytes of the last read. Reads in sequence grow.
    ahead: u64,
}

impl<S: ByteSource> Cursor<'_, S> {
    /// The next bytes: at least `wanted`, or all that the file still has.
    async fn next(&mut self, wanted: u64) -> Result<&[u8], Stop> {
        let end = self.at.saturating_add(wanted).min(self.source.length());
        let read = self.start.saturating_add(self.chunk.len() as u64);
        if self.at < self.start || end > read {
            let in_sequence = self.start <= self.at && self.at <= read && !self.chunk.is_empty();
            self.ahead = match in_sequence {
                true => self.ahead.saturating_mul(2).min(LARGEST_CHUNK),
                false => SMALLEST_CHUNK,
            };
            let stop = self.at.saturating_add(self.ahead.max(wanted)).min(self.source.length());
            self.chunk = self.meter.read(self.source, self.at..stop).await?;
            self.start = self.at;
        }
        let from = self.at.saturating_sub(self.start) as usize;
        Ok(self.chunk.get(from..).unwrap_or_default())
    }

    /// The next `count` bytes, which lie inside the file.
    async fn take(&mut self, count: u64) -> Result<Vec<u8>, Stop> {
        let byte = self.at;
        let next = self.next(count).await?;
        let taken = next.get(..count as usize).ok_or(OnnxProblem::Damaged { byte })?.to_vec();
        self.at = self.at.saturating_add(count);
        Ok(taken)
    }

    async fn array<const N: usize>(&mut self, end: u64) -> Result<[u8; N], Stop> {
        let byte = self.at;
        if self.at.saturating_add(N as u64) > end {
            return Err(OnnxProblem::Damaged { byte }.into());
        }
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N as u64).await?);
        Ok(array)
    }

    /// A variable-length number that ends at or before `end`.
    async fn varint(&mut self, end: u64) -> Result<u64, Stop> {
        let byte = self.at;
        let damaged = OnnxProblem::Damaged { byte };
        let next = self.next(VARINT_BYTES as u64).await?;
        let (value, length) = varint(next).ok_or_else(|| damaged.clone())?;
        self.at = self.at.saturating_add(length as u64);
        if self.at > end { Err(damaged.into()) } else { Ok(value) }
    }
}
