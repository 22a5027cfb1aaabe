//! The GGUF header, versions 2 and 3: one validating walk in u64 over metadata and tensors. After it, all other code may trust
//! the header. It gives the same catalogue as a safetensors header, with shapes outermost first.
//!
//! A file does not say how long its header is, and tokenizers make it megabytes long. So it is read forwards in chunks: lists are
//! skipped, a key or a name is kept only if it is short, and nothing is allocated for a length that the file merely claims.
//! llama.cpp is stricter in one point: each tensor must begin right after the one before. Here, room between two does no harm.
//!
//! llama.cpp's converter interleaves the rows of some families' queries and keys for its rotary code, and Chameleon's norms
//! on them. That renumbers coordinates; no kernel and no count depends on their order.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

mod cursor;
mod metadata;
#[cfg(feature = "verify")]
pub mod vocabulary;

use super::CheckpointError;
use super::dtype::TensorType;
use super::header::Entry;
use crate::order;
use crate::source::{ByteSource, Meter, SourceError};
use cursor::Cursor;
use serde_json::{Map, Number, Value};
use std::collections::HashSet;

pub(super) use metadata::config;

/// The first bytes of every GGUF file.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// Tensors whose numbers divide the frequencies of a rotary code, without `.weight`. A run needs the numbers to know the model, so they
/// become fields of the configuration.
#[cfg(feature = "verify")]
pub(crate) const FACTORS: [&str; 3] = ["rope_freqs", "rope_factors_short", "rope_factors_long"];

/// The largest header that is walked: ten times what the largest vocabularies take.
pub const MAX_HEADER_BYTES: u64 = 256 * 1024 * 1024;

/// Bytes of the magic, the version and the two counts.
const LEAST_BYTES: u64 = 24;

/// The longest key or tensor name, in bytes. The specification sets this limit for keys.
const MAX_NAME_BYTES: u64 = 65_535;

/// Longer texts (chat templates) are skipped: nothing uses them.
const MAX_TEXT_BYTES: u64 = 4_096;

/// Most bytes of keys and texts that are kept.
const MAX_KEPT_BYTES: u64 = 1 << 20;
/// Keys that are kept even beyond that.
const ALWAYS_KEPT: [&str; 6] = [
    "general.alignment",
    "general.architecture",
    "general.type",
    "split.no",
    "split.count",
    "split.tensors.count",
];

/// More pairs of metadata than any file has.
const MAX_PAIRS: u64 = 65_536;

/// More tensors than any file has.
const MAX_TENSORS: u64 = 1 << 20;

/// Most dimensions of a tensor in ggml.
const MAX_DIMENSIONS: u32 = 4;

/// How deep lists may be inside lists. llama.cpp reads none.
const MAX_DEPTH: usize = 4;

/// Tensors begin at multiples of this, unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// No element type has more values in a byte.
const MOST_VALUES_A_BYTE: u64 = 64;

/// Why a file is not a valid GGUF file: what, where (file, key or tensor, byte) and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct GgufError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: GgufProblem,
}

/// What is wrong with a GGUF file. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum GgufProblem {
    #[error("the file is empty; it was probably not written or not downloaded")]
    Empty,
    #[error(
        "the file has {length} bytes, less than the {LEAST_BYTES} that begin every GGUF file; download it again"
    )]
    TooShort { length: u64 },
    #[error(
        "the file begins with {found:?} and not with \"GGUF\"; it is no GGUF file, or it is damaged: download it again"
    )]
    WrongMagic { found: String },
    #[error(
        "this is a GGUF file of version 1, which llama.cpp gave up in 2023; convert the original model again"
    )]
    VersionOne,
    #[error(
        "this is a big-endian GGUF file; only little-endian ones are read: use the file for x86 or ARM, or turn it with gguf_convert_endian.py"
    )]
    BigEndian,
    #[error("bytes 4 to 7 give GGUF version {version}; versions 2 and 3 are read: convert the model again")]
    UnknownVersion { version: u32 },
    #[error(
        "the header announces {count} {what}, more than the file could hold or any model has; the file is damaged"
    )]
    TooMany { count: u64, what: &'static str },
    #[error(
        "the header goes on past byte {MAX_HEADER_BYTES}, more than the largest vocabulary needs; the file is damaged"
    )]
    HeaderTooLarge,
    #[error(
        "the header is cut off in {section}: at byte {byte} it needs {wanted} bytes more, but the file ends at byte {length}; download it again"
    )]
    HeaderTruncated { section: &'static str, byte: u64, wanted: u64, length: u64 },
    #[error(
        "a text in {section} at byte {byte} is said to be {announced} bytes long, but the file ends at byte {length}; it is damaged or cut off, download it again"
    )]
    TextPastEnd { section: &'static str, byte: u64, announced: u64, length: u64 },
    #[error(
        "a name in {section} at byte {byte} is said to be {announced} bytes long; none has more than {MAX_NAME_BYTES}: the file is damaged"
    )]
    NameTooLong { section: &'static str, byte: u64, announced: u64 },
    #[error("a name in {section} is not UTF-8 at byte {byte}; the file is damaged")]
    NotUtf8 { section: &'static str, byte: u64 },
    #[error(
        "the key {key:?} occurs twice in the metadata, which leaves its value open; write the file again"
    )]
    DuplicateKey { key: String },
    #[error(
        "the value of {key:?} at byte {byte} is of type {kind}, which GGUF does not define; the file is damaged"
    )]
    UnknownValue { key: String, byte: u64, kind: u32 },
    #[error(
        "the list {key:?} at byte {byte} is said to have {count} members, more than the file has room for (it ends at byte {length}); it is damaged or cut off, download it again"
    )]
    ListTooLong { key: String, byte: u64, count: u64, length: u64 },
    #[error(
        "the list {key:?} holds lists in lists more than {MAX_DEPTH} deep at byte {byte}; the file is damaged"
    )]
    ListTooDeep { key: String, byte: u64 },
    #[error(
        "`general.alignment` is {found}, which is no power of two, so no tensor can be placed; write the file again"
    )]
    BadAlignment { found: String },
    #[error(
        "the GGUF file holds no tensor: it is a vocabulary or a description only; open the file that has the weights"
    )]
    NoTensors,
    #[error("the tensor name {name:?} occurs twice: its values would be ambiguous; write the file again")]
    DuplicateTensor { name: String },
    #[error("tensor {tensor:?} has {count} dimensions, and ggml knows {MAX_DIMENSIONS}; the file is damaged")]
    TooManyDimensions { tensor: String, count: u32 },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and type {dtype} has more values than 64 bits can count; the file is damaged"
    )]
    SizeOverflow { tensor: String, shape: Vec<u64>, dtype: String },
    #[error(
        "tensor {tensor:?} of shape {shape:?} has rows that do not end with a block of type {dtype}, which holds {block} values; the file is damaged"
    )]
    PartialBlock { tensor: String, shape: Vec<u64>, dtype: String, block: u64 },
    #[error(
        "tensor {tensor:?} begins at byte {offset} of the data, which is no multiple of the alignment {alignment}; write the file again"
    )]
    Misaligned { tensor: String, offset: u64, alignment: u64 },
    #[error("tensor {tensor:?} has an offset past the largest file there can be; the file is damaged")]
    OffsetOverflow { tensor: String },
    #[error(
        "tensor {tensor:?} begins at byte {begin}, inside tensor {before:?}, which ends at byte {end}; the file is damaged"
    )]
    Overlap { tensor: String, begin: u64, before: String, end: u64 },
    #[error(
        "tensor {tensor:?} should lie in bytes {begin} to {end}, but the file has only {length}; it was cut off, download it again"
    )]
    DataTruncated { tensor: String, begin: u64, end: u64, length: u64 },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and the unknown type {dtype} does not fit in the {bytes} bytes that it has; the file is damaged"
    )]
    TooDense { tensor: String, shape: Vec<u64>, dtype: String, bytes: u64 },
}

/// A validated header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The tensors, in the order of their bytes.
    pub entries: Vec<Entry>,
    /// Numbers, truth values and short texts; lists are left out.
    pub metadata: Map<String, Value>,
    /// The lists of the metadata by their keys. Only the length of each is kept, in words.
    pub lists: Vec<(String, String)>,
    /// Which part of a model in several files it is.
    pub split: Option<Split>,
}

/// The place of a file in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// From 0.
    pub number: u64,
    /// Files of the series.
    pub count: u64,
    /// Tensors in all files together.
    pub tensors: Option<u64>,
}

/// Why a walk ended.
enum Stop {
    Problem(GgufProblem),
    Source(SourceError),
}

impl From<GgufProblem> for Stop {
    fn from(problem: GgufProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Reads and validates the header of `source`.
pub async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Header, CheckpointError> {
    walk(meter, source).await.map_err(|stop| match stop {
        Stop::Problem(problem) => GgufError { file: source.path().to_owned(), problem }.into(),
        Stop::Source(error) => error.into(),
    })
}

async fn walk<S: ByteSource>(meter: &Meter, source: &S) -> Result<Header, Stop> {
    let length = source.length();
    if length < LEAST_BYTES {
        let short = GgufProblem::TooShort { length };
        return Err(if length == 0 { GgufProblem::Empty } else { short }.into());
    }
    let mut cursor = Cursor::new(meter, source);
    let magic: [u8; 4] = cursor.array().await?;
    if magic != *MAGIC {
        return Err(GgufProblem::WrongMagic { found: magic.escape_ascii().to_string() }.into());
    }
    check_version(cursor.u32().await?)?;
    let (tensors, pairs) = (cursor.u64().await?, cursor.u64().await?);
    // A pair takes at least 13 bytes, a tensor 24.
    let fits = |count: u64, each: u64, most: u64| count <= most && count.saturating_mul(each) <= length;
    if !fits(tensors, 24, MAX_TENSORS) {
        return Err(GgufProblem::TooMany { count: tensors, what: "tensors" }.into());
    }
    if !fits(pairs, 13, MAX_PAIRS) {
        return Err(GgufProblem::TooMany { count: pairs, what: "pairs of metadata" }.into());
    }
    let (metadata, lists) = read_metadata(&mut cursor, pairs).await?;
    let alignment = alignment(&metadata)?;
    let split = split(&metadata);
    // The first file of a series may hold the metadata alone.
    if tensors == 0 && split.is_none_or(|split| split.count < 2) {
        return Err(GgufProblem::NoTensors.into());
    }
    cursor.enter("the list of tensors");
    let mut raw = Vec::new();
    for _ in 0..tensors {
        raw.push(read_tensor(&mut cursor).await?);
    }
    // The cursor stands below MAX_HEADER_BYTES, and the alignment fits 32 bits.
    let data = cursor.at().next_multiple_of(alignment);
    Ok(Header { entries: validate(raw, data, alignment, length)?, metadata, lists, split })
}

fn check_version(version: u32) -> Result<(), GgufProblem> {
    match version {
        2 | 3 => Ok(()),
        1 => Err(GgufProblem::VersionOne),
        // 3 with its bytes reversed.
        _ if version != 0 && version & 0xffff == 0 => Err(GgufProblem::BigEndian),
        _ => Err(GgufProblem::UnknownVersion { version }),
    }
}

/// The types of metadata.
mod kind {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const LIST: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// Least bytes of a value of this type. `None` for an unknown one.
fn least_bytes(kind: u32) -> Option<u64> {
    Some(match kind {
        kind::U8 | kind::I8 | kind::BOOL => 1,
        kind::U16 | kind::I16 => 2,
        kind::U32 | kind::I32 | kind::F32 => 4,
        kind::U64 | kind::I64 | kind::F64 | kind::TEXT => 8,
        kind::LIST => 12,
        _ => return None,
    })
}

async fn read_metadata<S: ByteSource>(
    cursor: &mut Cursor<'_, S>,
    pairs: u64,
) -> Result<(Map<String, Value>, Vec<(String, String)>), Stop> {
    let (mut metadata, mut lists) = (Map::new(), Vec::new());
    let mut keys = HashSet::new();
    let mut kept = 0_u64;
    for _ in 0..pairs {
        let key = cursor.name().await?;
        let byte = cursor.at();
        let kind = cursor.u32().await?;
        let value = match kind {
            kind::U8 => Some(u8::from_le_bytes(cursor.array().await?).into()),
            kind::I8 => Some(i8::from_le_bytes(cursor.array().await?).into()),
            kind::U16 => Some(u16::from_le_bytes(cursor.array().await?).into()),
            kind::I16 => Some(i16::from_le_bytes(cursor.array().await?).into()),
            kind::U32 => Some(cursor.u32().await?.into()),
            kind::I32 => Some(i32::from_le_bytes(cursor.array().await?).into()),
            kind::F32 => number(f32::from_le_bytes(cursor.array().await?).into()),
            kind::BOOL => Some((cursor.array::<1>().await? != [0]).into()),
            kind::TEXT => cursor.text(MAX_TEXT_BYTES).await?.map(Value::String),
            kind::LIST => {
                let members = pass_list(cursor, &key).await?;
                kept = kept.saturating_add(key.len() as u64);
                if kept <= MAX_KEPT_BYTES {
                    lists.push((key.clone(), format!("a list of {members}")));
                }
                None
            }
            kind::U64 => Some(cursor.u64().await?.into()),
            kind::I64 => Some(i64::from_le_bytes(cursor.array().await?).into()),
            kind::F64 => number(f64::from_le_bytes(cursor.array().await?)),
            _ => return Err(GgufProblem::UnknownValue { key, byte, kind }.into()),
        };
        if !keys.insert(key.clone()) {
            return Err(GgufProblem::DuplicateKey { key }.into());
        }
        let Some(value) = value else { continue };
        let text = value.as_str().map_or(0, |text| text.len() as u64);
        kept = kept.saturating_add(key.len() as u64).saturating_add(text);
        if kept <= MAX_KEPT_BYTES || ALWAYS_KEPT.contains(&key.as_str()) {
            metadata.insert(key, value);
        }
    }
    Ok((metadata, lists))
}

/// JSON has neither infinities nor NaN.
fn number(value: f64) -> Option<Value> {
    Number::from_f64(value).map(Value::Number)
}

/// Skips a list and returns the number of its members. Numbers are skipped at once, texts one by one.
async fn pass_list<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<u64, Stop> {
    let mut open = vec![begin_list(cursor, key).await?];
    let length = open[0].1;
    while let Some((kind, members)) = open.pop() {
        match kind {
            kind::TEXT => {
                for _ in 0..members {
                    cursor.text(0).await?;
                }
            }
            kind::LIST if members == 0 => {}
            kind::LIST => {
                open.push((kind, members.saturating_sub(1)));
                if open.len() >= MAX_DEPTH {
                    return Err(GgufProblem::ListTooDeep { key: key.to_owned(), byte: cursor.at() }.into());
                }
                open.push(begin_list(cursor, key).await?);
            }
            // `begin_list` has checked the product against the file's end.
            _ => cursor.skip(members.saturating_mul(least_bytes(kind).unwrap_or_default()))?,
        }
    }
    Ok(length)
}

/// Reads the type and the number of a list's members, and checks that the file has room for them.
async fn begin_list<S: ByteSource>(cursor: &mut Cursor<'_, S>, key: &str) -> Result<(u32, u64), Stop> {
    let byte = cursor.at();
    let kind = cursor.u32().await?;
    let count = cursor.u64().await?;
    let Some(each) = least_bytes(kind) else {
        return Err(GgufProblem::UnknownValue { key: key.to_owned(), byte, kind }.into());
    };
    if count.saturating_mul(each) > cursor.left() {
        let (key, length) = (key.to_owned(), cursor.length());
        return Err(GgufProblem::ListTooLong { key, byte, count, length }.into());
    }
    Ok((kind, count))
}

fn alignment(metadata: &Map<String, Value>) -> Result<u64, GgufProblem> {
    let Some(value) = metadata.get("general.alignment") else { return Ok(DEFAULT_ALIGNMENT) };
    value
        .as_u64()
        .filter(|alignment| alignment.is_power_of_two() && *alignment <= u32::MAX.into())
        .ok_or_else(|| GgufProblem::BadAlignment { found: value.to_string() })
}

fn split(metadata: &Map<String, Value>) -> Option<Split> {
    let count = |key: &str| metadata.get(key).and_then(Value::as_u64);
    Some(Split {
        number: count("split.no")?,
        count: count("split.count")?,
        tensors: count("split.tensors.count"),
    })
}

/// A tensor as the header lists it, with its shape reversed to outermost first.
struct RawTensor {
    name: String,
    shape: Vec<u64>,
    dtype: TensorType,
    offset: u64,
}

async fn read_tensor<S: ByteSource>(cursor: &mut Cursor<'_, S>) -> Result<RawTensor, Stop> {
    let name = cursor.name().await?;
    let count = cursor.u32().await?;
    if count > MAX_DIMENSIONS {
        return Err(GgufProblem::TooManyDimensions { tensor: name, count }.into());
    }
    let mut shape = Vec::new();
    for _ in 0..count {
        shape.push(cursor.u64().await?);
    }
    // ggml puts the fastest dimension first. PyTorch and the catalogue put the slowest first.
    shape.reverse();
    let dtype = TensorType::of_gguf(cursor.u32().await?);
    Ok(RawTensor { name, shape, dtype, offset: cursor.u64().await? })
}

/// Checks all tensors in one pass in the order of their bytes: aligned, whole blocks, no overlap, inside the file, checked
/// arithmetic. A tensor of unknown type gets the room up to the next one.
fn validate(
    mut raw: Vec<RawTensor>,
    data: u64,
    alignment: u64,
    length: u64,
) -> Result<Vec<Entry>, GgufProblem> {
    let mut names = HashSet::with_capacity(raw.len());
    if let Some(twice) = raw.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return Err(GgufProblem::DuplicateTensor { name: twice.name.clone() });
    }
    drop(names);
    // An empty tensor may share its offset with the next.
    order::sort_by_key(&mut raw, |tensor| (tensor.offset, !tensor.shape.contains(&0)));
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    let mut rest = raw.into_iter().peekable();
    while let Some(RawTensor { name: tensor, shape, dtype, offset }) = rest.next() {
        if !offset.is_multiple_of(alignment) {
            return Err(GgufProblem::Misaligned { tensor, offset, alignment });
        }
        let Some(begin) = data.checked_add(offset) else {
            return Err(GgufProblem::OffsetOverflow { tensor });
        };
        let overflow = |tensor: &String| GgufProblem::SizeOverflow {
            tensor: tensor.clone(),
            shape: shape.clone(),
            dtype: dtype.to_string(),
        };
        let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let elements = elements.ok_or_else(|| overflow(&tensor))?;
        let end = match dtype.piece() {
            Some((values, bytes)) => {
                if !shape.last().unwrap_or(&1).is_multiple_of(values) {
                    let dtype = dtype.to_string();
                    return Err(GgufProblem::PartialBlock { tensor, shape, dtype, block: values });
                }
                let bytes = elements
                    .checked_div(values)
                    .and_then(|pieces| pieces.checked_mul(bytes))
                    .ok_or_else(|| overflow(&tensor))?;
                begin.checked_add(bytes).ok_or_else(|| overflow(&tensor))?
            }
            None => {
                let next = rest.peek().and_then(|next| data.checked_add(next.offset));
                next.unwrap_or(length).min(length).max(begin)
            }
        };
        if let Some(before) = entries.last().filter(|before| begin < before.end) {
            let (before, end) = (before.name.clone(), before.end);
            return Err(GgufProblem::Overlap { tensor, begin, before, end });
        }
        if end > length {
            return Err(GgufProblem::DataTruncated { tensor, begin, end, length });
        }
        let bytes = end.saturating_sub(begin);
        if dtype.piece().is_none() && elements / MOST_VALUES_A_BYTE > bytes {
            let dtype = dtype.to_string();
            return Err(GgufProblem::TooDense { tensor, shape, dtype, bytes });
        }
        entries.push(Entry { name: tensor, dtype, shape, begin, end, strides: None });
    }
    Ok(entries)
}
