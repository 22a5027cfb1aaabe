//! Tensors of a checkpoint. Small ones are decoded to f32, matrices go to a device in their own type.

use super::ForwardError;
use super::ahead::{AT_ONCE, Ahead, Piece, pieces};
use super::edit::Edit;
use super::kernels::{Kernels, Shape};
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::architecture::{Architecture, Linear, Read};
use crate::model::operation::Layout;
use crate::source::{ByteSource, SourceError};
use safetensors::Dtype;
use std::cell::RefCell;
use std::ops::Range;

/// Least number of bytes to read ahead. For a small model these are several blocks.
pub const AHEAD: u64 = 2 * AT_ONCE;

/// The tensors of a checkpoint, and the edits of its linear maps.
pub(super) struct Weights<'a, S> {
    checkpoint: &'a Checkpoint<S>,
    tensors: &'a [Tensor],
    edits: &'a [Edit],
    ahead: RefCell<Ahead<'a>>,
}

/// A matrix on a device.
pub(super) struct Loaded<K: Kernels> {
    shape: Shape,
    weight: K::Weight,
    bias: Option<K::Values>,
}

impl<K: Kernels> Loaded<K> {
    /// Computes y (n × m) from x (n × k).
    pub(super) fn apply(&self, kernels: &K, x: &K::Values) -> K::Values {
        kernels.linear(x, &self.weight, self.shape, self.bias.as_ref())
    }
}

impl<'a, S: ByteSource> Weights<'a, S> {
    /// `tensors` are those that the numbers of an architecture refer to.
    pub(super) fn new(checkpoint: &'a Checkpoint<S>, tensors: &'a [Tensor]) -> Self {
        Self { checkpoint, tensors, edits: &[], ahead: RefCell::default() }
    }

    /// Checks that the matrices of an architecture are stored in types that are decoded, before a pass begins.
    pub(super) fn are_decoded(&self, architecture: &Architecture) -> Result<(), ForwardError> {
        let tables = architecture.embedding.tokens().into_iter().flat_map(|embedding| {
            [embedding.tokens].into_iter().chain(embedding.inputs.iter().map(|inputs| inputs.table))
        });
        let head = architecture.head.as_ref().map(|head| head.unembedding.weight);
        let maps = architecture.matrices().map(|linear| linear.weight);
        let mut matrices = maps.chain(tables).chain(head).map(|tensor| self.at(tensor));
        matrices
            .find(|tensor| tensor.dtype.decodable().is_err())
            .map_or(Ok(()), |tensor| Err(undecoded(tensor)))
    }

    /// Returns the same tensors with other edits.
    pub(super) fn edited<'b>(&self, edits: &'b [Edit]) -> Weights<'b, S>
    where
        'a: 'b,
    {
        Weights { checkpoint: self.checkpoint, tensors: self.tensors, edits, ahead: RefCell::default() }
    }

    /// Begins these reads, each with its block, ahead of their use. Reads announced before are forgotten.
    pub(super) fn look_ahead(&self, reads: impl Iterator<Item = (usize, Read)>) {
        self.ahead.replace(Ahead::of(self.checkpoint, self.tensors, reads, AHEAD));
    }

    async fn piece(&self, piece: Piece) -> Result<Vec<u8>, SourceError> {
        let begun = self.ahead.borrow_mut().take(self.checkpoint, &piece);
        match begun {
            Some(reading) => reading.await,
            None => self.checkpoint.read_weights(piece.shard, piece.range).await,
        }
    }

    /// Whether an edit changes the map with this weight.
    pub(super) fn edits(&self, weight: usize) -> bool {
        self.edits.iter().any(|edit| edit.weight == weight)
    }

    fn at(&self, tensor: usize) -> &'a Tensor {
        &self.tensors[tensor]
    }

    /// Reads all values of a tensor.
    pub(super) async fn all(&self, tensor: usize) -> Result<Vec<f32>, ForwardError> {
        let elements = self.at(tensor).elements();
        self.part(tensor, 0..elements).await
    }

    /// Reads all values of a tensor, if there is one.
    pub(super) async fn optional(&self, tensor: Option<usize>) -> Result<Option<Vec<f32>>, ForwardError> {
        match tensor {
            Some(tensor) => Ok(Some(self.all(tensor).await?)),
            None => Ok(None),
        }
    }

    /// Loads a matrix and its bias.
    pub(super) async fn linear<K: Kernels>(
        &self,
        kernels: &K,
        linear: &Linear,
    ) -> Result<Loaded<K>, ForwardError> {
        let Linear { inputs, outputs, layout, .. } = *linear;
        let weight = self.weight(kernels, linear, linear.values()).await?;
        let bias = self.bias(linear).await?.map(|bias| kernels.put(bias));
        Ok(Loaded { shape: Shape { inputs, outputs, layout }, weight, bias })
    }

    /// Returns the bias of a map (m values), edits included.
    pub(super) async fn bias(&self, linear: &Linear) -> Result<Option<Vec<f32>>, ForwardError> {
        let mut bias = match linear.bias {
            Some(tensor) => Some(self.part(tensor, linear.bias_values()).await?),
            None => None,
        };
        for edit in self.edits.iter().filter(|edit| edit.weight == linear.weight) {
            let Some(added) = &edit.bias else { continue };
            let bias = bias.get_or_insert_with(|| vec![0.0; linear.outputs]);
            bias.iter_mut().zip(added).for_each(|(bias, add)| *bias = (f64::from(*bias) + add) as f32);
        }
        Ok(bias)
    }

    /// Puts these values (m × k), which were computed from a tensor, on a device as a matrix.
    pub(super) fn computed<K: Kernels>(
        &self,
        kernels: &K,
        tensor: usize,
        values: &[f32],
        inputs: usize,
    ) -> Result<Loaded<K>, ForwardError> {
        let single = TensorType::Known(Dtype::F32);
        let mut weight = kernels.weight(&single, values.len()).ok_or_else(|| undecoded(self.at(tensor)))?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        kernels.fill(&mut weight, &bytes);
        let shape = Shape { inputs, outputs: values.len() / inputs, layout: Layout::OutputInput };
        Ok(Loaded { shape, weight, bias: None })
    }

    /// Loads values `elements` of the tensor of a map's weight: in the type of the tensor, or as f32 if it is edited.
    pub(super) async fn weight<K: Kernels>(
        &self,
        kernels: &K,
        linear: &Linear,
        elements: Range<u64>,
    ) -> Result<K::Weight, ForwardError> {
        let tensor = self.at(linear.weight);
        let edits: Vec<&Edit> = self.edits.iter().filter(|edit| edit.weight == linear.weight).collect();
        edits.iter().try_for_each(|edit| edit.check(linear, tensor))?;
        let values = (elements.end - elements.start) as usize;
        let single = TensorType::Known(Dtype::F32);
        let dtype = if edits.is_empty() { &tensor.dtype } else { &single };
        let mut weight = kernels.weight(dtype, values).ok_or_else(|| undecoded(tensor))?;
        let mut first = (elements.start - linear.first) as usize;
        self.pieces(linear.weight, elements, |bytes| {
            if edits.is_empty() {
                kernels.fill(&mut weight, bytes);
                return Ok(());
            }
            let mut values = Vec::new();
            tensor.dtype.decode_f32(bytes, &mut values).map_err(|_| undecoded(tensor))?;
            edits.iter().for_each(|edit| edit.add(linear, first, &mut values));
            first += values.len();
            let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
            kernels.fill(&mut weight, &bytes);
            Ok(())
        })
        .await?;
        Ok(weight)
    }

    /// Loads the first values of a tensor, at most one read. Returns them and the number of their bytes.
    pub(super) async fn first_piece<K: Kernels>(
        &self,
        kernels: &K,
        tensor: usize,
    ) -> Result<(K::Weight, u64), ForwardError> {
        let of = self.at(tensor);
        let (values, size) = of.dtype.piece().ok_or_else(|| undecoded(of))?;
        let count = (AT_ONCE / size).min(of.elements() / values);
        let elements = count * values;
        let mut weight = kernels.weight(&of.dtype, elements as usize).ok_or_else(|| undecoded(of))?;
        self.pieces(tensor, 0..elements, |bytes| {
            kernels.fill(&mut weight, bytes);
            Ok(())
        })
        .await?;
        Ok((weight, count * size))
    }

    /// Returns Σ w² over the matrix of a map.
    pub(super) async fn squares(&self, linear: &Linear) -> Result<f64, ForwardError> {
        let mut squares = 0.0;
        let add =
            |values: &[f32]| squares += values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        self.decoded(linear, add).await?;
        Ok(squares)
    }

    /// Hands over all values of the matrix of a map in memory order, a piece at a time.
    pub(super) async fn decoded(
        &self,
        linear: &Linear,
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), ForwardError> {
        let tensor = linear.weight;
        self.pieces(tensor, linear.values(), |bytes| {
            let mut values = Vec::new();
            self.at(tensor).dtype.decode_f32(bytes, &mut values).map_err(|_| undecoded(self.at(tensor)))?;
            each(&values);
            Ok(())
        })
        .await
    }

    /// Reads values `elements` of a tensor.
    pub(super) async fn part(&self, tensor: usize, elements: Range<u64>) -> Result<Vec<f32>, ForwardError> {
        let mut values = Vec::with_capacity((elements.end - elements.start) as usize);
        let dtype = &self.at(tensor).dtype;
        self.pieces(tensor, elements, |bytes| {
            dtype.decode_f32(bytes, &mut values).map_err(|_| undecoded(self.at(tensor)))
        })
        .await?;
        Ok(values)
    }

    /// Reads values `elements` of a tensor, whole blocks, a piece at a time. Of a strided tensor, it reads whole slices of the outermost
    /// dimension at once, or else the whole tensor, to put them in order.
    async fn pieces(
        &self,
        tensor: usize,
        elements: Range<u64>,
        mut each: impl FnMut(&[u8]) -> Result<(), ForwardError>,
    ) -> Result<(), ForwardError> {
        let tensor = self.at(tensor);
        let range = tensor.bytes_of(&elements).ok_or_else(|| undecoded(tensor))?;
        if tensor.strides.is_some() {
            let part = tensor.outermost(&elements);
            let alone = part.as_ref().unwrap_or(tensor);
            let mut bytes = Vec::with_capacity(alone.bytes() as usize);
            for piece in pieces(alone, alone.range.clone()) {
                let read = self.piece(piece).await;
                bytes.extend(
                    read.map_err(|error| ForwardError::Source { tensor: tensor.name.clone(), error })?,
                );
            }
            let bytes = alone.in_order(bytes);
            if part.is_some() {
                return each(&bytes);
            }
            let at = |byte: u64| (byte - tensor.range.start) as usize;
            return each(&bytes[at(range.start)..at(range.end)]);
        }
        for piece in pieces(tensor, range) {
            let read = self.piece(piece).await;
            each(&read.map_err(|error| ForwardError::Source { tensor: tensor.name.clone(), error })?)?;
        }
        Ok(())
    }

    /// Reads the rows `wanted` of a table, which are sorted. Neighbouring rows are read together.
    pub(super) async fn rows(
        &self,
        table: usize,
        wanted: &[u32],
        width: usize,
    ) -> Result<Vec<f32>, ForwardError> {
        let tensor = self.at(table);
        let total = tensor.elements() / width as u64;
        if let Some(&last) = wanted.last().filter(|last| u64::from(**last) >= total) {
            return Err(ForwardError::Id { at: 0, id: last, vocabulary: total as usize });
        }
        let row_bytes = (tensor.bytes() / total.max(1)).max(1);
        let mut rows = Vec::with_capacity(wanted.len() * width);
        let bridged = self.checkpoint.shards[tensor.shard].bridged();
        for near in wanted.chunk_by(|a, b| u64::from((b - a).saturating_sub(1)) * row_bytes <= bridged) {
            for some in within(near, (AT_ONCE / row_bytes).max(1)) {
                let first = u64::from(some[0]);
                let end = u64::from(some[some.len() - 1]) + 1;
                let values = self.part(table, first * width as u64..end * width as u64).await?;
                for row in some {
                    let at = (u64::from(*row) - first) as usize * width;
                    rows.extend_from_slice(&values[at..at + width]);
                }
            }
        }
        Ok(rows)
    }
}

/// Splits the sorted rows into parts that span at most `most` rows each.
fn within(rows: &[u32], most: u64) -> impl Iterator<Item = &[u32]> {
    let mut left = rows;
    std::iter::from_fn(move || {
        let end = u64::from(*left.first()?) + most;
        let (some, others) = left.split_at(left.partition_point(|row| u64::from(*row) < end));
        left = others;
        Some(some)
    })
}

fn undecoded(tensor: &Tensor) -> ForwardError {
    ForwardError::Type { tensor: tensor.name.clone(), dtype: tensor.dtype.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::open;
    use crate::source::memory::MemorySource;
    use pollster::block_on;

    /// Records which ranges are read, and joins reads that are at most 64 bytes apart.
    struct Told {
        file: MemorySource,
        read: RefCell<Vec<Range<u64>>>,
    }

    impl ByteSource for Told {
        fn path(&self) -> &str {
            self.file.path()
        }

        fn length(&self) -> u64 {
            self.file.length()
        }

        async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
            self.read.borrow_mut().push(range.clone());
            self.file.read(range).await
        }

        fn bridged(&self) -> u64 {
            64
        }
    }

    #[test]
    fn rows_are_read_together_where_the_source_says_that_it_pays() {
        const WIDTH: usize = 4;
        let values: Vec<f32> = (0..16 * WIDTH).map(|value| value as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let table = safetensors::tensor::TensorView::new(Dtype::F32, vec![16, WIDTH], &bytes).unwrap();
        let file =
            MemorySource::new("a.safetensors", safetensors::serialize([("table", table)], None).unwrap());
        let checkpoint = block_on(open(vec![Told { file, read: RefCell::default() }], |_| {})).unwrap();
        let (source, start) = (&checkpoint.shards[0], checkpoint.tensors[0].range.start);
        source.read.take();
        let wanted = [0, 5, 11];
        let rows = block_on(Weights::new(&checkpoint, &checkpoint.tensors).rows(0, &wanted, WIDTH)).unwrap();
        let expected = wanted.map(|row| &values[row as usize * WIDTH..][..WIDTH]);
        assert_eq!(rows, expected.concat());
        let row = |row: u64| start + 16 * row;
        // The first two rows have four rows (64 bytes) between them, the last two have five.
        assert_eq!(source.read.take(), [row(0)..row(6), row(11)..row(12)]);
    }
}
