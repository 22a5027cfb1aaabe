//! Writes a changed shard: what does not change is copied in slices, what changes is computed in f64 and rounded once. If no tensor comes
//! or goes, the header stays too.
//!
//! The bytes go to a [`Sink`]: a file of the terminal, or the page, which passes them on and answers later.

use super::change::{Change, add_product, centre, lines};
use super::header;
use super::plan::{Edit, Plan, Rounded};
use super::rounded;
use crate::checkpoint::dtype::TensorType;
use crate::checkpoint::header::LENGTH_BYTES;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::model::architecture::Linear;
use crate::source::{ByteSource, SourceError};
use half::{bf16, f16};
use safetensors::Dtype;
use std::io::{self, Write};
use std::ops::Range;

/// Bytes that are read at once.
pub(super) const AT_ONCE: u64 = 8 << 20;

/// What takes the bytes of a file, in their order. Everything that implements [`Write`] does.
#[allow(async_fn_in_trait, reason = "the page has one thread, so a future need not be Send")]
pub trait Sink {
    /// Takes the next bytes.
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl<W: Write> Sink for W {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

/// Why a shard could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The original could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The result could not be written.
    #[error(transparent)]
    Written(#[from] io::Error),
    /// A result is too large for the type, or not a number.
    #[error(
        "`{tensor}`: a value becomes {value:e}, which {dtype} does not hold: convert the checkpoint to F32 first, or leave that operation out"
    )]
    Overflow {
        /// The tensor.
        tensor: String,
        /// The exact result.
        value: f64,
        /// The type.
        dtype: String,
    },
}

/// Values of one tensor on their way to the file, and how far they were rounded.
struct Rounding<'a> {
    tensor: &'a Tensor,
    error: f64,
    size: f64,
}

impl<'a> Rounding<'a> {
    fn of(tensor: &'a Tensor) -> Self {
        Self { tensor, error: 0.0, size: 0.0 }
    }

    /// Writes exact values in the type of the tensor.
    async fn write(&mut self, values: &[f64], out: &mut impl Sink) -> Result<(), WriteError> {
        let dtype = &self.tensor.dtype;
        let mut bytes = Vec::with_capacity(values.len() * 8);
        for &value in values {
            let stored = rounded(dtype, value).filter(|stored| stored.is_finite());
            let Some(stored) = stored else {
                let (tensor, dtype) = (self.tensor.name.clone(), dtype.to_string());
                return Err(WriteError::Overflow { tensor, value, dtype });
            };
            self.error += (stored - value).powi(2);
            self.size += value * value;
            push(dtype, stored, &mut bytes);
        }
        Ok(out.put(&bytes).await?)
    }

    /// `reach` is the largest norm of what the tensor is applied to.
    fn result(&self, reach: Option<f64>) -> Rounded {
        let relative = if self.size > 0.0 { (self.error / self.size).sqrt() } else { 0.0 };
        Rounded { relative, bound: reach.map(|reach| self.error.sqrt() * reach) }
    }
}

/// Adds the bytes of a value that is already rounded to its type.
pub(super) fn push(dtype: &TensorType, stored: f64, bytes: &mut Vec<u8>) {
    match dtype {
        TensorType::Known(Dtype::F64) => bytes.extend(stored.to_le_bytes()),
        TensorType::Known(Dtype::F16) => bytes.extend(f16::from_f64(stored).to_le_bytes()),
        TensorType::Known(Dtype::BF16) => bytes.extend(bf16::from_f64(stored).to_le_bytes()),
        _ => bytes.extend((stored as f32).to_le_bytes()),
    }
}

/// Writes shard number `shard` of the folded checkpoint. Returns the rounding of each tensor of `plan.report.tensors` that is in it, by
/// its place there. `progress` gets the bytes of the original that are done.
pub async fn write_shard<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    plan: &Plan,
    shard: usize,
    out: &mut impl Sink,
    mut progress: impl FnMut(u64),
) -> Result<Vec<(usize, Rounded)>, WriteError> {
    let length = checkpoint.shards.get(shard).map_or(0, ByteSource::length);
    let mut roundings = Vec::new();
    let mut done = 0;
    if header::differs(plan, shard) {
        let damaged = || io::Error::other("the header of the original cannot be read any more");
        let size = checkpoint.read_weights(shard, 0..LENGTH_BYTES).await?;
        done = u64::from_le_bytes(size.try_into().map_err(|_| damaged())?).saturating_add(LENGTH_BYTES);
        let original = checkpoint.read_weights(shard, LENGTH_BYTES..done).await?;
        out.put(&header::header(checkpoint, plan, shard, &original).ok_or_else(damaged)?).await?;
    }
    let mine = plan.edits.iter().enumerate().filter(|(_, (tensor, _))| tensor.shard == shard);
    for (place, (tensor, edit)) in mine {
        copy(checkpoint, shard, done..tensor.range.start, out, &mut progress).await?;
        let mut rounding = Rounding::of(tensor);
        changed(checkpoint, None, edit, &mut rounding, out, &mut progress).await?;
        roundings.push((place, rounding.result(plan.reach(place))));
        done = tensor.range.end;
        progress(done);
    }
    copy(checkpoint, shard, done..length, out, &mut progress).await?;
    let first = plan.edits.len();
    for (place, (added, edit)) in
        (first..).zip(&plan.added).filter(|(_, (added, _))| added.tensor.shard == shard)
    {
        let tensor = &added.tensor;
        let mut rounding = Rounding::of(tensor);
        match (edit, added.fill) {
            (Some(edit), fill) => {
                changed(checkpoint, fill, edit, &mut rounding, out, &mut |_| {}).await?;
            }
            (None, None) => copy(checkpoint, shard, tensor.range.clone(), out, &mut |_| {}).await?,
            (None, Some(value)) => {
                rounding.write(&vec![value; tensor.elements() as usize], out).await?;
            }
        }
        roundings.push((place, rounding.result(plan.reach(place))));
    }
    Ok(roundings)
}

/// Writes the changed tensor of `rounding`. `fill` is the value of all its elements before, if it is not in the original.
async fn changed<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    fill: Option<f64>,
    edit: &Edit,
    rounding: &mut Rounding<'_>,
    out: &mut impl Sink,
    progress: &mut impl FnMut(u64),
) -> Result<(), WriteError> {
    let tensor = rounding.tensor;
    let before = async || match fill {
        Some(value) => Ok(vec![value; tensor.elements() as usize]),
        None => read(checkpoint, tensor, 0..tensor.elements()).await,
    };
    match edit {
        Edit::Removed(_) => {}
        Edit::Values(values, _) => rounding.write(values, out).await?,
        Edit::CentredVector => {
            let mut values = before().await?;
            centre(&mut values);
            rounding.write(&values, out).await?;
        }
        Edit::Bias(map, weight, s) => {
            let mut values = before().await?;
            let mut product = vec![0.0; map.outputs];
            each_line(checkpoint, weight, map, async |at, line: &mut [f64]| {
                add_product(map.layout, at, line, s, &mut product);
                Ok(())
            })
            .await?;
            values.iter_mut().zip(&product).for_each(|(value, product)| *value += product);
            rounding.write(&values, out).await?;
        }
        Edit::Matrices(all) => {
            let mut first = 0;
            for (map, change) in all {
                let between = tensor.bytes_of(&(first..map.first)).unwrap_or_default();
                copy(checkpoint, tensor.shard, between, out, progress).await?;
                matrix(checkpoint, tensor, (map, change), rounding, out).await?;
                first = map.values().end;
            }
            let rest = tensor.bytes_of(&(first..tensor.elements())).unwrap_or_default();
            copy(checkpoint, tensor.shard, rest, out, progress).await?;
        }
    }
    Ok(())
}

/// Writes one changed matrix.
async fn matrix<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    tensor: &Tensor,
    (map, change): (&Linear, &Change),
    rounding: &mut Rounding<'_>,
    out: &mut impl Sink,
) -> Result<(), WriteError> {
    let [_, length] = lines(map);
    let mut sums = vec![0.0; length];
    if change.needs_sums(map.layout) {
        each_line(checkpoint, tensor, map, async |at, line: &mut [f64]| {
            change.add(at, line, &mut sums);
            Ok(())
        })
        .await?;
    }
    each_line(checkpoint, tensor, map, async |at, line: &mut [f64]| {
        change.apply(map, at, line, &sums);
        rounding.write(line, out).await
    })
    .await
}

/// Reads a matrix in slices of whole lines and hands over each line with its number.
pub(super) async fn each_line<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    tensor: &Tensor,
    map: &Linear,
    mut each: impl AsyncFnMut(usize, &mut [f64]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let [count, length] = lines(map);
    let line_bytes = tensor.dtype.piece().map_or(8, |(_, size)| size) * length.max(1) as u64;
    let at_once = usize::try_from(AT_ONCE / line_bytes).unwrap_or(usize::MAX).max(1);
    for from in (0..count).step_by(at_once) {
        let to = count.min(from.saturating_add(at_once));
        let value = |line: usize| map.first + (line * length) as u64;
        let mut values = read(checkpoint, tensor, value(from)..value(to)).await?;
        for (at, line) in (from..).zip(values.chunks_exact_mut(length.max(1))) {
            each(at, line).await?;
        }
    }
    Ok(())
}

/// Reads values of a tensor.
pub(super) async fn read<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    tensor: &Tensor,
    values: Range<u64>,
) -> Result<Vec<f64>, WriteError> {
    let undecoded = || io::Error::other(format!("`{}` is stored as {}", tensor.name, tensor.dtype));
    let range = tensor.bytes_of(&values).ok_or_else(undecoded)?;
    let bytes = checkpoint.read_weights(tensor.shard, range).await?;
    tensor.dtype.decode(&bytes).map_err(|_| undecoded().into())
}

/// Copies bytes of a shard.
async fn copy<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    shard: usize,
    range: Range<u64>,
    out: &mut impl Sink,
    progress: &mut impl FnMut(u64),
) -> Result<(), WriteError> {
    let mut at = range.start;
    while at < range.end {
        let to = range.end.min(at + AT_ONCE);
        out.put(&checkpoint.read_weights(shard, at..to).await?).await?;
        at = to;
        progress(at);
    }
    Ok(())
}
