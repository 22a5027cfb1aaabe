//! Reads some columns of some writers, within a budget of bytes and of reads.
//!
//! A column sum needs every row. So a writer stored (out, in) is read as one short run of neighbouring columns per row, and one
//! stored (in, out) as some whole rows. A writer that fits its share of the budget is read whole.

use super::{Part, Writer};
use crate::checkpoint::{Checkpoint, Tensor, compare_names};
use crate::kernel::energy::{ColumnSample, Energy};
use crate::order;
use crate::source::ByteSource;
use futures_util::StreamExt;
use futures_util::stream;
use std::ops::{ControlFlow, Range};

/// Bytes of weights that are read from one checkpoint by default.
pub const BUDGET: u64 = 64_000_000;

/// Most reads of one checkpoint: a slice of a file costs Chromium 0.35 ms, however short, and sampling any model should take at
/// most ten seconds.
const READS: u64 = 24_576;

/// Most writers of one stack. Spread over its blocks, they show whether blocks agree.
const WRITERS: usize = 48;

/// Most columns of a writer: these make the null narrow enough, √(2/512) = 6 %.
const COLUMNS: u64 = 512;

/// Fewer columns or rows than this say nothing.
const LEAST: u64 = 32;

/// Bytes in one read of a writer that is read whole.
const CHUNK: u64 = 4 << 20;

/// Reads that run at the same time.
const CONCURRENT: usize = 32;

/// A writer and the columns of it to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The writer.
    pub writer: Writer,
    /// Columns of U to read.
    pub columns: Range<u64>,
    /// Bytes that this takes.
    pub bytes: u64,
}

/// The sample of one writer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The writer.
    pub writer: Writer,
    /// Its energy. `None` if its values have none (all zero, not finite, constant) or could not be read.
    pub energy: Option<Energy>,
}

/// Chooses writers evenly over the blocks of each stack, and columns of each, so that all reads together stay within
/// `budget` bytes.
pub fn plan(tensors: &[Tensor], writers: Vec<Writer>, budget: u64) -> Vec<Planned> {
    let usable = writers.into_iter().filter(|writer| {
        let tensor = &tensors[writer.tensor];
        let readable =
            piece(tensor).is_some() && !has_scales(tensors, tensor) && lines(tensor, writer).is_some();
        writer.rows >= LEAST && writer.columns >= LEAST && readable
    });
    let stacks = order::groups(usable.map(|writer| (writer.stack.clone(), writer)));
    let share = stacks.len().max(1) as u64;
    let mut planned = Vec::new();
    for (_, writers) in stacks {
        let by_column =
            |writer: &Writer| lines(&tensors[writer.tensor], writer).is_some_and(|lines| lines.columns);
        let strided = |writer: &Writer| if by_column(writer) { 1 } else { writer.rows };
        let costliest = writers.iter().map(strided).max().unwrap_or(1);
        let affordable = (READS / share / costliest).clamp(2, WRITERS as u64) as usize;
        let chosen = spread(writers, affordable);
        let each = budget / share / chosen.len().max(1) as u64;
        planned.extend(chosen.into_iter().filter_map(|writer| columns_of(tensors, writer, each)));
    }
    planned
}

/// At most `count` of `writers`, evenly spaced.
fn spread(writers: Vec<Writer>, count: usize) -> Vec<Writer> {
    let all = writers.len();
    if all <= count {
        return writers;
    }
    // The embedding, if there is one, is the first and always chosen.
    let embedding = usize::from(writers[0].part == Part::Embedding);
    let (rest, left) = (all - embedding, count - embedding);
    let mut wanted =
        (0..embedding).chain((0..left).map(|slot| embedding + (2 * slot + 1) * rest / (2 * left))).peekable();
    let mut chosen = Vec::with_capacity(count);
    for (index, writer) in writers.into_iter().enumerate() {
        if wanted.next_if_eq(&index).is_some() {
            chosen.push(writer);
        }
    }
    chosen
}

/// The columns of one writer that `bytes` pay for. They begin at a place that differs from writer to writer.
fn columns_of(tensors: &[Tensor], writer: Writer, bytes: u64) -> Option<Planned> {
    let tensor = &tensors[writer.tensor];
    let (values, size) = piece(tensor)?;
    // Where the rows of U are stored one after the other, a block holds several columns of one row.
    let step = if lines(tensor, &writer)?.columns { 1 } else { values };
    let cost = writer.rows.checked_mul(step)?.checked_div(values)?.checked_mul(size)?;
    let count = (bytes.checked_div(cost)?.saturating_mul(step)).min(writer.columns).min(COLUMNS);
    let count = count - count % step;
    if count < LEAST {
        return None;
    }
    let room = writer.columns - count;
    // Multiples of the golden ratio spread the places as if at random, and are the same in every run.
    let fraction = (writer.tensor as f64 * 0.618_033_988_749_895).fract();
    let start = (fraction * room as f64) as u64 / step * step;
    Some(Planned { bytes: cost * (count / step), columns: start..start + count, writer })
}

/// How the numbers of a writer U are arranged in the file.
struct Lines {
    /// Whether a line is a column of U.
    columns: bool,
    /// Elements from one line to the next.
    pitch: u64,
}

/// `None` for a view whose neighbours are apart in both directions.
fn lines(tensor: &Tensor, writer: &Writer) -> Option<Lines> {
    let Some(strides) = &tensor.strides else {
        let pitch = if writer.transposed { writer.rows } else { writer.columns };
        return Some(Lines { columns: writer.transposed, pitch });
    };
    match *strides.steps() {
        [pitch, 1] => Some(Lines { columns: writer.transposed, pitch }),
        [1, pitch] => Some(Lines { columns: !writer.transposed, pitch }),
        _ => None,
    }
}

/// Values and bytes of the smallest piece that a decoder reads: a block, or an element of whole bytes. Smaller types are not sampled.
fn piece(tensor: &Tensor) -> Option<(u64, u64)> {
    tensor.dtype.piece().filter(|_| tensor.dtype.decodable().is_ok())
}

/// Whether weights have scales beside them: F8 weights are stored with a scale for each block of values, and mean nothing without
/// it.
fn has_scales(tensors: &[Tensor], tensor: &Tensor) -> bool {
    if tensor.dtype.bits() != Some(8) {
        return false;
    }
    let stem = tensor.name.trim_end_matches("weight");
    let near = tensors.partition_point(|other| compare_names(&other.name, stem).is_lt());
    tensors[near..]
        .iter()
        .take_while(|other| other.name.starts_with(stem))
        .any(|other| other.name[stem.len()..].contains("scale"))
}

/// Reads what was planned, one writer after the other, and calls `progress(writers done, bytes read)` before each and at the end.
/// A `Break` ends the work and returns what was read.
pub async fn read<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    planned: Vec<Planned>,
    mut progress: impl FnMut(usize, u64) -> ControlFlow<()>,
) -> Vec<Sampled> {
    let mut sampled = Vec::with_capacity(planned.len());
    let mut bytes = 0;
    for Planned { writer, columns, bytes: cost } in planned {
        if progress(sampled.len(), bytes).is_break() {
            return sampled;
        }
        let energy = energy(checkpoint, &writer, columns).await;
        bytes += cost;
        sampled.push(Sampled { writer, energy });
    }
    // A break has nothing left to end.
    let _ = progress(sampled.len(), bytes);
    sampled
}

/// The energy of some columns of a writer.
async fn energy<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    writer: &Writer,
    columns: Range<u64>,
) -> Option<Energy> {
    let tensor = &checkpoint.tensors[writer.tensor];
    let count = columns.end - columns.start;
    let scale = match writer.scale {
        Some(scale) => Some(layer_scale(checkpoint, &checkpoint.tensors[scale]).await?),
        None => None,
    };
    // What the stream receives: diag(λ)·U.
    let received = |row: usize, value: f64| {
        scale.as_ref().and_then(|scale| scale.get(row)).map_or(value, |own| own * value)
    };
    let mut sample = ColumnSample::new(writer.rows as usize, count as usize);
    // Row dispersion shows whether U was trained, so it is taken from U without λ.
    let mut bare = scale.as_ref().map(|_| sample.clone());
    // Lines as stored: rows of U with a run of columns in each, or whole columns.
    let Lines { columns: by_column, pitch: stride } = lines(tensor, writer)?;
    let (first, lines, run) = if by_column {
        (columns.start * stride, count, writer.rows)
    } else {
        (columns.start, writer.rows, count)
    };
    let of_line = tensor.bytes_of(&(0..run))?;
    let together = if run == stride { (CHUNK / (of_line.end - of_line.start)).max(1) } else { 1 };
    let starts: Vec<u64> = (0..lines).step_by(together as usize).collect();
    let mut reads = stream::iter(starts.into_iter().map(|line| async move {
        let held = together.min(lines - line);
        let start = first + line * stride;
        let bytes = match tensor.bytes_of(&(start..start + held * run)) {
            Some(range) => checkpoint.read_weights(tensor.shard, range).await.ok(),
            None => None,
        };
        (line, bytes)
    }))
    .buffer_unordered(CONCURRENT);
    while let Some((line, bytes)) = reads.next().await {
        let values = tensor.dtype.decode(&bytes?).ok()?;
        for (index, value) in values.into_iter().enumerate() {
            let (stored_line, at) = (line as usize + index / run as usize, index % run as usize);
            if by_column {
                sample.add(at, stored_line, received(at, value));
                bare.iter_mut().for_each(|bare| bare.add(at, stored_line, value));
            } else {
                sample.add(stored_line, at, received(stored_line, value));
                bare.iter_mut().for_each(|bare| bare.add(stored_line, at, value));
            }
        }
    }
    let energy = sample.energy()?;
    Some(match bare {
        Some(bare) => Energy { row_dispersion: bare.energy()?.row_dispersion, ..energy },
        None => energy,
    })
}

/// λ of a LayerScale. `None` if it could not be read.
async fn layer_scale<S: ByteSource>(checkpoint: &Checkpoint<S>, tensor: &Tensor) -> Option<Vec<f64>> {
    let bytes = checkpoint.read_weights(tensor.shard, tensor.range.clone()).await;
    tensor.dtype.decode(&tensor.in_order(bytes.ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::dtype::TensorType;

    fn writer(tensor: usize, block: u32, rows: u64, columns: u64) -> Writer {
        let stack = "layers".to_owned();
        Writer { tensor, stack, block, part: Part::Attention, rows, columns, transposed: false, scale: None }
    }

    fn model(blocks: u32, rows: u64, columns: u64) -> (Vec<Tensor>, Vec<Writer>) {
        let tensor = |block: u32| Tensor {
            name: format!("layers.{block}.o_proj.weight"),
            dtype: TensorType::parse("BF16"),
            shape: vec![rows, columns],
            shard: 0,
            range: 0..rows * columns * 2,
            strides: None,
        };
        let writers = (0..blocks).map(|block| writer(block as usize, block, rows, columns)).collect();
        ((0..blocks).map(tensor).collect(), writers)
    }

    #[test]
    fn a_plan_stays_within_its_budget_and_spans_the_blocks() {
        for (blocks, rows, columns) in
            [(6, 384, 1536), (32, 4096, 14_336), (126, 16_384, 53_248), (1, 128, 128)]
        {
            let (tensors, writers) = model(blocks, rows, columns);
            let plan = plan(&tensors, writers, BUDGET);
            assert!(plan.iter().map(|planned| planned.bytes).sum::<u64>() <= BUDGET);
            let reads: u64 = plan.iter().map(|planned| planned.writer.rows).sum();
            assert!(reads <= READS.max(2 * rows), "{reads}");
            assert!(plan.len() >= 2.min(blocks as usize), "{blocks} blocks: {}", plan.len());
            let (first, last) = (plan[0].writer.block, plan[plan.len() - 1].writer.block);
            assert!(last - first >= blocks / 2, "{first}–{last} of {blocks}");
            assert!(plan.iter().all(|planned| planned.columns.end <= columns));
        }
    }

    #[test]
    fn a_budget_too_small_for_columns_plans_nothing() {
        let (tensors, writers) = model(4, 4096, 4096);
        assert!(plan(&tensors, writers, 1000).is_empty());
    }

    #[test]
    fn f8_weights_with_scales_beside_them_are_not_sampled() {
        let (mut tensors, writers) = model(1, 128, 128);
        tensors[0].dtype = TensorType::parse("F8_E4M3");
        assert_eq!(plan(&tensors, writers.clone(), BUDGET).len(), 1);
        let mut scale = tensors[0].clone();
        scale.name = "layers.0.o_proj.weight_scale_inv".to_owned();
        tensors.push(scale);
        assert!(plan(&tensors, writers, BUDGET).is_empty());
    }
}
