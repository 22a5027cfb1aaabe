//! The header of one shard: its first bytes decide the format, whatever its name is.
//!
//! The page's inspector is built without the readers of PyTorch and ONNX files. For such a file it returns an error that says so.

use super::CheckpointError;
use super::formats::{self, Format};
use super::gguf::{self, GgufError, GgufProblem, Split};
use super::header::{self, Entry, HeaderError, HeaderProblem};
use crate::report::Warning;
use crate::source::{ByteSource, Meter, SourceError};
use serde_json::{Map, Value};
#[cfg(feature = "more-formats")]
use std::collections::HashSet;

/// What the header of a shard says.
pub(super) struct Header {
    pub(super) format: Format,
    pub(super) entries: Vec<Entry>,
    /// What was odd about the file.
    pub(super) warnings: Vec<Warning>,
    /// `__metadata__` of a safetensors file, or the lists in the metadata of a GGUF file.
    pub(super) metadata: header::Metadata,
    /// Of a PyTorch file: what it says of its model beside the weights, and the key that this lies under.
    #[cfg(feature = "pytorch")]
    pub(super) declared: Option<(&'static str, Map<String, Value>)>,
    /// Tensors whose names in the file are others: the name here, and that in the file.
    #[cfg(feature = "more-formats")]
    pub(super) stored: Vec<(String, String)>,
    /// Of a GGUF file: its metadata and its place in its series.
    pub(super) gguf: Option<(Map<String, Value>, Option<Split>)>,
    /// What an ONNX file has beside tensors of its own.
    #[cfg(feature = "onnx")]
    pub(super) onnx: Option<super::onnx::Beside>,
}

impl Header {
    fn new(format: Format, entries: Vec<Entry>) -> Self {
        Self {
            format,
            entries,
            warnings: Vec::new(),
            metadata: Vec::new(),
            #[cfg(feature = "pytorch")]
            declared: None,
            #[cfg(feature = "more-formats")]
            stored: Vec::new(),
            gguf: None,
            #[cfg(feature = "onnx")]
            onnx: None,
        }
    }
}

/// Reads 8 bytes, then the header whose length they give. It does not guess 64 KiB: a local read costs microseconds, and this way
/// only needed bytes are read. A remote source has already made the guess.
///
/// The first bytes decide what a file is, not its name: they are a length in one format and `GGUF` in the other.
pub(super) async fn read_header<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    let (path, length) = (shard.path(), shard.length());
    let problem = |problem| CheckpointError::from(HeaderError { file: path.to_owned(), problem });
    if Format::of_path(path) == Some(Format::Gguf) {
        match read_gguf_header(meter, shard).await {
            // Only its name is that of a GGUF file.
            Err(CheckpointError::Gguf(GgufError { problem: GgufProblem::WrongMagic { .. }, .. }))
                if format_of(meter, shard).await?.is_some() => {}
            read => return read,
        }
    }
    if length == 0 {
        return Err(problem(HeaderProblem::Empty));
    }
    let parsed = if length < header::LENGTH_BYTES {
        Err(problem(HeaderProblem::TooShort { length }))
    } else {
        let mut first = [0; header::LENGTH_BYTES as usize];
        first.copy_from_slice(&meter.read(shard, 0..header::LENGTH_BYTES).await?);
        if first.starts_with(gguf::MAGIC) {
            return read_gguf_header(meter, shard).await;
        }
        if first.as_slice() == formats::HDF5_MAGIC {
            return read_hdf5(meter, shard).await;
        }
        let named = Format::of_path(path);
        if named == Some(Format::Onnx) || formats::is_onnx(&first) {
            return read_onnx_header(meter, shard).await;
        }
        let is_map = matches!(first[0], 0x80..=0x8f | 0xde | 0xdf);
        if formats::may_be_pytorch(path, &first) || named == Some(Format::Flax) && is_map {
            let first = first_bytes(meter, shard).await?;
            match Format::of_bytes(&first).or(named) {
                Some(Format::Npz) => return read_arrays(meter, shard).await,
                Some(Format::Flax) if is_map => return read_flax(meter, shard).await,
                _ if Format::of_bytes(&first) == Some(Format::Safetensors) => {}
                _ if formats::is_other_archive(path) => {}
                _ => return read_pytorch_header(meter, shard, &first).await,
            }
        }
        match header::header_length(path, first, length) {
            Ok(announced) => {
                let json = meter.read(shard, header::LENGTH_BYTES..header::LENGTH_BYTES + announced).await?;
                header::walk_described(path, &json, length)
                    .map(|(entries, metadata)| Header {
                        metadata,
                        ..Header::new(Format::Safetensors, entries)
                    })
                    .map_err(CheckpointError::from)
            }
            Err(error) => Err(error.into()),
        }
    };
    match parsed {
        // A file of a foreign format gets a sentence about that format, not about its header.
        Err(CheckpointError::Header(error)) => match sniff(meter, shard).await? {
            Some(sentence) => Err(CheckpointError::NotACheckpoint(sentence)),
            None if Format::of_path(path) == Some(Format::PyTorch) && length > 0 => {
                Err(CheckpointError::NotACheckpoint(format!(
                    "`{path}` begins neither as torch.save begins a file nor as a safetensors or GGUF file does; open the file that has the weights"
                )))
            }
            None => Err(error.into()),
        },
        other => other,
    }
}

async fn read_gguf_header<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    match gguf::read(meter, shard).await {
        Err(CheckpointError::Gguf(
            error @ GgufError {
                problem: GgufProblem::WrongMagic { .. } | GgufProblem::TooShort { .. }, ..
            },
        )) => Err(sniff(meter, shard).await?.map_or(error.into(), CheckpointError::NotACheckpoint)),
        read => read.map(|read| Header {
            metadata: read.lists,
            gguf: Some((read.metadata, read.split)),
            ..Header::new(Format::Gguf, read.entries)
        }),
    }
}

#[cfg(feature = "pytorch")]
async fn read_pytorch_header<S: ByteSource>(
    meter: &Meter,
    shard: &S,
    first: &[u8],
) -> Result<Header, CheckpointError> {
    use super::pytorch::{self, PyTorchError, PyTorchProblem};
    match pytorch::read(meter, shard, first).await {
        Ok(pytorch::Header { entries, warnings, declared }) => {
            Ok(Header { warnings, declared, ..Header::new(Format::PyTorch, entries) })
        }
        // A text may begin as a pickle of protocol 0 does.
        Err(CheckpointError::PyTorch(error @ PyTorchError { problem: PyTorchProblem::NotAPickle, .. })) => {
            Err(formats::recognise(shard.path(), first).map_or(error.into(), CheckpointError::NotACheckpoint))
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "pytorch"))]
async fn read_pytorch_header<S: ByteSource>(
    _: &Meter,
    shard: &S,
    _: &[u8],
) -> Result<Header, CheckpointError> {
    Err(CheckpointError::Elsewhere(shard.path().to_owned()))
}

#[cfg(feature = "more-formats")]
async fn read_arrays<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    let entries = super::arrays::read(meter, shard).await?;
    let separator = if entries.iter().any(|entry| entry.name.contains('/')) { '/' } else { '.' };
    Ok(with_names(Format::Npz, entries, separator))
}

#[cfg(feature = "more-formats")]
async fn read_flax<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    let super::flax::Header { entries, warnings } = super::flax::read(meter, shard).await?;
    Ok(Header { warnings, ..with_names(Format::Flax, entries, '.') })
}

#[cfg(feature = "more-formats")]
async fn read_hdf5<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    let super::hdf5::Header { entries, stored, warnings } = super::hdf5::read(meter, shard).await?;
    Ok(Header { stored, warnings, ..Header::new(Format::Hdf5, entries) })
}

/// A header of tensors under the names of PyTorch's code, if their names are those of Flax.
#[cfg(feature = "more-formats")]
fn with_names(format: Format, mut entries: Vec<Entry>, separator: char) -> Header {
    let mut stored = Vec::new();
    let of_flax = entries.iter().any(|entry| entry.name.ends_with(&format!("{separator}kernel")));
    let names: HashSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    for entry in &mut entries {
        let mapped = super::flax::as_in_pytorch(entry, separator).filter(|_| of_flax);
        // A slash in a name would stand for a folder.
        let plain = || (entry.name.replace('/', "."), entry.shape.clone(), entry.strides.clone());
        let (name, shape, strides) = mapped.unwrap_or_else(plain);
        if name != entry.name && !names.contains(&name) {
            stored.push((name.clone(), std::mem::replace(&mut entry.name, name)));
            (entry.shape, entry.strides) = (shape, strides);
        }
    }
    Header { stored, ..Header::new(format, entries) }
}

#[cfg(not(feature = "more-formats"))]
async fn read_arrays<S: ByteSource>(_: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    Err(CheckpointError::Elsewhere(shard.path().to_owned()))
}

#[cfg(not(feature = "more-formats"))]
async fn read_hdf5<S: ByteSource>(_: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    Err(CheckpointError::Elsewhere(shard.path().to_owned()))
}

#[cfg(not(feature = "more-formats"))]
async fn read_flax<S: ByteSource>(_: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    Err(CheckpointError::Elsewhere(shard.path().to_owned()))
}

#[cfg(feature = "onnx")]
async fn read_onnx_header<S: ByteSource>(meter: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    match super::onnx::read(meter, shard).await {
        Ok(super::onnx::Model { entries, beside }) => {
            Ok(Header { onnx: Some(beside), ..Header::new(Format::Onnx, entries) })
        }
        Err(error @ CheckpointError::Onnx(_)) => {
            Err(sniff(meter, shard).await?.map_or(error, CheckpointError::NotACheckpoint))
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "onnx"))]
async fn read_onnx_header<S: ByteSource>(_: &Meter, shard: &S) -> Result<Header, CheckpointError> {
    Err(CheckpointError::Elsewhere(shard.path().to_owned()))
}

/// The format that a file's first bytes show.
pub(super) async fn format_of<S: ByteSource>(
    meter: &Meter,
    source: &S,
) -> Result<Option<Format>, SourceError> {
    Ok(Format::of_bytes(&first_bytes(meter, source).await?))
}

/// What a file that is no checkpoint seems to be, and what to do.
pub(super) async fn sniff<S: ByteSource>(meter: &Meter, source: &S) -> Result<Option<String>, SourceError> {
    Ok(formats::recognise(source.path(), &first_bytes(meter, source).await?))
}

async fn first_bytes<S: ByteSource>(meter: &Meter, source: &S) -> Result<Vec<u8>, SourceError> {
    meter.read(source, 0..source.length().min(formats::SNIFF_BYTES)).await
}
