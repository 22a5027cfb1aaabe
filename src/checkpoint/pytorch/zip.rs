//! The zip archive that torch.save writes since PyTorch 1.6: which bytes of the file each of its entries is.
//!
//! Only the directory at the end and the pickle are read. Where an entry's bytes begin follows from where the next entry begins,
//! unless a writer left room between them; then its own header is read. Over a network, every header would take a request. So no
//! crate fits: `zip` wants to seek in a blocking reader, and `async_zip` and `rc-zip` read an entry through its header. A stored
//! entry is a range of the file; only the pickle may be compressed.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::{MAX_PICKLE_BYTES, PyTorchProblem, Stop};
use crate::source::{ByteSource, Meter};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The first bytes of an archive, and of the header before each entry.
pub(super) const MAGIC: &[u8; 4] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";
const END_64: &[u8; 4] = b"PK\x06\x06";

/// Bytes of each of these, without the parts of variable length.
const LOCAL_HEADER: u64 = 30;
const DIRECTORY_HEADER: usize = 46;
const END_BYTES: usize = 22;
const LOCATOR_64_BYTES: usize = 20;
const END_64_BYTES: usize = 56;
/// Most bytes of a comment after the end.
const MAX_COMMENT: usize = 65_535;

/// The largest directory that is read: of a million entries.
const MAX_DIRECTORY_BYTES: u64 = 128 << 20;

/// PyTorch begins the bytes of each entry at a multiple of this.
const ALIGNMENT: u64 = 64;

/// Deflate makes a pickle about ten times smaller, not a thousand times.
const MAX_RATIO: u64 = 100;

/// An entry may unpack to this many bytes more than the whole archive has. The tensors of a model are larger than their pickle.
const UNPACKED: u64 = 1 << 20;

/// How an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored,
    Deflated,
    Other(u16),
}

/// One file of the archive.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Entry {
    name: String,
    method: Method,
    /// Whether its lengths are repeated after its bytes.
    repeated: bool,
    crc: u32,
    /// Bytes in the archive, and unpacked.
    packed: u64,
    pub(super) size: u64,
    /// Where its own header begins, and where its bytes begin if that is known.
    header: u64,
    start: Option<u64>,
}

/// The archive's entries, and the folder that all of them lie in.
pub(in crate::checkpoint) struct Archive {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
    /// With its slash.
    folder: String,
}

impl Archive {
    /// Reads the directory of `source`, an archive of torch.save.
    pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Self, Stop> {
        Ok(Self::of(Self::files(meter, source).await?)?)
    }

    /// Reads which files any archive has.
    pub(in crate::checkpoint) async fn files<S: ByteSource>(
        meter: &Meter,
        source: &S,
    ) -> Result<Vec<Entry>, Stop> {
        let length = source.length();
        let usual = const { END_64_BYTES + LOCATOR_64_BYTES + END_BYTES } as u64;
        let mut tail = meter.read(source, length.saturating_sub(usual)..length).await?;
        if end_of(&tail).is_none() && length > usual {
            let longest = usual.saturating_add(MAX_COMMENT as u64);
            tail = meter.read(source, length.saturating_sub(longest)..length).await?;
        }
        let directory = directory(&tail, length)?;
        if directory.end.saturating_sub(directory.start) > MAX_DIRECTORY_BYTES {
            return Err(PyTorchProblem::DirectoryTooLarge.into());
        }
        let bytes = meter.read(source, directory.clone()).await?;
        let mut entries = parse(&bytes)?;
        let unsure = place(&mut entries, directory.start)?;
        let headers: Vec<Range<u64>> = unsure
            .iter()
            .map(|&at| entries[at].header..entries[at].header.saturating_add(LOCAL_HEADER))
            .collect();
        let mut read = vec![None; headers.len()];
        meter.read_many(source, &headers, |at, bytes| read[at] = Some(bytes)).await;
        for (at, header) in unsure.into_iter().zip(read) {
            if let Some(header) = header {
                settle(&mut entries, at, &header?, directory.start)?;
            }
        }
        let mut names = HashSet::with_capacity(entries.len());
        for entry in &entries {
            if !is_sound(&entry.name) {
                return Err(PyTorchProblem::EntryName { entry: entry.name.clone() }.into());
            }
            if !names.insert(entry.name.as_str()) {
                return Err(PyTorchProblem::EntryTwice { entry: entry.name.clone() }.into());
            }
        }
        Ok(entries)
    }

    fn of(entries: Vec<Entry>) -> Result<Self, PyTorchProblem> {
        let places = entries.iter().enumerate().map(|(at, entry)| (entry.name.clone(), at)).collect();
        let folder = entries.iter().find_map(|entry| {
            let folder = entry.name.strip_suffix("data.pkl")?;
            (folder.ends_with('/') && folder.matches('/').count() == 1).then(|| folder.to_owned())
        });
        let folder = folder.ok_or(PyTorchProblem::NoPickle)?;
        Ok(Self { entries, places, folder })
    }

    /// An entry of the archive's folder.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.places.get(&format!("{}{name}", self.folder)).map(|&at| &self.entries[at])
    }

    /// The bytes of an entry that is stored as it is; `None` for one that is compressed.
    pub(in crate::checkpoint) fn range(entry: &Entry) -> Option<Range<u64>> {
        let start = entry.start.filter(|_| entry.method == Method::Stored)?;
        Some(start..start.saturating_add(entry.size))
    }

    /// Reads several small entries and unpacks them.
    pub(super) async fn unpacked<S: ByteSource>(
        meter: &Meter,
        source: &S,
        entries: &[&Entry],
    ) -> Result<Vec<Vec<u8>>, Stop> {
        let mut ranges = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.packed.max(entry.size) > MAX_PICKLE_BYTES {
                return Err(PyTorchProblem::PickleTooLarge { bytes: entry.packed.max(entry.size) }.into());
            }
            let start = entry.start.ok_or_else(|| overlap(entry))?;
            ranges.push(start..start.saturating_add(entry.packed));
        }
        let mut read = vec![None; entries.len()];
        meter.read_many(source, &ranges, |at, bytes| read[at] = Some(bytes)).await;
        let mut all = Vec::with_capacity(entries.len());
        for (entry, bytes) in entries.iter().zip(read) {
            let bytes = bytes.unwrap_or_else(|| Ok(Vec::new()))?;
            all.push(entry.unpack(bytes, source.length().saturating_add(UNPACKED))?);
        }
        Ok(all)
    }
}

impl Entry {
    /// Its name in the archive.
    #[cfg(feature = "more-formats")]
    pub(in crate::checkpoint) fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes as they were before they were compressed. `most` limits their number.
    fn unpack(&self, bytes: Vec<u8>, most: u64) -> Result<Vec<u8>, PyTorchProblem> {
        let damaged = || PyTorchProblem::EntryDamaged { entry: self.name.clone() };
        let unpacked = match self.method {
            Method::Stored => bytes,
            Method::Deflated => {
                if self.size > most.min(self.packed.saturating_mul(MAX_RATIO).saturating_add(1024)) {
                    let (packed, size) = (self.packed, self.size);
                    return Err(PyTorchProblem::EntryTooDense { entry: self.name.clone(), packed, size });
                }
                miniz_oxide::inflate::decompress_to_vec_with_limit(&bytes, self.size as usize)
                    .map_err(|_| damaged())?
            }
            Method::Other(method) => {
                return Err(PyTorchProblem::EntryPacked { entry: self.name.clone(), method });
            }
        };
        let whole = unpacked.len() as u64 == self.size && crc32fast::hash(&unpacked) == self.crc;
        if whole { Ok(unpacked) } else { Err(damaged()) }
    }

    /// The first byte after its own header and its name.
    fn least_start(&self) -> u64 {
        self.header.saturating_add(LOCAL_HEADER).saturating_add(self.name.len() as u64)
    }
}

/// The little-endian number of `N` bytes at `at`.
fn number_at<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(&bytes[at..][..N]);
    u64::from_le_bytes(whole)
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    number_at::<2>(bytes, at)
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    number_at::<4>(bytes, at)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number_at::<8>(bytes, at)
}

/// Where the end record begins among the last bytes of a file.
fn end_of(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_BYTES)?;
    let is_end = |at: &usize| {
        let record = &tail[*at..];
        record.starts_with(END) && END_BYTES.saturating_add(u16_at(record, 20) as usize) == record.len()
    };
    (0..=last).rev().find(is_end)
}

/// Where the directory lies, by the last bytes of a file of `length` bytes.
fn directory(tail: &[u8], length: u64) -> Result<Range<u64>, PyTorchProblem> {
    let end = end_of(tail).ok_or(PyTorchProblem::NoDirectory { length })?;
    let tail_start = length.saturating_sub(tail.len() as u64);
    let record = &tail[end..];
    let (mut size, mut offset, mut behind) =
        (u32_at(record, 12), u32_at(record, 16), tail_start.saturating_add(end as u64));
    let locator = end.checked_sub(LOCATOR_64_BYTES).filter(|&at| tail[at..].starts_with(LOCATOR_64));
    if let Some(locator) = locator {
        let place = u64_at(&tail[locator..], 8);
        let at = place.checked_sub(tail_start).and_then(|at| usize::try_from(at).ok());
        let record = at.and_then(|at| tail.get(at..locator));
        let record = record.filter(|record| record.len() >= END_64_BYTES && record.starts_with(END_64));
        let record = record.ok_or(PyTorchProblem::NoDirectory { length })?;
        (size, offset, behind) = (u64_at(record, 40), u64_at(record, 48), place);
    }
    let stop = offset.checked_add(size).filter(|stop| *stop == behind);
    stop.map(|stop| offset..stop).ok_or(PyTorchProblem::NoDirectory { length })
}

/// The entries of a directory.
fn parse(bytes: &[u8]) -> Result<Vec<Entry>, PyTorchProblem> {
    let mut entries = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let damaged = || PyTorchProblem::DirectoryDamaged { entry: entries.len() };
        if left.len() < DIRECTORY_HEADER || !left.starts_with(DIRECTORY_ENTRY) {
            return Err(damaged());
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(left, at) as usize);
        let behind = &left[DIRECTORY_HEADER..];
        let (text, behind) = behind.split_at_checked(name).ok_or_else(damaged)?;
        let (extra, behind) = behind.split_at_checked(extra).ok_or_else(damaged)?;
        let behind = behind.get(comment..).ok_or_else(damaged)?;
        let text = std::str::from_utf8(text).map_err(|_| damaged())?.to_owned();
        let method = match u16_at(left, 10) {
            // Bit 0: encrypted.
            _ if u16_at(left, 8) & 1 != 0 => Method::Other(u16::MAX),
            0 => Method::Stored,
            8 => Method::Deflated,
            other => Method::Other(other as u16),
        };
        let mut entry = Entry {
            name: text,
            method,
            repeated: u16_at(left, 8) & 8 != 0,
            crc: u32_at(left, 16) as u32,
            packed: u32_at(left, 20),
            size: u32_at(left, 24),
            header: u32_at(left, 42),
            start: None,
        };
        widen(&mut entry, extra).ok_or_else(damaged)?;
        if entry.method == Method::Stored && entry.packed != entry.size {
            return Err(damaged());
        }
        entries.push(entry);
        left = behind;
    }
    Ok(entries)
}

/// Takes numbers that do not fit 32 bits from the ZIP64 field, if there is one.
fn widen(entry: &mut Entry, mut extra: &[u8]) -> Option<()> {
    const WIDE: u64 = u32::MAX as u64;
    let mut wide: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), u16_at(extra, 2) as usize);
        let (field, rest) = extra[4..].split_at_checked(length)?;
        if id == 1 {
            wide = field;
        }
        extra = rest;
    }
    for value in [&mut entry.size, &mut entry.packed, &mut entry.header] {
        if *value == WIDE {
            let (own, rest) = wide.split_at_checked(8)?;
            *value = u64_at(own, 0);
            wide = rest;
        }
    }
    Some(())
}

/// Finds where the bytes of each entry begin. Returns the entries (by index) whose own headers must be read for that. No entry may reach
/// into the next one, or into the directory, which begins at `directory`.
fn place(entries: &mut [Entry], directory: u64) -> Result<Vec<usize>, PyTorchProblem> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|&at| entries[at].header);
    let mut unsure = Vec::new();
    for (place, &at) in order.iter().enumerate() {
        let behind = order.get(place.saturating_add(1)).map_or(directory, |&next| entries[next].header);
        let entry = &mut entries[at];
        let least = entry.header.checked_add(LOCAL_HEADER.saturating_add(entry.name.len() as u64));
        let room =
            least.and_then(|least| behind.checked_sub(least)).and_then(|room| room.checked_sub(entry.packed));
        let Some(room) = room.filter(|_| behind <= directory) else { return Err(overlap(entry)) };
        // After the bytes, 16 or 24 more may repeat the lengths. PyTorch aligns the bytes of an entry, which shows which it is.
        let lengths: &[u64] = if entry.repeated { &[16, 24] } else { &[0] };
        let starts = lengths
            .iter()
            .filter(|bytes| room >= **bytes)
            .filter_map(|bytes| behind.checked_sub(entry.packed)?.checked_sub(*bytes));
        entry.start = starts.into_iter().find(|start| start.is_multiple_of(ALIGNMENT));
        if entry.start.is_none() {
            unsure.push(at);
        }
    }
    Ok(unsure)
}

/// Reads from an entry's own header where its bytes begin.
fn settle(entries: &mut [Entry], at: usize, header: &[u8], directory: u64) -> Result<(), PyTorchProblem> {
    let entry = &mut entries[at];
    if !header.starts_with(MAGIC) || u16_at(header, 26) != entry.name.len() as u64 {
        return Err(PyTorchProblem::EntryDamaged { entry: entry.name.clone() });
    }
    let start = entry.least_start().saturating_add(u16_at(header, 28));
    if start.checked_add(entry.packed).is_none_or(|end| end > directory) {
        return Err(overlap(entry));
    }
    entry.start = Some(start);
    Ok(())
}

fn overlap(entry: &Entry) -> PyTorchProblem {
    PyTorchProblem::EntryOverlaps { entry: entry.name.clone() }
}

/// Whether a name stays below the archive.
fn is_sound(name: &str) -> bool {
    let sound = |part: &str| part != ".." && part != ".";
    !name.is_empty()
        && !name.starts_with('/')
        && name.split('/').all(sound)
        && !name.contains(|c: char| matches!(c, '\\' | ':') || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip64_locator_that_points_anywhere_is_refused() {
        for place in [0, 1, 75, 77, 1 << 40, u64::MAX - 30, u64::MAX] {
            let mut tail = vec![0; END_64_BYTES];
            tail[..END_64.len()].copy_from_slice(END_64);
            tail.extend(LOCATOR_64);
            tail.extend([0; 4]);
            tail.extend(u64::to_le_bytes(place));
            tail.extend([0; 4]);
            tail.extend(END);
            tail.extend([0; 18]);
            let length = tail.len() as u64;
            let found = directory(&tail, length);
            // A record at byte 0 names an empty directory there.
            assert_eq!(found.is_ok(), place == 0, "{place}: {found:?}");
        }
    }
}
