//! Parameters of Flax (`flax_model.msgpack`): nested maps of MessagePack, whose leaves are arrays. An array is the extension type 1 and
//! holds its shape, the name of its type, and its bytes in order: <https://flax.readthedocs.io>, `flax.serialization`.
//!
//! The crates `rmp` and `rmp-serde` read from `std::io::Read`, so they want the whole file. Here only the maps and the beginning of
//! each array are read, and the numbers are skipped.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::dtype::TensorType;
use super::header::Entry;
use super::pytorch::{TRAINING, element};
use super::{CheckpointError, Strides};
use crate::order;
use crate::report::{Warning, WarningCode};
use crate::source::{ByteSource, Meter, SourceError};

/// Bytes that one read takes at least: the next array lies behind the numbers of this one.
const AHEAD: u64 = 1024;

/// How deep maps may be nested.
const MAX_DEPTH: usize = 64;

/// Most values of one file, and most bytes of the names of its arrays.
const MAX_VALUES: u64 = 1 << 22;
const MAX_NAME_BYTES: usize = 64 << 20;

/// The longest key, in bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// Most dimensions of an array.
const MAX_DIMENSIONS: u64 = 64;

/// The extension type of an array.
const ARRAY: u8 = 1;

/// Why a file cannot be read as parameters of Flax: what, where and what to do. Bytes are counted from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {problem}")]
pub struct FlaxError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: FlaxProblem,
}

/// What is wrong with a file of Flax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each field is named and used by its message")]
pub enum FlaxProblem {
    #[error("the file goes on at byte {byte}, where it ends; it was cut off, download it again")]
    Truncated { byte: u64 },
    #[error("byte {byte} is {code:#04x}, which no MessagePack file has there; the file is damaged")]
    Code { byte: u64, code: u8 },
    #[error(
        "a key at byte {byte} is no text, or is longer than any name; the file is damaged, or is not of Flax"
    )]
    Key { byte: u64 },
    #[error("the array {array:?} at byte {byte} is not what Flax writes; the file is damaged")]
    Array { array: String, byte: u64 },
    #[error(
        "the array {array:?} of shape {shape:?} does not have the bytes of its shape; the file is damaged"
    )]
    Size { array: String, shape: Vec<u64> },
    #[error("the name {array:?} occurs twice, so its values would be ambiguous; save the model again")]
    Twice { array: String },
    #[error("{left} bytes follow the end of the parameters; the file is damaged")]
    Rest { left: u64 },
    #[error("the file holds more values than any model, or deeper ones; it is damaged")]
    TooMuch,
    #[error("the file holds no array; open the file that has the weights")]
    NoArrays,
}

/// Why reading ended.
enum Stop {
    Problem(FlaxProblem),
    Source(SourceError),
}

impl From<FlaxProblem> for Stop {
    fn from(problem: FlaxProblem) -> Self {
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
    /// The arrays, with the names of the file.
    pub(super) entries: Vec<Entry>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads which arrays a file has and where their numbers lie.
pub(super) async fn read<S: ByteSource>(meter: &Meter, source: &S) -> Result<Header, CheckpointError> {
    let failed = |stop| match stop {
        Stop::Problem(problem) => FlaxError { file: source.path().to_owned(), problem }.into(),
        Stop::Source(error) => CheckpointError::from(error),
    };
    let mut reader = Reader { meter, source, at: 0, chunk: Vec::new(), start: 0 };
    let entries = reader.walk().await.map_err(failed)?;
    let entries = joined(entries);
    if entries.is_empty() {
        return Err(failed(FlaxProblem::NoArrays.into()));
    }
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    order::sort_by(&mut names, |a, b| a.cmp(b));
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(failed(FlaxProblem::Twice { array: twice[0].to_owned() }.into()));
    }
    let mut warnings = Vec::new();
    let entries = chosen(source.path(), entries, &mut warnings);
    Ok(Header { entries, warnings })
}

/// A map or list that is being read.
struct Open {
    /// Values to come.
    left: u64,
    /// The number of the next member of a list; `None` for a map.
    next: Option<u64>,
    /// Bytes of its name.
    name: usize,
}

struct Reader<'a, S> {
    meter: &'a Meter,
    source: &'a S,
    /// The next byte.
    at: u64,
    /// Bytes of the file from `start`.
    chunk: Vec<u8>,
    start: u64,
}

impl<S: ByteSource> Reader<'_, S> {
    fn end(&self, count: u64) -> Result<u64, FlaxProblem> {
        let length = self.source.length();
        let end = self.at.checked_add(count).filter(|end| *end <= length);
        end.ok_or(FlaxProblem::Truncated { byte: length })
    }

    fn skip(&mut self, count: u64) -> Result<(), FlaxProblem> {
        self.at = self.end(count)?;
        Ok(())
    }

    async fn take(&mut self, count: u64) -> Result<&[u8], Stop> {
        let end = self.end(count)?;
        let known = self.start.saturating_add(self.chunk.len() as u64);
        if self.at < self.start || end > known {
            let stop = self.at.saturating_add(AHEAD.max(count)).min(self.source.length());
            self.chunk = self.meter.read(self.source, self.at..stop).await?;
            self.start = self.at;
        }
        let from = self.at.saturating_sub(self.start) as usize;
        self.at = end;
        Ok(&self.chunk[from..][..count as usize])
    }

    async fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1).await?[0])
    }

    /// A number of `bytes` bytes, the most significant first.
    async fn number(&mut self, bytes: u64) -> Result<u64, Stop> {
        let mut whole = [0; 8];
        let taken = self.take(bytes).await?;
        whole[8_usize.saturating_sub(taken.len())..].copy_from_slice(taken);
        Ok(u64::from_be_bytes(whole))
    }

    /// The length of a text whose code is `code`. `None` for another code.
    async fn text_length(&mut self, code: u8) -> Result<Option<u64>, Stop> {
        Ok(Some(match code {
            0xa0..=0xbf => u64::from(code & 0x1f),
            0xd9..=0xdb => self.number(width(code, 0xd9)).await?,
            _ => return Ok(None),
        }))
    }

    async fn text(&mut self) -> Result<String, Stop> {
        let byte = self.at;
        let code = self.byte().await?;
        let length = self.text_length(code).await?.filter(|length| *length <= MAX_KEY_BYTES);
        let length = length.ok_or(FlaxProblem::Key { byte })?;
        let text = std::str::from_utf8(self.take(length).await?).map(str::to_owned);
        text.map_err(|_| FlaxProblem::Key { byte }.into())
    }

    /// Members of a list whose code is `code`. `None` for another code.
    async fn list_length(&mut self, code: u8) -> Result<Option<u64>, Stop> {
        Ok(Some(match code {
            0x90..=0x9f => u64::from(code & 0xf),
            0xdc | 0xdd => self.number(width(code, 0xdb)).await?,
            _ => return Ok(None),
        }))
    }

    /// A number that is not negative.
    async fn size(&mut self) -> Result<Option<u64>, Stop> {
        Ok(Some(match self.byte().await? {
            code @ 0..=0x7f => code.into(),
            code @ 0xcc..=0xcf => self.number(width(code, 0xcc)).await?,
            _ => return Ok(None),
        }))
    }

    /// Reads the whole file.
    async fn walk(&mut self) -> Result<Vec<Entry>, Stop> {
        let (mut entries, mut name, mut names, mut values) = (Vec::new(), String::new(), 0_usize, 0_u64);
        let mut stack: Vec<Open> = Vec::new();
        loop {
            values = values.saturating_add(1);
            if values > MAX_VALUES || stack.len() > MAX_DEPTH || names > MAX_NAME_BYTES {
                return Err(FlaxProblem::TooMuch.into());
            }
            let byte = self.at;
            match self.byte().await? {
                code @ (0x80..=0x8f | 0xde | 0xdf) => {
                    let left = if code < 0x90 {
                        u64::from(code & 0xf)
                    } else {
                        self.number(width(code, 0xdd)).await?
                    };
                    stack.push(Open { left, next: None, name: name.len() });
                }
                code @ (0x90..=0x9f | 0xdc | 0xdd) => {
                    let left = self.list_length(code).await?.unwrap_or(0);
                    stack.push(Open { left, next: Some(0), name: name.len() });
                }
                code @ (0xc7..=0xc9 | 0xd4..=0xd8) => {
                    let length = match code {
                        0xc7..=0xc9 => self.number(width(code, 0xc7)).await?,
                        _ => 1_u64.wrapping_shl(code.saturating_sub(0xd4).into()),
                    };
                    let kind = self.byte().await?;
                    let end = self.end(length)?;
                    if kind == ARRAY {
                        names = names.saturating_add(name.len());
                        entries.push(self.array(&name, end).await?);
                    }
                    self.at = end;
                }
                0..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => {}
                code @ (0xa0..=0xbf | 0xd9..=0xdb) => {
                    let length = self.text_length(code).await?.unwrap_or(0);
                    self.skip(length)?;
                }
                code @ 0xc4..=0xc6 => {
                    let length = self.number(width(code, 0xc4)).await?;
                    self.skip(length)?;
                }
                0xca => self.skip(4)?,
                0xcb => self.skip(8)?,
                code @ 0xcc..=0xcf => self.skip(width(code, 0xcc))?,
                code @ 0xd0..=0xd3 => self.skip(width(code, 0xd0))?,
                code => return Err(FlaxProblem::Code { byte, code }.into()),
            }
            // The name of the next value, after the ends of what is complete.
            loop {
                let Some(open) = stack.last_mut() else {
                    let left = self.source.length().saturating_sub(self.at);
                    return if left == 0 { Ok(entries) } else { Err(FlaxProblem::Rest { left }.into()) };
                };
                name.truncate(open.name);
                if open.left == 0 {
                    stack.pop();
                    continue;
                }
                open.left = open.left.saturating_sub(1);
                let own = match &mut open.next {
                    None => self.text().await?,
                    Some(next) => {
                        let own = next.to_string();
                        *next = next.saturating_add(1);
                        own
                    }
                };
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&own);
                break;
            }
        }
    }

    /// The array that ends at `end`: a list of its shape, the name of its type, and its bytes.
    async fn array(&mut self, name: &str, end: u64) -> Result<Entry, Stop> {
        let byte = self.at;
        let odd = || FlaxProblem::Array { array: name.to_owned(), byte };
        let code = self.byte().await?;
        if self.list_length(code).await? != Some(3) {
            return Err(odd().into());
        }
        let code = self.byte().await?;
        let dimensions =
            self.list_length(code).await?.filter(|count| *count <= MAX_DIMENSIONS).ok_or_else(odd)?;
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.size().await?.ok_or_else(odd)?);
        }
        let kind = match self.text().await {
            Err(Stop::Problem(FlaxProblem::Key { .. })) => return Err(odd().into()),
            read => read?,
        };
        let length = match self.byte().await? {
            code @ 0xc4..=0xc6 => self.number(width(code, 0xc4)).await?,
            _ => return Err(odd().into()),
        };
        let begin = self.at;
        if self.end(length)? != end {
            return Err(odd().into());
        }
        let (dtype, size) = element(&kind);
        let needed = shape.iter().try_fold(size, |bytes, size| bytes.checked_mul(*size));
        let is_known = !matches!(dtype, TensorType::Unknown(_));
        if is_known && needed != Some(length) {
            return Err(FlaxProblem::Size { array: name.to_owned(), shape }.into());
        }
        if shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size)).is_none() {
            return Err(FlaxProblem::Size { array: name.to_owned(), shape }.into());
        }
        Ok(Entry { name: name.to_owned(), dtype, shape, begin, end, strides: None })
    }
}

/// Bytes of the number behind a code, if codes of 1, 2, 4 and 8 bytes begin at `first`.
fn width(code: u8, first: u8) -> u64 {
    1_u64.wrapping_shl(code.saturating_sub(first).min(3).into())
}

/// Names the arrays that lie in pieces, which are not read, once each. Flax cuts arrays of more than a gigabyte.
fn joined(entries: Vec<Entry>) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let Some((whole, piece)) = entry.name.rsplit_once(".chunks.") else {
            kept.push(entry);
            continue;
        };
        if !piece.bytes().all(|byte| byte.is_ascii_digit()) {
            kept.push(entry);
        } else if kept.last().is_none_or(|last| last.name != whole) {
            entry.name = whole.to_owned();
            entry.dtype = TensorType::Unknown("array in several pieces".to_owned());
            (entry.shape, entry.begin, entry.end) = (Vec::new(), 0, 0);
            kept.push(entry);
        }
    }
    kept
}

/// The parameters of the model. What lies beside them is the state of training.
fn chosen(path: &str, entries: Vec<Entry>, warnings: &mut Vec<Warning>) -> Vec<Entry> {
    const PARAMETERS: &str = "params.";
    let is_state = |name: &str| {
        let first = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        first == "opt_state" || TRAINING.iter().any(|word| first.contains(word))
    };
    let total = entries.len();
    let has = |entries: &[Entry]| entries.iter().any(|entry| entry.name.starts_with(PARAMETERS));
    let mut kept = entries;
    let mut below = String::new();
    while has(&kept) && below.len() < MAX_DEPTH.saturating_mul(PARAMETERS.len()) {
        kept.retain(|entry| entry.name.starts_with(PARAMETERS));
        kept.iter_mut().for_each(|entry| _ = entry.name.drain(..PARAMETERS.len()));
        below.push_str(PARAMETERS);
    }
    if below.is_empty() && kept.iter().any(|entry| !is_state(&entry.name)) {
        kept.retain(|entry| !is_state(&entry.name));
    }
    if kept.len() < total {
        let message = format!(
            "`{path}`: of {total} arrays, the {} parameters of the model are inspected, and what lies beside them is left out",
            kept.len()
        );
        warnings.push(Warning::new(WarningCode::StateChosen, path, message));
    }
    kept
}

/// The name and layout that PyTorch's code has for an array of Flax: `kernel`, `scale` and `embedding` are called `weight`, and a kernel is
/// stored in × out. `separator` is between the parts of names. `None` if they are the same.
pub(super) fn as_in_pytorch(entry: &Entry, separator: char) -> Option<(String, Vec<u64>, Option<Strides>)> {
    let (module, own) = entry.name.rsplit_once(separator)?;
    let whole = || entry.strides.is_none().then_some(());
    let (shape, strides) = match (own, entry.shape.as_slice()) {
        ("scale", [_]) | ("embedding", [_, _]) => (entry.shape.clone(), entry.strides.clone()),
        ("kernel", shape) => {
            whole()?;
            kernel(shape)?
        }
        _ => return None,
    };
    Some((format!("{}.weight", module.replace(separator, ".")), shape, strides))
}

/// The shape and strides of a kernel in PyTorch's order: of a linear map, or of a convolution of images. `None` for another.
pub(super) fn kernel(shape: &[u64]) -> Option<(Vec<u64>, Option<Strides>)> {
    Some(match *shape {
        [inputs, outputs] => turned([outputs, inputs], [1, outputs]),
        [height, columns, inputs, outputs] => {
            let row = inputs.checked_mul(outputs)?;
            turned([outputs, inputs, height, columns], [1, outputs, row.checked_mul(columns)?, row])
        }
        _ => return None,
    })
}

fn turned<const N: usize>(shape: [u64; N], strides: [u64; N]) -> (Vec<u64>, Option<Strides>) {
    let strides = if shape.contains(&0) { None } else { Strides::of(&shape, &strides) };
    (shape.to_vec(), strides)
}
