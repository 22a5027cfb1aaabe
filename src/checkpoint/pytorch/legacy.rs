//! The stream that torch.save wrote before PyTorch 1.6: four pickles (a magic number, a version, the machine that wrote it, the
//! object), a fifth with the keys of the storages, then the storages, each after a count of its elements.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::pickle::{Id, Machine, Outcome, Value};
use super::{MAX_PICKLE_BYTES, Place, Places, PyTorchProblem, Stop, element};
use crate::source::{ByteSource, Meter};
use std::collections::HashMap;
use std::ops::Range;

/// The one version there is.
const VERSION: i64 = 1001;

/// Least bytes of one read.
const SMALLEST_CHUNK: u64 = 4 * 1024;
/// Most bytes of one read.
const LARGEST_CHUNK: u64 = 256 * 1024;
/// A read may be one part in this many of the pickles passed so far.
const GROWTH: u64 = 16;

/// Bytes of the count before each storage.
const COUNT_BYTES: u64 = 8;

/// Reads the pickles one after the other.
struct Stream<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    /// Bytes of the file from `start`, where the next pickle begins.
    bytes: Vec<u8>,
    start: u64,
}

impl<S: ByteSource> Stream<'_, S> {
    /// Reads the next pickle's value.
    async fn next(&mut self, machine: &mut Machine) -> Result<Id, Stop> {
        machine.restart();
        loop {
            match machine.run(&self.bytes) {
                Ok(Outcome::Done(value, end)) => {
                    self.bytes.drain(..end);
                    self.start = self.start.saturating_add(end as u64);
                    return Ok(value);
                }
                Ok(Outcome::More) => self.more().await?,
                Err((at, problem)) => {
                    let byte = self.start.saturating_add(at as u64);
                    return Err(PyTorchProblem::Pickle { byte, problem }.into());
                }
            }
        }
    }

    async fn more(&mut self) -> Result<(), Stop> {
        let (at, length) = (self.start.saturating_add(self.bytes.len() as u64), self.source.length());
        if at >= length {
            return Err(PyTorchProblem::PickleTruncated { length }.into());
        }
        if self.bytes.len() as u64 >= MAX_PICKLE_BYTES {
            return Err(PyTorchProblem::PickleTooLarge { bytes: self.bytes.len() as u64 }.into());
        }
        let ahead = (at / GROWTH).clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
        self.bytes.extend(self.meter.read(self.source, at..at.saturating_add(ahead).min(length)).await?);
        Ok(())
    }
}

/// Reads the value of the pickle at the start of a file.
pub(super) async fn first<S: ByteSource>(
    meter: &Meter,
    source: &S,
    machine: &mut Machine,
) -> Result<Id, Stop> {
    Stream { meter, source, bytes: Vec::new(), start: 0 }.next(machine).await
}

/// Reads the stream: the object, and where the storages lie.
pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<(Machine, Id, Places), Stop> {
    let mut stream = Stream { meter, source, bytes: Vec::new(), start: 0 };
    let mut machine = Machine::default();
    // The magic number, which the caller has already seen.
    stream.next(&mut machine).await?;
    let version = stream.next(&mut machine).await?;
    if machine.int(version) != Some(VERSION) {
        return Err(PyTorchProblem::StreamVersion.into());
    }
    let system = stream.next(&mut machine).await?;
    if let Value::Dict(pairs) = machine.value(system) {
        let is_big =
            |(key, value): &(Id, Id)| machine.text(*key) == Some("little_endian") && machine.is_false(*value);
        if pairs.iter().any(is_big) {
            return Err(PyTorchProblem::BigEndian.into());
        }
    }
    let object = stream.next(&mut machine).await?;
    let declared = declared(&machine)?;
    let keys = stream.next(&mut machine).await?;
    let keys: Vec<String> = machine
        .members(keys)
        .unwrap_or_default()
        .iter()
        .filter_map(|key| match machine.value(*key) {
            Value::Text(key) => Some(key.to_string()),
            Value::Int(key) => Some(key.to_string()),
            _ => None,
        })
        .collect();
    let length = source.length();
    let (mut at, mut places, mut counts) = (stream.start, Places::new(), Vec::new());
    for key in keys {
        let Some(&(count, size)) = declared.get(key.as_str()) else {
            return Err(PyTorchProblem::StorageUnknown { key }.into());
        };
        counts.push((key.clone(), at..at.saturating_add(COUNT_BYTES), count));
        let start = at.saturating_add(COUNT_BYTES);
        let end = count.checked_mul(size).and_then(|bytes| start.checked_add(bytes));
        let Some(end) = end.filter(|end| *end <= length) else {
            return Err(PyTorchProblem::StorageTruncated { key, length }.into());
        };
        places.insert(key.into(), Place::At(start..end));
        at = end;
    }
    // If the storages end with the file, their counts are what the pickle says. Reading the counts would take a request each.
    if at != length {
        check(meter, source, counts).await?;
    }
    Ok((machine, object, places))
}

/// Elements of each storage that the object refers to, and bytes of one.
fn declared(machine: &Machine) -> Result<HashMap<Box<str>, (u64, u64)>, PyTorchProblem> {
    let mut declared = HashMap::new();
    for id in 0..machine.len() {
        let Value::Storage(storage) = machine.value(id as Id) else { continue };
        let size = element(storage.kind.unwrap_or("uint8")).1;
        let own = (storage.count, size);
        if *declared.entry(storage.key.clone()).or_insert(own) != own {
            return Err(PyTorchProblem::StorageTwice { key: storage.key.to_string() });
        }
    }
    Ok(declared)
}

async fn check<S: ByteSource>(
    meter: &Meter,
    source: &S,
    counts: Vec<(String, Range<u64>, u64)>,
) -> Result<(), Stop> {
    let ranges: Vec<Range<u64>> = counts.iter().map(|(_, range, _)| range.clone()).collect();
    let mut read = Vec::new();
    meter.read_many(source, &ranges, |at, bytes| read.push((at, bytes))).await;
    for (at, bytes) in read {
        let (key, _, count) = &counts[at];
        if bytes? != count.to_le_bytes() {
            return Err(PyTorchProblem::StorageMiscounted { key: key.clone(), count: *count }.into());
        }
    }
    Ok(())
}
