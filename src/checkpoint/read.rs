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

/// What the header of a shard says.
pub(super) struct Header {
    pub(super) format: Format,
    pub(super) entries: Vec<Entry>,
    /// What was odd about the file.
    pub(super) warnings: Vec<Warning>,
    /// `__metadata__` of a safetensors file, or the lists in the metadata of a GGUF file.
    pub(super) metadata: header::Metadata,
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
        return read_gguf_header(meter, shard).await;
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
        if Format::of_path(path) == Some(Format::Onnx) || formats::is_onnx(&first) {
            return read_onnx_header(meter, shard).await;
        }
        if formats::may_be_pytorch(path, &first) {
            let first = first_bytes(meter, shard).await?;
            if Format::of_bytes(&first) != Some(Format::Safetensors) && !formats::is_other_archive(path) {
                return read_pytorch_header(meter, shard, &first).await;
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
        Err(CheckpointError::Gguf(error @ GgufError { problem: GgufProblem::WrongMagic { .. }, .. })) => {
            Err(sniff(meter, shard).await?.map_or(error.into(), CheckpointError::NotACheckpoint))
        }
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
    let super::pytorch::Header { entries, warnings } = super::pytorch::read(meter, shard, first).await?;
    Ok(Header { warnings, ..Header::new(Format::PyTorch, entries) })
}

#[cfg(not(feature = "pytorch"))]
async fn read_pytorch_header<S: ByteSource>(
    _: &Meter,
    shard: &S,
    _: &[u8],
) -> Result<Header, CheckpointError> {
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
