//! Files become one catalogue of tensors: names, dtypes, shapes and byte ranges, with the configuration beside it.

pub mod adapter_names;
pub mod address;
#[cfg(feature = "more-formats")]
pub mod arrays;
pub mod buffer;
mod check;
#[cfg(feature = "more-formats")]
mod chunks;
pub mod config;
mod copies;
pub mod dtype;
#[cfg(feature = "more-formats")]
pub mod flax;
pub mod formats;
pub mod gather;
pub mod gguf;
#[cfg(feature = "more-formats")]
pub mod hdf5;
pub mod header;
pub mod index;
#[cfg(feature = "more-formats")]
mod joined;
pub(crate) mod json;
#[cfg(any(feature = "verify", feature = "more-formats"))]
pub(crate) mod npy;
#[cfg(feature = "onnx")]
pub mod onnx;
mod open;
mod packed;
mod partial;
#[cfg(feature = "pytorch")]
pub mod pytorch;
mod read;
pub mod remote;
mod strides;
mod wrapped;

use crate::order;
use crate::report::Warning;
use crate::source::{ByteSource, Meter, SourceError, Transfer, at_once, coalesce};
use config::Config;
use dtype::{DecodeError, TensorType};
use futures_util::FutureExt;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;

pub use formats::Format;
pub use open::{HeadersRead, open, open_any};
pub use strides::Strides;

/// Tensors with more values than this are not read: no norm has so long a scale, whatever the name says. The widest known streams
/// have tens of thousands.
pub(crate) const MAX_VALUES: u64 = 1 << 22;

/// Shards whose norms are read at the same time.
const SHARDS_AT_ONCE: usize = 4;

/// Why the given files make no checkpoint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing was given.
    #[error(
        "no file was given; give a .safetensors, .gguf, .onnx or PyTorch file, several shards or the folder that holds them"
    )]
    NoFiles,
    /// Nothing that was given is a checkpoint this tool reads.
    #[error("{0}")]
    NotACheckpoint(String),
    /// The files belong to several checkpoints.
    #[error("{}", several(.0))]
    Several(Vec<gather::Gathered>),
    /// The header of a shard is damaged.
    #[error(transparent)]
    Header(#[from] header::HeaderError),
    /// A GGUF file is damaged, or Gammascope does not read its kind.
    #[error(transparent)]
    Gguf(#[from] gguf::GgufError),
    /// A PyTorch file is damaged, or holds no tensor.
    #[cfg(feature = "pytorch")]
    #[error(transparent)]
    PyTorch(#[from] pytorch::PyTorchError),
    /// An ONNX file is damaged.
    #[cfg(feature = "onnx")]
    #[error(transparent)]
    Onnx(#[from] onnx::OnnxError),
    /// An archive of NumPy arrays is damaged, or has none that can be read.
    #[cfg(feature = "more-formats")]
    #[error(transparent)]
    Arrays(#[from] arrays::ArraysError),
    /// A file of Flax is damaged, or holds no array.
    #[cfg(feature = "more-formats")]
    #[error(transparent)]
    Flax(#[from] flax::FlaxError),
    /// A file of HDF5 is damaged, or has no array that can be read.
    #[cfg(feature = "more-formats")]
    #[error(transparent)]
    Hdf5(#[from] hdf5::Hdf5Error),
    /// A file of a format that this build does not read; the whole library does.
    #[error("`{0}` is of a format that this part of Gammascope does not read; open it with the whole of it")]
    Elsewhere(String),
    /// The index is damaged.
    #[error(transparent)]
    Index(#[from] index::IndexError),
    /// Reading failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// How many checkpoints an error names. It only counts the others.
const MOST_NAMED: usize = 8;

fn several(checkpoints: &[gather::Gathered]) -> String {
    let named: Vec<String> =
        checkpoints.iter().take(MOST_NAMED).map(|one| format!("`{}`", one.name)).collect();
    let more = match checkpoints.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "these files are {} checkpoints: {}{more}; Gammascope inspects one at a time, so choose one of them",
        checkpoints.len(),
        named.join(", ")
    )
}

/// One tensor of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name, with `folder/` before it when the checkpoint spans several folders.
    pub name: String,
    /// Element type.
    pub dtype: TensorType,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Which shard holds it.
    pub shard: usize,
    /// Its bytes, from its first element to its last, counted from the start of the shard's file.
    pub range: Range<u64>,
    /// Strides, if its values do not lie in the order of its shape.
    pub strides: Option<Strides>,
}

impl Tensor {
    /// Number of elements. The header walk has checked that it fits.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Number of bytes that reading it gives, from its first element to its last.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Number of bytes in the file. It differs from [`Tensor::bytes`] for a weight that is decoded as it is read.
    pub fn stored_bytes(&self) -> u64 {
        match &self.dtype {
            TensorType::Unpacked(unpacked) => unpacked.bytes,
            _ => self.bytes(),
        }
    }

    /// The bytes of the values `values`, counted from its first in the order of the file. `None` if it has fewer, or if they do not begin
    /// and end between two blocks.
    pub fn bytes_of(&self, values: &Range<u64>) -> Option<Range<u64>> {
        let (count, size) = self.dtype.piece()?;
        let at = |value: u64| {
            let bytes = (value / count).checked_mul(size).filter(|_| value.is_multiple_of(count))?;
            self.range.start.checked_add(bytes).filter(|at| *at <= self.range.end)
        };
        Some(at(values.start)?..at(values.end)?)
    }

    /// The part of a strided tensor with these values, if they are whole slices of its outermost dimension, such as the matrix of one expert.
    /// Its range goes from the first element of the part to its last.
    pub fn outermost(&self, values: &Range<u64>) -> Option<Self> {
        let strides = self.strides.as_ref()?;
        let (1, size) = self.dtype.piece()? else { return None };
        let (slices, inner) = self.shape.split_first()?;
        let (&step, steps) = strides.steps().split_first()?;
        let of_slice: u64 = inner.iter().product();
        let (first, count) = (values.start.checked_div(of_slice)?, (values.end - values.start) / of_slice);
        let whole = values.start.is_multiple_of(of_slice) && values.end.is_multiple_of(of_slice);
        if !whole || count == 0 || first.checked_add(count)? > *slices {
            return None;
        }
        let reach = |size: u64, step: u64| (size - 1).checked_mul(step);
        let mut elements = reach(count, step)?.checked_add(1)?;
        for (size, step) in inner.iter().zip(steps) {
            elements = elements.checked_add(reach(*size, *step)?)?;
        }
        let begin = self.range.start.checked_add(first.checked_mul(step)?.checked_mul(size)?)?;
        let range = begin..begin.checked_add(elements.checked_mul(size)?)?;
        let shape: Vec<u64> = std::iter::once(count).chain(inner.iter().copied()).collect();
        let strides = Strides::of(&shape, strides.steps());
        (range.end <= self.range.end).then(|| Self { shape, range, strides, ..self.clone() })
    }

    /// Puts the bytes of [`Tensor::range`] into the order of the shape.
    pub fn in_order(&self, bytes: Vec<u8>) -> Vec<u8> {
        match (&self.strides, self.dtype.piece()) {
            (Some(strides), Some((1, size))) => strides.in_order(&self.shape, &bytes, size as usize),
            _ => bytes,
        }
    }

    /// Whether two names stand for the same numbers of one file, as tied tensors do in a PyTorch file.
    pub(crate) fn is_tied_to(&self, other: &Self) -> bool {
        self.bytes() > 0
            && self.shard == other.shard
            && self.range == other.range
            && self.shape == other.shape
            && self.strides == other.strides
            && self.dtype == other.dtype
    }
}

/// An opened checkpoint: its catalogue, its shards and its configurations.
#[derive(Debug)]
pub struct Checkpoint<S> {
    /// Folder or file name.
    pub name: String,
    /// Format of the shards.
    pub format: Format,
    /// The shards, in the order of the catalogue.
    pub shards: Vec<S>,
    /// What each shard says about itself: `__metadata__` of a safetensors file, the lists in the metadata of a GGUF file.
    metadata: Vec<header::Metadata>,
    /// Shards that an index or a number in a name promises, but that are missing or damaged.
    pub missing_shards: Vec<String>,
    /// Every tensor, sorted by name with numbers in their numeric order. Names are those of the model's own code.
    pub tensors: Vec<Tensor>,
    /// Names that unwrapping changed, each with the name in the file. Sorted.
    stored_names: Vec<(String, String)>,
    /// The graphs of ONNX files, each with what precedes the names of its tensors in the catalogue.
    #[cfg(feature = "onnx")]
    pub graphs: Vec<(String, onnx::graph::Graph)>,
    /// Configurations, each for the part of the catalogue below its prefix.
    pub configs: Vec<Config>,
    /// The files of [`formats::FOR_RUNS`], those beside the weights first.
    for_runs: Vec<S>,
    /// What was odd about the files.
    pub warnings: Vec<Warning>,
    /// Bytes of headers, index and configuration that were read.
    pub header_bytes: u64,
    /// Tensors that lie in several places.
    #[cfg(feature = "more-formats")]
    joined: joined::Joined,
    /// Weights that are decoded as they are read.
    #[cfg(feature = "verify")]
    unpacked: Box<packed::values::Addresses>,
    meter: Meter,
    weights: Meter,
}

/// The order of a catalogue: by name, with numbers in their numeric order. Names in a catalogue share long beginnings, so these
/// are compared as bytes, up to the last dot before the names differ.
#[inline(never)]
pub(crate) fn compare_names(a: &str, b: &str) -> Ordering {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let from = a.as_bytes()[..same].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    alphanumeric_sort::compare_str(&a[from..], &b[from..])
}

impl<S> Checkpoint<S> {
    /// The name that a tensor has in the file: [`Tensor::name`], unless unwrapping changed it.
    pub fn stored_name<'a>(&'a self, name: &'a str) -> &'a str {
        order::value_of(&self.stored_names, name).map_or(name, String::as_str)
    }

    /// Sorts the catalogue, after names were added or changed.
    fn sort(&mut self) {
        order::sort_by(&mut self.tensors, |a, b| compare_names(&a.name, &b.name));
    }
}

impl<S> Checkpoint<S> {
    /// Whether its files have the graph of the network.
    pub fn has_graph(&self) -> bool {
        #[cfg(feature = "onnx")]
        return !self.graphs.is_empty();
        #[cfg(not(feature = "onnx"))]
        false
    }
}

impl<S: ByteSource> Checkpoint<S> {
    /// Bytes read so far to reach the verdict: headers, index, configuration and norm tensors.
    pub fn bytes_read(&self) -> u64 {
        self.meter.bytes()
    }

    /// Bytes of weights sampled so far, which [`Checkpoint::bytes_read`] leaves out.
    pub fn weight_bytes_read(&self) -> u64 {
        self.weights.bytes()
    }

    /// Reads a byte range of a shard's weights.
    pub async fn read_weights(&self, shard: usize, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        #[cfg(feature = "verify")]
        if range.start >= packed::values::FIRST {
            return self.read_unpacked(&self.weights, &range).await;
        }
        self.read_stored(&self.weights, shard, range).await
    }

    /// Reads a byte range of a shard, which may be addresses of a tensor that lies in several places.
    async fn read_stored(
        &self,
        meter: &Meter,
        shard: usize,
        range: Range<u64>,
    ) -> Result<Vec<u8>, SourceError> {
        #[cfg(feature = "more-formats")]
        if range.start >= joined::FIRST {
            let mut read = Ok(Vec::new());
            let ranges = std::slice::from_ref(&range);
            self.joined.read_many(meter, &self.shards, ranges, |_, bytes| read = bytes).await;
            return read;
        }
        meter.read(&self.shards[shard], range).await
    }

    /// Reads ranges of a shard, in rising order, as [`ByteSource::read_many`] does. They may be addresses of tensors that lie in several
    /// places, or that are decoded.
    #[cfg(feature = "more-formats")]
    async fn read_ranges(
        &self,
        meter: &Meter,
        shard: usize,
        ranges: &[Range<u64>],
        mut take: impl FnMut(usize, Result<Vec<u8>, SourceError>),
    ) {
        let (own, joined) = ranges.split_at(ranges.partition_point(|range| range.start < joined::FIRST));
        meter.read_many(&self.shards[shard], own, &mut take).await;
        #[cfg(feature = "verify")]
        let (joined, decoded) =
            joined.split_at(joined.partition_point(|range| range.start < packed::values::FIRST));
        let joined_take = |index: usize, bytes| take(own.len() + index, bytes);
        self.joined.read_many(meter, &self.shards, joined, joined_take).await;
        #[cfg(feature = "verify")]
        for (index, range) in decoded.iter().enumerate() {
            take(own.len() + joined.len() + index, self.read_unpacked(meter, range).await);
        }
    }

    /// Where the first byte of a tensor lies in the file of its shard.
    pub fn offset(&self, tensor: &Tensor) -> u64 {
        #[cfg(feature = "verify")]
        if tensor.range.start >= packed::values::FIRST {
            return self.unpacked.offset(&tensor.range);
        }
        #[cfg(feature = "more-formats")]
        if tensor.range.start >= joined::FIRST {
            return self.joined.parts(&tensor.range).first().map_or(0, |piece| piece.range.start);
        }
        tensor.range.start
    }

    /// Path and bytes of one of [`formats::FOR_RUNS`], if it is there. The report does not count these bytes: nothing in it comes
    /// from them.
    pub async fn for_run(&self, name: &str) -> Option<Result<(String, Vec<u8>), SourceError>> {
        let named = |source: &&S| gather::file_name(source.path()).eq_ignore_ascii_case(name);
        let source = self.for_runs.iter().find(named)?;
        let read = Meter::default().read(source, 0..source.length().min(open::MAX_JSON_BYTES)).await;
        Some(read.map(|bytes| (source.path().to_owned(), bytes)))
    }

    /// What was transferred over a network, if anything was.
    pub fn transfer(&self) -> Option<Transfer> {
        self.shards.iter().find_map(ByteSource::transfer)
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(ByteSource::length).sum()
    }

    /// Elements of all tensors but buffers. Tied tensors count once.
    pub fn parameters(&self) -> u64 {
        let is_trained = |tensor: &&Tensor| !buffer::is_buffer(&tensor.name, &tensor.shape);
        let mut trained: Vec<&Tensor> = self.tensors.iter().filter(is_trained).collect();
        // No other format has two names for the same bytes of one file.
        if self.format == Format::PyTorch {
            order::sort_by_key(&mut trained, |tensor| (tensor.shard, tensor.range.start, tensor.range.end));
            trained.dedup_by(|a, b| a.is_tied_to(b));
        }
        // The sizes of unknown types are unchecked, so their sum may overflow.
        trained.into_iter().map(Tensor::elements).fold(0, u64::saturating_add)
    }

    /// Whether the metadata of a tensor's file say that MLX wrote it.
    pub fn is_by_mlx(&self, tensor: &Tensor) -> bool {
        self.metadata_of(tensor.shard)
            .iter()
            .any(|(key, library)| key == "format" && library.eq_ignore_ascii_case("mlx"))
    }

    /// `__metadata__` of a safetensors shard, or the lists in the metadata of a GGUF shard.
    pub fn metadata_of(&self, shard: usize) -> &[(String, String)] {
        self.metadata.get(shard).map_or(&[], Vec::as_slice)
    }

    /// The configuration that applies to a tensor or site: the one with the longest prefix of its name.
    pub fn config_of(&self, name: &str) -> Option<&Config> {
        self.configs
            .iter()
            .filter(|config| name.starts_with(&config.prefix))
            .max_by_key(|config| config.prefix.len())
    }

    /// Reads and decodes the tensors at `wanted` (indices into `tensors`), coalescing neighbours into one read and reporting
    /// (tensors done, bytes read) as it goes. A tensor that is too long, or that cannot be decoded or read, gets its own error.
    /// The others are still read.
    pub async fn read(
        &self,
        wanted: &[usize],
        mut progress: impl FnMut(usize, u64),
    ) -> Vec<Result<Vec<f64>, TensorError>> {
        self.read_telling(wanted, &self.meter, &mut progress).await
    }

    /// The values of one tensor that the user wants to see. The report does not count these bytes: nothing in it comes from them.
    pub async fn values(&self, index: usize) -> Result<Vec<f64>, TensorError> {
        let mut read = self.read_telling(&[index], &Meter::default(), &mut |_, _| {}).await;
        read.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// [`Checkpoint::read`] with a dynamic `progress`, so that it is compiled only once.
    async fn read_telling(
        &self,
        wanted: &[usize],
        meter: &Meter,
        progress: &mut dyn FnMut(usize, u64),
    ) -> Vec<Result<Vec<f64>, TensorError>> {
        let mut results: Vec<Option<Result<Vec<f64>, TensorError>>> = vec![None; wanted.len()];
        let mut of_shard: Vec<Vec<usize>> = vec![Vec::new(); self.shards.len()];
        for (slot, &index) in wanted.iter().enumerate() {
            let tensor = &self.tensors[index];
            match tensor.dtype.decodable() {
                Ok(()) if tensor.bytes() == 0 => results[slot] = Some(Ok(Vec::new())),
                Ok(()) if tensor.elements() > MAX_VALUES => {
                    results[slot] = Some(Err(TensorError::TooLong(tensor.name.clone(), tensor.elements())))
                }
                Ok(()) if tensor.bytes() > 8 * MAX_VALUES => {
                    results[slot] = Some(Err(TensorError::Spread(tensor.name.clone(), tensor.bytes())))
                }
                Ok(()) => of_shard[tensor.shard].push(slot),
                Err(error) => results[slot] = Some(Err(TensorError::Decode(tensor.name.clone(), error))),
            }
        }
        let done = wanted.len() - of_shard.iter().map(Vec::len).sum::<usize>();
        let state = RefCell::new((results, done, progress));
        let of_one = |shard: usize, mut slots: Vec<usize>| {
            let state = &state;
            order::sort_by_key(&mut slots, |&slot| self.tensors[wanted[slot]].range.start);
            let ranges: Vec<Range<u64>> =
                slots.iter().map(|&slot| self.tensors[wanted[slot]].range.clone()).collect();
            let reads = coalesce(&ranges);
            let reading = async move {
                let take = |index: usize, bytes: Result<Vec<u8>, SourceError>| {
                    let (results, done, progress) = &mut *state.borrow_mut();
                    let read = &reads[index];
                    let inside = |slot: &&usize| {
                        let range = &self.tensors[wanted[**slot]].range;
                        read.start <= range.start && range.end <= read.end
                    };
                    let first =
                        slots.partition_point(|&slot| self.tensors[wanted[slot]].range.start < read.start);
                    for &slot in slots[first..].iter().take_while(inside) {
                        results[slot] = Some(self.decode(&self.tensors[wanted[slot]], read, &bytes));
                        *done += 1;
                    }
                    progress(*done, meter.bytes());
                };
                #[cfg(feature = "more-formats")]
                self.read_ranges(meter, shard, &reads, take).await;
                #[cfg(not(feature = "more-formats"))]
                meter.read_many(&self.shards[shard], &reads, take).await;
            };
            reading.boxed_local()
        };
        let shards = of_shard.into_iter().enumerate().filter(|(_, slots)| !slots.is_empty());
        at_once(SHARDS_AT_ONCE, shards.map(|(shard, slots)| of_one(shard, slots)).collect()).await;
        let (results, ..) = state.into_inner();
        results.into_iter().flatten().collect()
    }

    /// The values of a tensor that lies inside `read`.
    fn decode(
        &self,
        tensor: &Tensor,
        read: &Range<u64>,
        bytes: &Result<Vec<u8>, SourceError>,
    ) -> Result<Vec<f64>, TensorError> {
        let bytes =
            bytes.as_ref().map_err(|error| TensorError::Source(tensor.name.clone(), error.clone()))?;
        let start = (tensor.range.start - read.start) as usize;
        let part = &bytes[start..start + tensor.bytes() as usize];
        let decoded = match tensor.strides {
            Some(_) => tensor.dtype.decode(&tensor.in_order(part.to_vec())),
            None => tensor.dtype.decode(part),
        };
        decoded.map_err(|error| TensorError::Decode(tensor.name.clone(), error))
    }
}

/// Why the values of one tensor are not available.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorError {
    /// There is no tensor of this name.
    #[error("there is no tensor `{0}` in this checkpoint")]
    Missing(String),
    /// Its dtype is not one we decode.
    #[error("tensor `{0}`: {1}")]
    Decode(String, DecodeError),
    /// It has more values than any norm.
    #[error(
        "tensor `{0}`: {1} values are more than any norm has ({MAX_VALUES} at most), so they were not read"
    )]
    TooLong(String, u64),
    /// It is a view whose values lie far apart.
    #[error(
        "tensor `{0}`: its values are spread over {1} bytes, so they were not read; save it again with .contiguous()"
    )]
    Spread(String, u64),
    /// Its bytes could not be read.
    #[error("tensor `{0}`: {1}")]
    Source(String, SourceError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_of_values_are_those_of_whole_blocks() {
        let tensor = |dtype: TensorType, shape: &[u64], range: Range<u64>| Tensor {
            name: String::new(),
            dtype,
            shape: shape.to_vec(),
            shard: 0,
            range,
            strides: None,
        };
        let single = tensor(TensorType::parse("F32"), &[4], 10..26);
        assert_eq!(single.bytes_of(&(1..3)), Some(14..22));
        assert_eq!(single.bytes_of(&(1..5)), None, "it has four");
        let blocks = tensor(TensorType::of_gguf(2), &[2, 64], 100..172);
        assert_eq!(blocks.bytes_of(&(32..128)), Some(118..172));
        assert_eq!(blocks.bytes_of(&(0..16)), None, "half a block");
        assert_eq!(blocks.bytes_of(&(0..u64::MAX)), None);
    }

    proptest! {
        #[test]
        fn slices_of_a_view_are_those_of_the_whole(
            sizes in prop::array::uniform3(1u64..5),
            order in Just([0usize, 1, 2]).prop_shuffle(),
            cut in (0u64..5, 0u64..5),
        ) {
            // The values of a dense tensor whose dimensions lie in another order.
            let mut strides = [0; 3];
            let mut step = 1;
            for dimension in order {
                strides[dimension] = step;
                step *= sizes[dimension];
            }
            let Some(view) = Strides::of(&sizes, &strides) else { return Ok(()) };
            let (name, dtype) = (String::new(), TensorType::parse("U8"));
            let file: Vec<u8> = (0..100).collect();
            let range = 10..10 + step;
            let whole = Tensor { name, dtype, shape: sizes.to_vec(), shard: 0, range, strides: Some(view) };
            let read = |tensor: &Tensor| {
                tensor.in_order(file[tensor.range.start as usize..tensor.range.end as usize].to_vec())
            };
            let slice = sizes[1] * sizes[2];
            let (first, end) = (cut.0.min(cut.1).min(sizes[0] - 1), cut.0.max(cut.1).min(sizes[0]));
            let values = first * slice..end.max(first + 1) * slice;
            let part = whole.outermost(&values).unwrap();
            prop_assert_eq!(read(&part), &read(&whole)[values.start as usize..values.end as usize]);
            prop_assert_eq!(whole.outermost(&(values.start..values.start)), None);
            prop_assert_eq!(whole.outermost(&(0..slice * (sizes[0] + 1))), None);
        }

        #[test]
        fn names_are_compared_as_if_whole(
            before in "[a-b0-2.]{0,6}",
            a in "[a-b0-2.é點]{0,6}",
            b in "[a-b0-2.é點]{0,6}",
        ) {
            let (a, b) = (format!("{before}{a}"), format!("{before}{b}"));
            prop_assert_eq!(compare_names(&a, &b), alphanumeric_sort::compare_str(&a, &b));
        }
    }
}
