//! Files of Keras and TensorFlow (`tf_model.h5`): groups and arrays of HDF5, <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>.
//! An array that lies in one piece is a range of the file.
//!
//! The crate `hdf5-pure` reads from a source that returns at once. A page and a server answer later, so only the headers of groups and
//! arrays are read here, a page of the file at a time.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

mod bytes;
mod names;
mod object;

use super::CheckpointError;
use super::dtype::TensorType;
use super::formats::HDF5_MAGIC;
use super::header::Entry;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};
use bytes::{Fields, Reader};
use object::Object;

/// How deep groups may be nested.
const MAX_DEPTH: usize = 64;

/// The group of the model beside that of the optimizer, where Keras saves both.
const MODEL: &str = "model_weights/";

/// Why a file cannot be read as HDF5: what, where and what to do. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct Hdf5Error {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: Hdf5Problem,
}

/// What is wrong with a file of HDF5.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum Hdf5Problem {
    #[error("the file should have {end} bytes, but it has {length}; it was cut off, download it again")]
    Truncated { end: u64, length: u64 },
    #[error(
        "the first block of this HDF5 file is damaged, or of a kind that Keras does not write; download it or save the weights again"
    )]
    Superblock,
    #[error("the {what} at byte {byte} is not what HDF5 writes; the file is damaged")]
    Damaged { what: &'static str, byte: u64 },
    #[error(
        "the group {group:?} lists its members in a heap, as h5py writes it with libver=\"latest\" or track_order; save the weights again without these settings"
    )]
    Heap { group: String },
    #[error(
        "the array {array:?} of shape {shape:?} does not have the bytes of its shape; the file is damaged"
    )]
    Size { array: String, shape: Vec<u64> },
    #[error(
        "the array {array:?} should end behind byte {length}, where the file ends; it was cut off, download it again"
    )]
    Behind { array: String, length: u64 },
    #[error("the name {array:?} occurs twice, so its values would be ambiguous; save the model again")]
    Twice { array: String },
    #[error("the file describes more than it holds, or nests groups deeper than any model; it is damaged")]
    TooMuch,
    #[error("the file holds no array; open the file that has the weights")]
    NoArrays,
    #[error(
        "no array of the file can be read ({array:?}: {what}); save the weights again without compression or chunks"
    )]
    Unusable { array: String, what: String },
    #[error(
        "the file is of Keras 3, which numbers the variables of a layer and does not name them; load it with keras, and save the values of `model.weights` by their paths with safetensors.numpy.save_file"
    )]
    Numbered,
}

/// Why reading ended.
enum Stop {
    Problem(Hdf5Problem),
    Source(SourceError),
}

impl From<Hdf5Problem> for Stop {
    fn from(problem: Hdf5Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// What a file holds.
pub(super) struct Header {
    /// The arrays, with the names and layouts of PyTorch's code.
    pub(super) entries: Vec<Entry>,
    /// Names that the file has otherwise: the name here, and that in the file.
    pub(super) stored: Vec<(String, String)>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads which arrays a file has and where their numbers lie.
pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Header, CheckpointError> {
    let failed = |stop| match stop {
        Stop::Problem(problem) => Hdf5Error { file: source.path().to_owned(), problem }.into(),
        Stop::Source(error) => CheckpointError::from(error),
    };
    let arrays = arrays(&mut Reader::new(meter, source)).await.map_err(failed)?;
    let mut warnings = Vec::new();
    let arrays = of_model(source.path(), arrays, &mut warnings);
    check(&arrays).map_err(|problem| failed(problem.into()))?;
    let (entries, stored) = names::in_pytorch(arrays).map_err(|problem| failed(problem.into()))?;
    Ok(Header { entries, stored, warnings })
}

/// All arrays of a file, under their paths.
async fn arrays<S: ByteSource>(reader: &mut Reader<'_, S>) -> Result<Vec<Entry>, Stop> {
    let mut arrays = Vec::new();
    let mut open = vec![(String::new(), root(reader).await?, 0_usize)];
    while let Some((path, address, depth)) = open.pop() {
        match object::object(reader, &path, address).await? {
            Object::Group(members) => {
                if depth > MAX_DEPTH {
                    return Err(Hdf5Problem::TooMuch.into());
                }
                for (name, address) in members {
                    let name = if path.is_empty() { name } else { format!("{path}/{name}") };
                    reader.spend(name.len() as u64)?;
                    open.push((name, address, depth.saturating_add(1)));
                }
            }
            Object::Array(entry) => arrays.push(entry),
            Object::Other => {}
        }
    }
    Ok(arrays)
}

/// The address of the topmost group.
async fn root<S: ByteSource>(reader: &mut Reader<'_, S>) -> Result<u64, Stop> {
    let length = reader.length();
    let start = reader.take("first block", 0, length.min(96)).await?;
    let (base, end, root) = superblock(&start).ok_or(Hdf5Problem::Superblock)?;
    if end > length {
        return Err(Hdf5Problem::Truncated { end, length }.into());
    }
    if base != 0 {
        return Err(Hdf5Problem::Superblock.into());
    }
    Ok(root)
}

/// The byte that addresses are counted from, the length of the file, and the address of the topmost group. `None` unless addresses and
/// lengths have eight bytes.
fn superblock(start: &[u8]) -> Option<(u64, u64, u64)> {
    let mut fields = Fields::new(start);
    fields.begin_with(HDF5_MAGIC)?;
    let version = fields.byte()?;
    match version {
        0 | 1 => {
            fields.skip(4)?;
            fields.begin_with(&[8, 8])?;
            fields.skip(if version == 0 { 9 } else { 13 })?;
            let base = fields.number(8)?;
            fields.skip(8)?;
            let end = fields.number(8)?;
            fields.skip(16)?;
            Some((base, end, fields.number(8)?))
        }
        2 | 3 => {
            fields.begin_with(&[8, 8])?;
            fields.skip(1)?;
            let base = fields.number(8)?;
            fields.skip(8)?;
            Some((base, fields.number(8)?, fields.number(8)?))
        }
        _ => None,
    }
}

/// The arrays of the model. What Keras saves beside them is the state of training.
fn of_model(path: &str, mut arrays: Vec<Entry>, warnings: &mut Vec<Warning>) -> Vec<Entry> {
    let total = arrays.len();
    if arrays.iter().any(|array| array.name.starts_with(MODEL)) {
        arrays.retain(|array| array.name.starts_with(MODEL));
    }
    if arrays.len() < total {
        let message = format!(
            "`{path}`: of {total} arrays, the {} parameters of the model are inspected, and what lies beside them is left out",
            arrays.len()
        );
        warnings.push(Warning::new(WarningCode::StateChosen, path, message));
    }
    arrays
}

/// Refuses files whose arrays are of no use.
fn check(arrays: &[Entry]) -> Result<(), Hdf5Problem> {
    let first = arrays.first().ok_or(Hdf5Problem::NoArrays)?;
    let is_numbered = |array: &Entry| {
        let mut parts = array.name.rsplit('/');
        parts.next().is_some_and(|own| own.bytes().all(|byte| byte.is_ascii_digit()))
            && parts.next() == Some("vars")
    };
    if arrays.iter().any(is_numbered) {
        return Err(Hdf5Problem::Numbered);
    }
    match &first.dtype {
        TensorType::Unknown(what)
            if arrays.iter().all(|array| matches!(array.dtype, TensorType::Unknown(_))) =>
        {
            Err(Hdf5Problem::Unusable { array: first.name.clone(), what: what.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers of a test")]
mod tests;
