//! Tensors of a checkpoint: small ones decoded to f32, matrices taken to a device as they are.

use super::ForwardError;
use super::kernels::{Kernels, Shape};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::architecture::Linear;
use crate::source::ByteSource;
use std::ops::Range;

/// Bytes that are read at once: in memory beside the decoded values.
const AT_ONCE: u64 = 16 << 20;

/// The tensors of a checkpoint.
pub(super) struct Weights<'a, S> {
    checkpoint: &'a Checkpoint<S>,
}

/// A matrix on a device.
pub(super) struct Loaded<K: Kernels> {
    shape: Shape,
    weight: K::Weight,
    bias: Option<K::Values>,
}

impl<K: Kernels> Loaded<K> {
    /// y (n × m) of x (n × k).
    pub(super) fn apply(&self, kernels: &K, x: &K::Values) -> K::Values {
        kernels.linear(x, &self.weight, self.shape, self.bias.as_ref())
    }

    /// m.
    pub(super) fn outputs(&self) -> usize {
        self.shape.outputs
    }
}

impl<'a, S: ByteSource> Weights<'a, S> {
    pub(super) fn new(checkpoint: &'a Checkpoint<S>) -> Self {
        Self { checkpoint }
    }

    fn at(&self, tensor: usize) -> &'a Tensor {
        &self.checkpoint.tensors[tensor]
    }

    /// All values of a tensor.
    pub(super) async fn all(&self, tensor: usize) -> Result<Vec<f32>, ForwardError> {
        let elements = self.at(tensor).elements();
        self.part(tensor, 0..elements).await
    }

    /// All values of a tensor that may not be there.
    pub(super) async fn optional(&self, tensor: Option<usize>) -> Result<Option<Vec<f32>>, ForwardError> {
        match tensor {
            Some(tensor) => Ok(Some(self.all(tensor).await?)),
            None => Ok(None),
        }
    }

    /// A matrix and its bias.
    pub(super) async fn linear<K: Kernels>(
        &self,
        kernels: &K,
        linear: &Linear,
    ) -> Result<Loaded<K>, ForwardError> {
        let Linear { weight, bias, inputs, outputs, layout } = *linear;
        let elements = self.at(weight).elements();
        let weight = self.weight(kernels, weight, 0..elements).await?;
        let bias = self.optional(bias).await?.map(|bias| kernels.put(bias));
        Ok(Loaded { shape: Shape { inputs, outputs, layout }, weight, bias })
    }

    /// Values `elements` of a tensor on a device, in the type of the tensor.
    pub(super) async fn weight<K: Kernels>(
        &self,
        kernels: &K,
        tensor: usize,
        elements: Range<u64>,
    ) -> Result<K::Weight, ForwardError> {
        let values = (elements.end - elements.start) as usize;
        let weight = kernels.weight(&self.at(tensor).dtype, values);
        let mut weight = weight.ok_or_else(|| undecoded(self.at(tensor)))?;
        self.pieces(tensor, elements, |bytes| {
            kernels.fill(&mut weight, bytes);
            Ok(())
        })
        .await?;
        Ok(weight)
    }

    /// Values `elements` of a tensor.
    pub(super) async fn part(&self, tensor: usize, elements: Range<u64>) -> Result<Vec<f32>, ForwardError> {
        let mut values = Vec::with_capacity((elements.end - elements.start) as usize);
        let dtype = &self.at(tensor).dtype;
        self.pieces(tensor, elements, |bytes| {
            dtype.decode_f32(bytes, &mut values).map_err(|_| undecoded(self.at(tensor)))
        })
        .await?;
        Ok(values)
    }

    /// Bytes of one value.
    fn size(&self, tensor: usize) -> Result<u64, ForwardError> {
        let tensor = self.at(tensor);
        let size = tensor.bytes().checked_div(tensor.elements());
        size.filter(|size| *size > 0).ok_or_else(|| undecoded(tensor))
    }

    /// Reads values `elements` of a tensor, a piece at a time.
    async fn pieces(
        &self,
        tensor: usize,
        elements: Range<u64>,
        mut each: impl FnMut(&[u8]) -> Result<(), ForwardError>,
    ) -> Result<(), ForwardError> {
        let size = self.size(tensor)?;
        let tensor = self.at(tensor);
        let mut from = tensor.range.start + elements.start * size;
        let end = tensor.range.start + elements.end * size;
        while from < end {
            let to = end.min(from + AT_ONCE);
            let read = self.checkpoint.read_weights(tensor.shard, from..to).await;
            each(&read.map_err(|error| ForwardError::Source { tensor: tensor.name.clone(), error })?)?;
            from = to;
        }
        Ok(())
    }

    /// Some rows of a table, in the order of `wanted`, which is sorted. The table is read from the first to the last of them,
    /// a piece at a time, without the pieces that none of them is in.
    pub(super) async fn rows(
        &self,
        table: usize,
        wanted: &[u32],
        width: usize,
    ) -> Result<Vec<f32>, ForwardError> {
        let tensor = self.at(table);
        let row_bytes = (tensor.bytes() / (tensor.elements() / width as u64).max(1)).max(1);
        let at_once = (AT_ONCE / row_bytes).max(1);
        let total = tensor.elements() / width as u64;
        let mut rows = Vec::with_capacity(wanted.len() * width);
        let mut left = wanted;
        while let Some(&first) = left.first() {
            let piece = u64::from(first)..(u64::from(first) + at_once).min(total);
            let inside = left.partition_point(|row| u64::from(*row) < piece.end);
            if inside == 0 {
                return Err(ForwardError::Id { at: 0, id: first, vocabulary: total as usize });
            }
            let last = u64::from(left[inside - 1]);
            let values = self.part(table, piece.start * width as u64..(last + 1) * width as u64).await?;
            for row in &left[..inside] {
                let at = (u64::from(*row) - piece.start) as usize * width;
                rows.extend_from_slice(&values[at..at + width]);
            }
            left = &left[inside..];
        }
        Ok(rows)
    }
}

fn undecoded(tensor: &Tensor) -> ForwardError {
    ForwardError::Type { tensor: tensor.name.clone(), dtype: tensor.dtype.to_string() }
}
