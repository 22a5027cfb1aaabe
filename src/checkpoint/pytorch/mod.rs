//! PyTorch files: the archive that torch.save writes since 1.6 (`zip.rs`) and the stream before it (`legacy.rs`). Both hold a pickle,
//! which is read and never run (`pickle.rs`, `known.rs`), and storages, of which tensors are views. `state.rs` finds the model in the object that
//! the pickle describes, and `globals.rs` knows the names of code that would run on loading.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

mod declared;
#[cfg(feature = "more-formats")]
pub(super) mod distributed;
mod globals;
mod known;
mod legacy;
mod pickle;
mod state;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
mod tests;
pub(super) mod zip;

use super::dtype::TensorType;
use super::formats::{is_chunks, is_pytorch_stream};
use super::header::Entry;
use super::{CheckpointError, Strides};
use crate::order;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};
use known::{Global, Known};
use pickle::{Machine, Outcome, View};
use serde_json::{Map, Value};
#[cfg(feature = "more-formats")]
pub(super) use state::TRAINING;
use std::collections::HashMap;
use std::ops::Range;

/// The largest pickle that is read: a thousand times that of a large model.
pub(super) const MAX_PICKLE_BYTES: u64 = 256 << 20;

/// Tensors may show one storage again and again, but together they have at most this many times the bytes of the file.
const MAX_SHOWN: u64 = 64;

/// Most elements of a tensor. Needed for tensors whose values are not in the file.
const MAX_ELEMENTS: u64 = 1 << 48;

/// How many names of code a sentence lists. It only counts the others.
const MOST_NAMED: usize = 5;

/// Why a file cannot be read as a PyTorch file: what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct PyTorchError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: PyTorchProblem,
}

/// What is wrong with a PyTorch file. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum PyTorchProblem {
    #[error(
        "the archive has no directory at its end (byte {length}), so it was cut off or is damaged; download it again"
    )]
    NoDirectory { length: u64 },
    #[error("the directory of the archive is damaged at its entry {entry}; download the file again")]
    DirectoryDamaged { entry: usize },
    #[error("the archive has more entries than any model; the file is damaged")]
    DirectoryTooLarge,
    #[error(
        "the archive has an entry called {entry:?}, which leads out of it; torch.save writes no such name, so do not trust this file"
    )]
    EntryName { entry: String },
    #[error(
        "the archive has two entries called {entry:?}, so it is not clear which one counts; save the model again"
    )]
    EntryTwice { entry: String },
    #[error(
        "the entry {entry:?} of the archive reaches into the next one or beyond the end; the file is damaged: download it again"
    )]
    EntryOverlaps { entry: String },
    #[error("the entry {entry:?} of the archive is damaged; download the file again")]
    EntryDamaged { entry: String },
    #[error(
        "the entry {entry:?} of the archive has {packed} bytes and unpacks to {size}; such an archive is made to fill the memory, so do not trust it"
    )]
    EntryTooDense { entry: String, packed: u64, size: u64 },
    #[error(
        "the entry {entry:?} of the archive is encrypted or packed in a way (method {method}) that torch.save does not use; save the model again"
    )]
    EntryPacked { entry: String, method: u16 },
    #[error(
        "this zip archive has no `data.pkl` in one folder, as torch.save writes it, so it is not a PyTorch file; unpack it, and open the checkpoint inside"
    )]
    NoPickle,
    #[error(
        "the pickle has {bytes} bytes, more than the {MAX_PICKLE_BYTES} that are read; save the tensors alone with torch.save(model.state_dict(), …)"
    )]
    PickleTooLarge { bytes: u64 },
    #[error(
        "the file is a pickle of {what} that torch.save did not write, so its numbers, if there are any, are not read{}; save the tensors with torch.save or as safetensors, and open that", also_runs(.runs)
    )]
    PlainPickle { what: String, runs: Vec<String> },
    #[error(
        "the file begins as a pickle may, but is none that is sound; it is damaged, or was not written by torch.save: download it again"
    )]
    NotAPickle,
    #[error(
        "the file holds chunks of a checkpoint of torch.distributed; open the whole folder, with the file `.metadata`"
    )]
    ChunksAlone,
    #[error(
        "the pickle is not what torch.distributed.checkpoint writes into `.metadata`; open the file that has the weights"
    )]
    NoLayout,
    #[error("the pickle is cut off: it goes on at byte {length}, where the file ends; download it again")]
    PickleTruncated { length: u64 },
    #[error(
        "the pickle is not valid at byte {byte}: {problem}; the file is damaged, or was not written by torch.save"
    )]
    Pickle { byte: u64, problem: PickleProblem },
    #[error(
        "the file was written on a big-endian machine, and only little-endian files are read; save it again on x86 or ARM"
    )]
    BigEndian,
    #[error(
        "the file has another version than 1001, the one that torch.save wrote before PyTorch 1.6; save the model again"
    )]
    StreamVersion,
    #[error("the file holds {what} and no tensor{}; open the file that has the weights", also_runs(.runs))]
    NoTensors { what: String, runs: Vec<String> },
    #[error(
        "the file holds more tensors or longer names than any model; it is damaged, or made to fill the memory"
    )]
    TooManyTensors,
    #[error("the list of storages names {key:?}, which the pickle does not describe; the file is damaged")]
    StorageUnknown { key: String },
    #[error("the storage {key:?} is described twice, in different ways; the file is damaged")]
    StorageTwice { key: String },
    #[error(
        "the storage {key:?} should have {count} elements, but the file has another count before it; the file is damaged"
    )]
    StorageMiscounted { key: String, count: u64 },
    #[error(
        "the storage {key:?} goes on past the end of the file (byte {length}); it was cut off, download it again"
    )]
    StorageTruncated { key: String, length: u64 },
    #[error(
        "tensor {tensor:?} is a view of the storage {key:?}, which is not in the file; it was cut off or is damaged: download it again"
    )]
    StorageMissing { tensor: String, key: String },
    #[error(
        "tensor {tensor:?} of shape {shape:?} needs element {last} of the storage {key:?}, which has {count}; the file is damaged"
    )]
    OutOfStorage { tensor: String, shape: Vec<u64>, key: String, last: u64, count: u64 },
    #[error(
        "the storage {key:?} of tensor {tensor:?} should have {wanted} bytes and has {found}; the file is damaged"
    )]
    StorageSize { tensor: String, key: String, wanted: u64, found: u64 },
    #[error(
        "tensor {tensor:?} of shape {shape:?} has more elements than a file can hold; the file is damaged"
    )]
    SizeOverflow { tensor: String, shape: Vec<u64> },
    #[error(
        "its tensors repeat the same numbers until they take {bytes} bytes, in a file of {length}; it is made to fill the memory, so do not trust it"
    )]
    ShownTooOften { bytes: u64, length: u64 },
}

/// Why reading a pickle ends early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum PickleProblem {
    #[error("torch.save never writes the operation {code:#04x}")]
    Operation { code: u8 },
    #[error("an operation needs more values than the stack has")]
    EmptyStack,
    #[error("an operation needs a mark that was never set")]
    NoMark,
    #[error("a dictionary has a key without a value")]
    OddPairs,
    #[error("the name of a class or function is not text")]
    NoName,
    #[error("a number is expected here")]
    Number,
    #[error("a line has no end")]
    LongLine,
    #[error("it refers to value {place} of its memo, which was never set")]
    NotRemembered { place: u64 },
    #[error("it holds more than {most} values")]
    TooMany { most: usize },
}

fn also_runs(runs: &[String]) -> String {
    if runs.is_empty() { String::new() } else { format!(". {}", would_run(runs)) }
}

/// Says what a file does when it is loaded elsewhere, as the end of a sentence about it.
fn would_run(runs: &[String]) -> String {
    let named: Vec<String> = runs.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    let more = match runs.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "Its pickle names {}{more}. `torch.load` with `weights_only=False` would call that, so the file can run any code. Gammascope calls nothing",
        named.join(", ")
    )
}

/// Why reading ended.
pub(super) enum Stop {
    Problem(PyTorchProblem),
    Source(SourceError),
}

impl From<PyTorchProblem> for Stop {
    fn from(problem: PyTorchProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Where storages lie in the file, by their keys.
type Places = HashMap<Box<str>, Place>;

/// Where a storage lies.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    At(Range<u64>),
    Compressed,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// The tensors of the model.
    pub(super) entries: Vec<Entry>,
    pub(super) warnings: Vec<Warning>,
    /// What the file says of its model beside the weights: the key it lies under, and fields with the names of `config.json`.
    pub(super) declared: Option<(&'static str, Map<String, Value>)>,
}

/// Reads what tensors a file has and where their numbers lie.
pub(super) async fn read<S: ByteSource>(
    meter: &Meter,
    source: &S,
    first: &[u8],
) -> Result<Header, CheckpointError> {
    let file = || source.path().to_owned();
    if is_chunks(source.path()) {
        return Err(PyTorchError { file: file(), problem: PyTorchProblem::ChunksAlone }.into());
    }
    let read = if is_pytorch_stream(first) {
        legacy::read(meter, source).await
    } else if first.starts_with(zip::MAGIC) {
        read_archive(meter, source).await
    } else {
        read_plain(meter, source).await
    };
    let header = read.and_then(|(machine, object, places)| {
        describe(source.path(), source.length(), &machine, object, &places).map_err(Stop::Problem)
    });
    header.map_err(|stop| match stop {
        Stop::Problem(problem) => PyTorchError { file: file(), problem }.into(),
        Stop::Source(error) => error.into(),
    })
}

/// Says what a pickle holds, if torch.save did not write it.
async fn read_plain<S: ByteSource>(meter: &Meter, source: &S) -> Result<(Machine, pickle::Id, Places), Stop> {
    let mut machine = Machine::default();
    let object = legacy::first(meter, source, &mut machine).await;
    let runs = runs(&machine);
    let what = match object {
        Ok(object) => state::what(&machine, object),
        Err(Stop::Problem(_)) if runs.is_empty() => return Err(PyTorchProblem::NotAPickle.into()),
        // A damaged pickle may run what it names before the damage.
        Err(Stop::Problem(_)) => "something that is damaged".to_owned(),
        Err(stop) => return Err(stop),
    };
    Err(PyTorchProblem::PlainPickle { what, runs }.into())
}

/// The names of code that would run on loading.
fn runs(machine: &Machine) -> Vec<String> {
    let is_member =
        |global: &&Global| global.known() == Some(Known::Attribute) && machine.reads_members_only();
    let runs = machine.globals.iter().filter(|global| globals::runs(global) && !is_member(global));
    order::distinct(runs.map(|global| format!("{}.{}", global.module, global.name)))
}

async fn read_archive<S: ByteSource>(
    meter: &Meter,
    source: &S,
) -> Result<(Machine, pickle::Id, Places), Stop> {
    let archive = zip::Archive::read(meter, source).await?;
    let pickle = archive.entry("data.pkl").ok_or(PyTorchProblem::NoPickle)?;
    let wanted: Vec<&zip::Entry> = std::iter::once(pickle).chain(archive.entry("byteorder")).collect();
    let unpacked = zip::Archive::unpacked(meter, source, &wanted).await?;
    if unpacked.get(1).is_some_and(|order| order.trim_ascii().eq_ignore_ascii_case(b"big")) {
        return Err(PyTorchProblem::BigEndian.into());
    }
    let mut machine = Machine::default();
    let bytes = unpacked.first().map(Vec::as_slice).unwrap_or_default();
    let object = match machine.run(bytes) {
        Ok(Outcome::Done(object, _)) => object,
        Ok(Outcome::More) => {
            return Err(PyTorchProblem::PickleTruncated { length: bytes.len() as u64 }.into());
        }
        Err((byte, problem)) => return Err(PyTorchProblem::Pickle { byte: byte as u64, problem }.into()),
    };
    let mut places = Places::new();
    for id in 0..machine.len() {
        let pickle::Value::Storage(storage) = machine.value(id as pickle::Id) else { continue };
        if let Some(entry) = archive.entry(&format!("data/{}", storage.key)) {
            places
                .insert(storage.key.clone(), zip::Archive::range(entry).map_or(Place::Compressed, Place::At));
        }
    }
    Ok((machine, object, places))
}

/// The model's tensors in the file, and warnings about it.
fn describe(
    path: &str,
    length: u64,
    machine: &Machine,
    object: pickle::Id,
    places: &Places,
) -> Result<Header, PyTorchProblem> {
    let runs = runs(machine);
    let model = state::model(machine, object).map_err(|problem| match problem {
        PyTorchProblem::NoTensors { what, .. } => PyTorchProblem::NoTensors { what, runs: runs.clone() },
        problem => problem,
    })?;
    let mut entries = Vec::with_capacity(model.tensors.len());
    let mut shown = 0u64;
    for (name, id) in model.tensors {
        let pickle::Value::Tensor(view) = machine.value(id) else { continue };
        let entry = entry(name, view, places)?;
        if entry.end > entry.begin {
            let (elements, bytes) = entry.dtype.piece().unwrap_or((1, 1));
            let pieces = entry.shape.iter().product::<u64>().checked_div(elements).unwrap_or_default();
            shown = shown.saturating_add(pieces.saturating_mul(bytes));
        }
        entries.push(entry);
    }
    if shown > length.saturating_mul(MAX_SHOWN) {
        return Err(PyTorchProblem::ShownTooOften { bytes: shown, length });
    }
    let mut warnings = Vec::new();
    if !runs.is_empty() {
        let message = format!(
            "{}. Do not load this file elsewhere unless you trust where it is from",
            would_run(&runs)
        );
        warnings.push(Warning::new(WarningCode::PickleRunsCode, path, message));
    }
    if let Some(chosen) = model.chosen {
        warnings.push(Warning::new(WarningCode::StateChosen, path, format!("`{path}`: {chosen}")));
    }
    Ok(Header { entries, warnings, declared: declared::declared(machine, object) })
}

/// The element type that PyTorch calls `kind`, and bytes of one element. A type without a name in safetensors keeps PyTorch's.
pub(super) fn element(kind: &str) -> (TensorType, u64) {
    let (name, bytes) = match kind {
        "float64" => ("F64", 8),
        "float32" => ("F32", 4),
        "float16" => ("F16", 2),
        "bfloat16" => ("BF16", 2),
        "float8_e4m3fn" => ("F8_E4M3", 1),
        "float8_e5m2" => ("F8_E5M2", 1),
        "int64" => ("I64", 8),
        "uint64" => ("U64", 8),
        "int32" => ("I32", 4),
        "uint32" => ("U32", 4),
        "int16" => ("I16", 2),
        "uint16" => ("U16", 2),
        "int8" => ("I8", 1),
        "uint8" => ("U8", 1),
        "bool" => ("BOOL", 1),
        "complex64" => ("C64", 8),
        "complex128" => return (TensorType::Unknown(kind.to_owned()), 16),
        "qint32" => return (TensorType::Unknown(kind.to_owned()), 4),
        // Quantised and 8-bit types that have no name elsewhere.
        _ => return (TensorType::Unknown(kind.to_owned()), 1),
    };
    (TensorType::parse(name), bytes)
}

/// A tensor of the catalogue.
fn entry(tensor: String, view: &View, places: &Places) -> Result<Entry, PyTorchProblem> {
    let View { shape, strides, offset, .. } = view;
    let elements = shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    let Some(elements) = elements.filter(|elements| *elements <= MAX_ELEMENTS) else {
        return Err(PyTorchProblem::SizeOverflow { tensor, shape: shape.clone() });
    };
    let unusable = |name, what: &str| {
        let dtype = TensorType::Unknown(what.to_owned());
        Ok(Entry { name, dtype, shape: shape.clone(), begin: 0, end: 0, strides: None })
    };
    let storage = match &view.storage {
        Ok(storage) => storage,
        Err(what) => return unusable(tensor, what),
    };
    let (dtype, size) = element(storage.kind.or(view.kind.as_deref()).unwrap_or("uint8"));
    let key = || storage.key.to_string();
    let place = match places.get(&storage.key) {
        Some(Place::At(place)) => place,
        Some(Place::Compressed) => return unusable(tensor, "compressed storage"),
        // A file stores nothing for a storage without elements.
        None if storage.count == 0 && elements == 0 => &(0..0),
        None => return Err(PyTorchProblem::StorageMissing { key: key(), tensor }),
    };
    let bytes_of_count = if storage.kind.is_some() { size } else { 1 };
    let found = place.end.saturating_sub(place.start);
    let wanted = storage.count.saturating_mul(bytes_of_count);
    if wanted > found {
        return Err(PyTorchProblem::StorageSize { key: key(), tensor, wanted, found });
    }
    let held = wanted.checked_div(size).unwrap_or_default();
    let (first, count) = storage.part.unwrap_or((0, held));
    let overflow = || PyTorchProblem::SizeOverflow { tensor: tensor.clone(), shape: shape.clone() };
    let begin = first.checked_add(*offset).ok_or_else(overflow)?;
    if elements == 0 {
        return Ok(Entry {
            name: tensor,
            dtype,
            shape: shape.clone(),
            begin: place.start,
            end: place.start,
            strides: None,
        });
    }
    let steps = shape.iter().zip(strides).map(|(size, stride)| size.saturating_sub(1).checked_mul(*stride));
    let last =
        steps.into_iter().try_fold(*offset, |last, step| last.checked_add(step?)).ok_or_else(overflow)?;
    let end = first.checked_add(last).ok_or_else(overflow)?;
    if last >= count || end >= held {
        return Err(PyTorchProblem::OutOfStorage {
            key: key(),
            last: end,
            count: count.min(held),
            shape: shape.clone(),
            tensor,
        });
    }
    let byte = |element: u64| place.start.saturating_add(element.saturating_mul(size));
    Ok(Entry {
        name: tensor,
        dtype,
        strides: Strides::of(shape, strides),
        shape: shape.clone(),
        begin: byte(begin),
        end: byte(end.saturating_add(1)),
    })
}
