//! Archives of NumPy arrays (`.npz`), as numpy.savez and MLX write them: one `.npy` file for each tensor. They lie as they are, so a
//! tensor is a range of the archive.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::dtype::TensorType;
use super::header::Entry;
use super::npy::{self, Fields, LONGEST_START, header_range};
use super::pytorch::zip::Archive;
use super::pytorch::{PyTorchProblem, Stop};
use super::{CheckpointError, Strides};
use crate::source::{ByteSource, Meter};
use std::ops::Range;

/// Bytes of an array that are read first. NumPy pads its headers to a multiple of 64, and that of a matrix takes 128 with what comes
/// before it.
const FIRST_BYTES: u64 = 128;

/// The longest header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Most dimensions; NumPy has no more.
const MAX_DIMENSIONS: usize = 64;

/// Why a file cannot be read as an archive of arrays: what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct ArraysError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: ArraysProblem,
}

/// What is wrong with an archive of arrays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum ArraysProblem {
    #[error(transparent)]
    Archive(PyTorchProblem),
    #[error("the archive has no `.npy` file, so it holds no array; open the file that has the weights")]
    NoArray,
    #[error(
        "the array {array:?} is compressed, so its values are no range of the file; save the arrays again with numpy.savez"
    )]
    Compressed { array: String },
    #[error("the array {array:?} cannot be read: {reason}; save the arrays again with numpy.savez")]
    Array { array: String, reason: String },
}

/// Reads which arrays an archive has and where their numbers lie.
pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Vec<Entry>, CheckpointError> {
    let failed = |problem| CheckpointError::from(ArraysError { file: source.path().to_owned(), problem });
    let files = Archive::files(meter, source).await.map_err(|stop| match stop {
        Stop::Problem(problem) => failed(ArraysProblem::Archive(problem)),
        Stop::Source(error) => error.into(),
    })?;
    let mut arrays: Vec<(&str, Range<u64>)> = Vec::new();
    for file in &files {
        let Some(name) = file.name().strip_suffix(".npy") else { continue };
        let range = Archive::range(file);
        let range = range.ok_or_else(|| failed(ArraysProblem::Compressed { array: name.to_owned() }))?;
        arrays.push((name, range));
    }
    if arrays.is_empty() {
        return Err(failed(ArraysProblem::NoArray));
    }
    arrays.sort_by_key(|(_, range)| range.start);
    let starts =
        beginnings(meter, source, arrays.iter().map(|(_, range)| clipped(range, FIRST_BYTES))).await?;
    let mut entries = Vec::with_capacity(arrays.len());
    for ((name, range), mut start) in arrays.into_iter().zip(starts) {
        let wrong = |reason| failed(ArraysProblem::Array { array: name.to_owned(), reason });
        let header = header_range(&start[..start.len().min(LONGEST_START)]).map_err(wrong)?;
        if header.end > MAX_HEADER_BYTES || header.end as u64 > range.end.saturating_sub(range.start) {
            return Err(wrong("its header is longer than any, or than the array".to_owned()));
        }
        if header.end > start.len() {
            start = meter.read(source, clipped(&range, header.end as u64)).await?;
        }
        entries.push(entry(name, &start, header, range).map_err(wrong)?);
    }
    Ok(entries)
}

/// The first bytes of a range.
fn clipped(range: &Range<u64>, most: u64) -> Range<u64> {
    range.start..range.end.min(range.start.saturating_add(most))
}

async fn beginnings<S: ByteSource>(
    meter: &Meter,
    source: &S,
    ranges: impl Iterator<Item = Range<u64>>,
) -> Result<Vec<Vec<u8>>, CheckpointError> {
    let ranges: Vec<Range<u64>> = ranges.collect();
    let mut read = vec![Ok(Vec::new()); ranges.len()];
    meter.read_many(source, &ranges, |at, bytes| read[at] = bytes).await;
    Ok(read.into_iter().collect::<Result<_, _>>()?)
}

/// The tensor of an array that begins with `start` and lies at `range`.
fn entry(name: &str, start: &[u8], header: Range<usize>, range: Range<u64>) -> Result<Entry, String> {
    let text = start.get(header.clone()).and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or("its header is not text")?;
    let Fields { descr, fortran, shape } =
        npy::fields(text).ok_or_else(|| format!("its header is {}", text.trim()))?;
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!("it has {} dimensions", shape.len()));
    }
    let (dtype, size) = element(descr).ok_or_else(|| format!("its elements are {descr}"))?;
    let begin = range.start.saturating_add(header.end as u64);
    let bytes = shape.iter().try_fold(size, |bytes, size| bytes.checked_mul(*size));
    let there = range.end.saturating_sub(begin);
    if bytes != Some(there) {
        let needed = bytes.map_or_else(|| "more than any file has".to_owned(), |bytes| bytes.to_string());
        return Err(format!("{there} bytes follow its header, and its shape needs {needed}"));
    }
    let strides = fortran.then(|| by_columns(&shape)).flatten();
    Ok(Entry { name: name.to_owned(), dtype, shape, begin, end: range.end, strides })
}

/// The strides of an array whose first index runs fastest.
fn by_columns(shape: &[u64]) -> Option<Strides> {
    let step = |next: &mut u64, size: &u64| {
        let own = *next;
        *next = next.saturating_mul(*size);
        Some(own)
    };
    let strides: Vec<u64> = shape.iter().scan(1, step).collect();
    if shape.contains(&0) { None } else { Strides::of(shape, &strides) }
}

/// The type of an element and its bytes. `None` for objects and texts, whose bytes the header does not give.
fn element(descr: &str) -> Option<(TensorType, u64)> {
    let (order, kind) = match descr.strip_prefix(['<', '>', '|', '=']) {
        Some(kind) => (descr.chars().next()?, kind),
        None => ('=', descr),
    };
    let size: u64 = kind.get(1..)?.parse().ok()?;
    let name = match kind {
        // ml_dtypes and MLX write bfloat16 as two bytes without a type.
        "V2" => "BF16",
        "f8" => "F64",
        "f4" => "F32",
        "f2" => "F16",
        "i8" => "I64",
        "i4" => "I32",
        "i2" => "I16",
        "i1" => "I8",
        "u8" => "U64",
        "u4" => "U32",
        "u2" => "U16",
        "u1" => "U8",
        "b1" => "BOOL",
        "c8" => "C64",
        _ if kind.starts_with(['f', 'i', 'u', 'c', 'V', 'S']) => "",
        _ => return None,
    };
    let dtype = match name {
        _ if order == '>' && size > 1 => {
            TensorType::Unknown(format!("{descr}, the most significant byte first"))
        }
        "" => TensorType::Unknown(descr.to_owned()),
        name => TensorType::parse(name),
    };
    Some((dtype, size))
}
