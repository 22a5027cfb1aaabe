//! The safetensors header: one validating walk in u64. After it, all other code may trust the header.
//!
//! The `safetensors` crate counts offsets and bits in `usize`, so on wasm32 it refuses shards over 4 GiB and tensors of 512 MiB.
//! It wants the whole file in one slice, and it refuses a whole header for one unknown dtype. This walk accepts and rejects as
//! the crate does natively (`tests/it/differential.rs` compares them), with two deliberate differences: duplicate names are
//! rejected by name, and a tensor of unknown dtype is kept as unusable.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::Strides;
use super::dtype::TensorType;
use crate::order;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Bytes before the header: its length as a little-endian u64.
pub const LENGTH_BYTES: u64 = 8;

/// The largest header the format allows, as in the reference implementation.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Why a file is not a valid safetensors file: what, where (file, tensor, byte) and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct HeaderError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: HeaderProblem,
}

/// What is wrong with a header. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum HeaderProblem {
    #[error("the file is empty; it was probably not written or not downloaded")]
    Empty,
    #[error(
        "the file has {length} bytes, less than the 8 that give a safetensors header its length; download it again"
    )]
    TooShort { length: u64 },
    #[error(
        "bytes 0 to 7 announce a header of {announced} bytes, more than the format's limit of {MAX_HEADER_BYTES}; this is no safetensors file, or it is damaged"
    )]
    HeaderTooLarge { announced: u64 },
    #[error(
        "the header should end at byte {end}, but the file has only {length}; it was cut off, download it again"
    )]
    HeaderTruncated { end: u64, length: u64 },
    #[error("the header is not UTF-8 at byte {byte}; the file is damaged")]
    NotUtf8 { byte: u64 },
    #[error("the header is not valid at byte {byte}{}: {reason}; the file is damaged or not safetensors", of_tensor(.tensor))]
    NotAHeader { byte: u64, tensor: Option<String>, reason: String },
    #[error(
        "`__metadata__` must map strings to strings, but {found}; write the file again with string values"
    )]
    BadMetadata { found: String },
    #[error(
        "the name {name:?} occurs twice, which the format forbids: its values would be ambiguous; write the file again"
    )]
    DuplicateName { name: String },
    #[error("tensor {tensor:?} ends at byte {end}, before it begins at byte {begin}; the header is damaged")]
    Reversed { tensor: String, begin: u64, end: u64 },
    #[error(
        "tensor {tensor:?} begins at byte {begin}, inside the tensor before it, which ends at byte {expected}; the header is damaged"
    )]
    Overlap { tensor: String, begin: u64, expected: u64 },
    #[error(
        "tensor {tensor:?} begins at byte {begin}, leaving a hole after byte {expected}, which the format forbids; the header is damaged"
    )]
    Hole { tensor: String, begin: u64, expected: u64 },
    #[error("tensor {tensor:?} has offsets past the largest file there can be; the header is damaged")]
    OffsetOverflow { tensor: String },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and type {dtype} has more bits than 64 bits can count; the header is damaged"
    )]
    SizeOverflow { tensor: String, shape: Vec<u64>, dtype: String },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and type {dtype} does not end on a whole byte; the header is damaged"
    )]
    PartialByte { tensor: String, shape: Vec<u64>, dtype: String },
    #[error(
        "tensor {tensor:?} of shape {shape:?} and type {dtype} takes {expected} bytes, but its offsets (from byte {begin}) hold {got}; the header is damaged"
    )]
    SizeMismatch { tensor: String, shape: Vec<u64>, dtype: String, begin: u64, expected: u64, got: u64 },
    #[error("the data should end at byte {end}{}, but the file has only {length}; it was cut off, download it again", of_last(.tensor))]
    DataTruncated { end: u64, length: u64, tensor: Option<String> },
    #[error(
        "the data ends at byte {end}, but the file goes on to byte {length}; it is not a single safetensors file"
    )]
    TrailingBytes { end: u64, length: u64 },
}

fn of_tensor(tensor: &Option<String>) -> String {
    tensor.as_ref().map_or_else(String::new, |name| format!(" (entry {name:?})"))
}

fn of_last(tensor: &Option<String>) -> String {
    tensor
        .as_ref()
        .map_or_else(String::new, |name| format!(" (tensor {name:?} is the first that is not whole)"))
}

/// One tensor of a validated header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: TensorType,
    /// Its dimensions; their product fits u64.
    pub shape: Vec<u64>,
    /// First byte in the file.
    pub begin: u64,
    /// First byte after it in the file.
    pub end: u64,
    /// Strides, if its values do not lie in the order of its shape.
    pub strides: Option<Strides>,
}

/// Reads N from the first 8 bytes of a file of `length` bytes, and checks it against the limit and the file's end.
pub fn header_length(file: &str, first: [u8; 8], length: u64) -> Result<u64, HeaderError> {
    let announced = u64::from_le_bytes(first);
    let problem = if announced > MAX_HEADER_BYTES {
        HeaderProblem::HeaderTooLarge { announced }
    } else if LENGTH_BYTES.saturating_add(announced) > length {
        HeaderProblem::HeaderTruncated { end: LENGTH_BYTES.saturating_add(announced), length }
    } else {
        return Ok(announced);
    };
    Err(HeaderError { file: file.to_owned(), problem })
}

/// Walks the header `json` (the N bytes after the first 8) of a file of `length` bytes and establishes every
/// invariant of the format. Entries come in the order of their bytes.
pub fn walk(file: &str, json: &[u8], length: u64) -> Result<Vec<Entry>, HeaderError> {
    walk_described(file, json, length).map(|(entries, _)| entries)
}

/// The same, with the pairs of `__metadata__`. They may name the library that wrote the file (`format`: `pt`, `mlx`).
pub(super) fn walk_described(
    file: &str,
    json: &[u8],
    length: u64,
) -> Result<(Vec<Entry>, Metadata), HeaderError> {
    parse(json)
        .and_then(|(raw, metadata)| {
            Ok((validate(raw, LENGTH_BYTES.saturating_add(json.len() as u64), length)?, metadata))
        })
        .map_err(|problem| HeaderError { file: file.to_owned(), problem })
}

/// A header entry as it stands in the JSON.
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

const ENTRY_FIELDS: &[&str] = &["dtype", "shape", "data_offsets"];

/// Written by hand: a derived reader skips unknown fields without checking them, but the crate checks them.
impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("TensorInfo", ENTRY_FIELDS, RawEntryVisitor)
    }
}

struct RawEntryVisitor;

impl<'de> Visitor<'de> for RawEntryVisitor {
    type Value = RawEntry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        while let Some(field) = map.next_key::<String>()? {
            let repeated = match field.as_str() {
                "dtype" => dtype.replace(map.next_value::<RawType>()?.0).is_some(),
                "shape" => shape.replace(map.next_value()?).is_some(),
                "data_offsets" => data_offsets.replace(map.next_value()?).is_some(),
                _ => {
                    map.next_value::<serde_json::Value>()?;
                    false
                }
            };
            if repeated {
                return Err(Error::custom(format_args!("duplicate field `{field}`")));
            }
        }
        let missing = Error::missing_field;
        Ok(RawEntry {
            dtype: dtype.ok_or_else(|| missing(ENTRY_FIELDS[0]))?,
            shape: shape.ok_or_else(|| missing(ENTRY_FIELDS[1]))?,
            data_offsets: data_offsets.ok_or_else(|| missing(ENTRY_FIELDS[2]))?,
        })
    }

    /// Reads the three values in order: serde accepts such a list in place of the map.
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<RawEntry, A::Error> {
        let short = |length| move || Error::invalid_length(length, &RawEntryVisitor);
        let dtype = values.next_element::<RawType>()?.ok_or_else(short(0))?.0;
        let shape = values.next_element()?.ok_or_else(short(1))?;
        let data_offsets = values.next_element()?.ok_or_else(short(2))?;
        Ok(RawEntry { dtype, shape, data_offsets })
    }
}

/// A type's name, alone or in the other form that serde accepts: `{"F32": null}`.
struct RawType(String);

impl<'de> Deserialize<'de> for RawType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawTypeVisitor)
    }
}

struct RawTypeVisitor;

impl<'de> Visitor<'de> for RawTypeVisitor {
    type Value = RawType;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of an element type")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<RawType, E> {
        Ok(RawType(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawType, A::Error> {
        let (name, ()) = map.next_entry()?.ok_or_else(|| Error::invalid_length(0, &self))?;
        Ok(RawType(name))
    }
}

/// Collects the header's map. `current` is the key being read, so that an error can name it.
#[derive(Default)]
struct RawHeader {
    entries: Vec<(String, RawEntry)>,
    metadata: Option<RawMetadata>,
    metadata_repeated: bool,
    current: Option<String>,
}

impl<'de> Visitor<'de> for &mut RawHeader {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map from tensor names to their dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                self.metadata_repeated |= self.metadata.is_some();
                self.current = Some(name);
                self.metadata = Some(map.next_value()?);
            } else {
                let name = self.current.insert(name);
                let entry = map.next_value()?;
                self.entries.push((std::mem::take(name), entry));
            }
        }
        self.current = None;
        Ok(())
    }
}

/// The pairs of `__metadata__`, in the order of the file.
pub(super) type Metadata = Vec<(String, String)>;

/// Entries by name, and the metadata.
type Parsed = (Vec<(String, RawEntry)>, Metadata);

fn parse(json: &[u8]) -> Result<Parsed, HeaderProblem> {
    let text = std::str::from_utf8(json).map_err(|error| HeaderProblem::NotUtf8 {
        byte: LENGTH_BYTES.saturating_add(error.valid_up_to() as u64),
    })?;
    let mut raw = RawHeader::default();
    // Parses bytes, as everything in the page's inspector does: parsing a text would compile the same code a second time.
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(&mut raw).and_then(|()| deserializer.end()).map_err(|error| {
        HeaderProblem::NotAHeader {
            byte: LENGTH_BYTES.saturating_add(byte_of(text, &error)),
            tensor: raw.current.take().filter(|name| !name.is_empty()),
            reason: reason_of(&error),
        }
    })?;
    if raw.metadata_repeated {
        return Err(HeaderProblem::DuplicateName { name: "__metadata__".to_owned() });
    }
    Ok((raw.entries, metadata_of(raw.metadata)?))
}

/// The byte of an error. serde_json counts lines and columns, but a user searches a file by byte.
fn byte_of(text: &str, error: &serde_json::Error) -> u64 {
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    line_start.saturating_add(error.column().saturating_sub(1)) as u64
}

/// The message without the " at line … column …" that the byte replaces.
fn reason_of(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

/// `__metadata__` as it stands in the JSON, including keys that occur twice. serde's `untagged` would copy the whole first, and adds
/// kilobytes of code.
enum RawMetadata {
    Pairs(Vec<(String, serde_json::Value)>),
    Other(serde_json::Value),
}

impl<'de> Deserialize<'de> for RawMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = RawMetadata;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map from strings to strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMetadata, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(RawMetadata::Pairs(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawMetadata, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawMetadata::Other(serde_json::Value::Array(Vec::new())))
    }

    fn visit_unit<E: Error>(self) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(serde_json::Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<RawMetadata, E> {
        Ok(RawMetadata::Other(value.into()))
    }
}

/// The metadata, which must map strings to strings.
fn metadata_of(metadata: Option<RawMetadata>) -> Result<Metadata, HeaderProblem> {
    let found = match metadata {
        None | Some(RawMetadata::Other(serde_json::Value::Null)) => return Ok(Vec::new()),
        Some(RawMetadata::Pairs(pairs)) => {
            let mut texts = Vec::with_capacity(pairs.len());
            let mut other = None;
            for (key, value) in pairs {
                match value {
                    serde_json::Value::String(text) => texts.push((key, text)),
                    value => other = other.or_else(|| Some(format!("{key:?} is {}", kind_of(&value)))),
                }
            }
            match other {
                None => return Ok(texts),
                Some(found) => found,
            }
        }
        Some(RawMetadata::Other(other)) => format!("it is {}", kind_of(&other)),
    };
    Err(HeaderProblem::BadMetadata { found })
}

fn kind_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Checks all entries in one pass in offset order: contiguous, no overlap, no hole, size = shape × bits, checked arithmetic, and
/// the last one ends at the end of the file.
fn validate(mut raw: Vec<(String, RawEntry)>, data: u64, length: u64) -> Result<Vec<Entry>, HeaderProblem> {
    let mut names = HashSet::with_capacity(raw.len());
    if let Some((name, _)) = raw.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(HeaderProblem::DuplicateName { name: name.clone() });
    }
    drop(names);
    order::sort_by_key(&mut raw, |(_, entry)| entry.data_offsets);

    let mut entries = Vec::with_capacity(raw.len());
    let mut expected = data;
    for (tensor, RawEntry { dtype, shape, data_offsets }) in raw {
        let (Some(begin), Some(end)) = (data.checked_add(data_offsets.0), data.checked_add(data_offsets.1))
        else {
            return Err(HeaderProblem::OffsetOverflow { tensor });
        };
        if end < begin {
            return Err(HeaderProblem::Reversed { tensor, begin, end });
        }
        if begin < expected {
            return Err(HeaderProblem::Overlap { tensor, begin, expected });
        }
        if begin > expected {
            return Err(HeaderProblem::Hole { tensor, begin, expected });
        }
        expected = end;
        let kind = TensorType::parse(&dtype);
        let Some(elements) = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size)) else {
            return Err(HeaderProblem::SizeOverflow { tensor, shape, dtype });
        };
        if let Some(bits) = kind.bits() {
            let Some(bits) = elements.checked_mul(bits) else {
                return Err(HeaderProblem::SizeOverflow { tensor, shape, dtype });
            };
            if bits % 8 != 0 {
                return Err(HeaderProblem::PartialByte { tensor, shape, dtype });
            }
            if bits / 8 != end.saturating_sub(begin) {
                return Err(HeaderProblem::SizeMismatch {
                    tensor,
                    shape,
                    dtype,
                    begin,
                    expected: bits / 8,
                    got: end.saturating_sub(begin),
                });
            }
        }
        entries.push(Entry { name: tensor, dtype: kind, shape, begin, end, strides: None });
    }
    if expected > length {
        let tensor = entries.iter().find(|entry| entry.end > length).map(|entry| entry.name.clone());
        return Err(HeaderProblem::DataTruncated { end: expected, length, tensor });
    }
    if expected < length {
        return Err(HeaderProblem::TrailingBytes { end: expected, length });
    }
    Ok(entries)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
mod tests {
    use super::*;

    /// Walks `json` as the header of a file with `data` bytes after it.
    fn walk_with(json: &str, data: u64) -> Result<Vec<Entry>, HeaderProblem> {
        walk("x.safetensors", json.as_bytes(), LENGTH_BYTES + json.len() as u64 + data)
            .map_err(|error| error.problem)
    }

    fn entry(name: &str, shape: &str, begin: u64, end: u64) -> String {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    }

    #[test]
    fn a_valid_header_gives_its_entries_in_byte_order() {
        let json = format!("{{{},{}}}  ", entry("b", "[1]", 8, 12), entry("a", "[2]", 0, 8));
        let entries = walk_with(&json, 12).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(entries[0].begin, LENGTH_BYTES + json.len() as u64);
    }

    #[test]
    fn header_lengths_beyond_the_limit_or_the_file_are_refused() {
        let problem =
            |announced: u64, length| header_length("x", announced.to_le_bytes(), length).unwrap_err().problem;
        assert!(matches!(problem(1 << 63, 100), HeaderProblem::HeaderTooLarge { .. }));
        assert!(matches!(problem(MAX_HEADER_BYTES + 1, 1 << 40), HeaderProblem::HeaderTooLarge { .. }));
        assert!(matches!(problem(93, 100), HeaderProblem::HeaderTruncated { end: 101, length: 100 }));
        assert_eq!(header_length("x", MAX_HEADER_BYTES.to_le_bytes(), 1 << 40), Ok(MAX_HEADER_BYTES));
    }

    #[test]
    fn overlap_hole_reversed_and_out_of_range_offsets_name_tensor_and_byte() {
        let json = format!("{{{},{}}}", entry("a", "[2]", 0, 8), entry("b", "[1]", 4, 8));
        assert!(
            matches!(walk_with(&json, 8).unwrap_err(), HeaderProblem::Overlap { tensor, .. } if tensor == "b")
        );
        let json = format!("{{{},{}}}", entry("a", "[1]", 0, 4), entry("b", "[1]", 8, 12));
        assert!(
            matches!(walk_with(&json, 12).unwrap_err(), HeaderProblem::Hole { tensor, .. } if tensor == "b")
        );
        let json = format!("{{{}}}", entry("a", "[1]", 4, 0));
        assert!(
            matches!(walk_with(&json, 4).unwrap_err(), HeaderProblem::Reversed { tensor, .. } if tensor == "a")
        );
        let json = format!("{{{}}}", entry("a", "[1]", 0, 4));
        assert!(
            matches!(walk_with(&json, 3).unwrap_err(), HeaderProblem::DataTruncated { tensor: Some(tensor), .. } if tensor == "a")
        );
        assert!(matches!(walk_with(&json, 5).unwrap_err(), HeaderProblem::TrailingBytes { .. }));
        let json = format!("{{{}}}", entry("a", "[1]", 0, u64::MAX));
        assert!(matches!(walk_with(&json, 4).unwrap_err(), HeaderProblem::OffsetOverflow { .. }));
    }

    #[test]
    fn size_must_be_shape_times_bits_without_overflow() {
        let json = format!("{{{}}}", entry("a", "[3]", 0, 8));
        assert!(matches!(
            walk_with(&json, 8).unwrap_err(),
            HeaderProblem::SizeMismatch { expected: 12, got: 8, .. }
        ));
        for shape in ["[4294967296,4294967296]", "[4611686018427387904]"] {
            let json = format!("{{{}}}", entry("a", shape, 0, 8));
            assert!(
                matches!(walk_with(&json, 8).unwrap_err(), HeaderProblem::SizeOverflow { .. }),
                "{shape}"
            );
        }
        let json = r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#;
        assert!(matches!(walk_with(json, 1).unwrap_err(), HeaderProblem::PartialByte { .. }));
    }

    #[test]
    fn a_two_gibibyte_tensor_past_four_gibibytes_is_fine() {
        let json = format!(
            "{{{},{}}}",
            entry("a", "[1610612736]", 0, 6_442_450_944),
            entry("b", "[536870912]", 6_442_450_944, 8_589_934_592)
        );
        assert_eq!(walk_with(&json, 8_589_934_592).unwrap()[1].end, 8 + json.len() as u64 + 8_589_934_592);
    }

    #[test]
    fn duplicate_names_are_refused_by_name() {
        let json = format!("{{{},{}}}", entry("a", "[1]", 0, 4), entry("a", "[1]", 4, 8));
        assert_eq!(walk_with(&json, 8).unwrap_err(), HeaderProblem::DuplicateName { name: "a".into() });
        assert!(matches!(
            walk_with(r#"{"__metadata__":{},"__metadata__":{}}"#, 0).unwrap_err(),
            HeaderProblem::DuplicateName { .. }
        ));
    }

    #[test]
    fn the_metadata_tell_who_wrote_the_file() {
        for (metadata, format) in [
            (r#""__metadata__":{"total":"1","format":"mlx"}"#, Some("mlx")),
            (r#""__metadata__":{"format":""}"#, Some("")),
            (r#""__metadata__":{"framework":"mlx"}"#, None),
            (r#""__metadata__":null"#, None),
            ("", None),
        ] {
            let json = format!("{{{metadata}}}");
            let (entries, pairs) =
                walk_described("x", json.as_bytes(), LENGTH_BYTES + json.len() as u64).unwrap();
            assert_eq!(entries, []);
            let found = pairs.iter().find(|(key, _)| key == "format").map(|(_, text)| text.as_str());
            assert_eq!(found, format, "{metadata}");
        }
    }

    #[test]
    fn metadata_must_map_strings_to_strings() {
        assert_eq!(walk_with(r#"{"__metadata__":{"format":"pt"}}"#, 0), Ok(vec![]));
        assert_eq!(walk_with(r#"{"__metadata__":null}"#, 0), Ok(vec![]));
        for json in [r#"{"__metadata__":{"step":3}}"#, r#"{"__metadata__":[]}"#, r#"{"__metadata__":"pt"}"#] {
            assert!(matches!(walk_with(json, 0).unwrap_err(), HeaderProblem::BadMetadata { .. }), "{json}");
        }
    }

    #[test]
    fn broken_json_names_the_byte_and_the_entry() {
        let json = r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#;
        match walk_with(json, 4).unwrap_err() {
            HeaderProblem::NotAHeader { byte, tensor, .. } => {
                assert_eq!(tensor.as_deref(), Some("a"));
                assert!((8 + 28..8 + 32).contains(&byte), "{byte}");
            }
            other => panic!("{other}"),
        }
        assert!(matches!(walk_with("[1]", 0).unwrap_err(), HeaderProblem::NotAHeader { .. }));
        assert!(matches!(walk_with("{} x", 0).unwrap_err(), HeaderProblem::NotAHeader { .. }));
        assert!(matches!(walk("x", b"{\xff}", 11).unwrap_err().problem, HeaderProblem::NotUtf8 { byte: 9 }));
    }

    #[test]
    fn an_unknown_dtype_keeps_its_tensor_and_the_others() {
        let json = format!(
            r#"{{{},"q":{{"dtype":"Q4_K","shape":[256],"data_offsets":[4,148]}}}}"#,
            entry("a", "[1]", 0, 4)
        );
        let entries = walk_with(&json, 148).unwrap();
        assert_eq!(entries[1].dtype, TensorType::Unknown("Q4_K".into()));
    }
}
