//! Values of packed weights: where codes, scales and zero points lie, and the numbers that they stand for.
//!
//! A weight that is decoded gets a range of addresses behind the end of every file, four bytes for each value. Other code reads that range
//! as for any other tensor of f32, and the values are computed from what is stored there. Nothing is decoded before it is read.

use super::{Decoding, Weight};
use crate::checkpoint::dtype::{TensorType, Unpacked};
use crate::checkpoint::{Checkpoint, Strides, Tensor};
use crate::quantised::codes;
use crate::source::{ByteSource, Meter, SourceError};
use safetensors::Dtype;
use serde_json::Value;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// The first address. Those of tensors in several places lie below.
pub(in crate::checkpoint) const FIRST: u64 = 1 << 63;

/// Bytes of a decoded value.
const SINGLE: u64 = 4;

/// A stored tensor.
#[derive(Debug, Clone)]
struct Stored {
    shard: usize,
    range: Range<u64>,
    dtype: TensorType,
}

/// A weight, and how its values follow from what is stored.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) struct Packing {
    /// Rows and columns of the values in the order in which they are decoded.
    rows: u64,
    columns: u64,
    at: Stored,
    codes: Codes,
    /// A product with the code, or with its difference from a zero point.
    scale: Beside,
    offset: Offset,
    /// A product with all values.
    factor: f32,
    /// For each row, the row of scales and zero points that it uses.
    order: Option<Order>,
}

/// The groups of rows, where rows that belong together do not follow each other.
#[derive(Debug, Clone)]
struct Order {
    at: Stored,
    /// The tensor's name in the file.
    name: String,
    /// How many groups there are.
    groups: u64,
}

/// How codes are stored.
#[derive(Debug, Clone)]
enum Codes {
    /// Each is a number of the tensor's type.
    Numbers,
    /// Whole numbers along a row, which has this many bits.
    Across { bits: u32, row: u64 },
    /// Whole numbers of 4 bits along a row, in AWQ's order.
    Awq,
    /// Whole numbers down a column of words.
    Down { bits: u32 },
    /// Places in a list, two a byte.
    Listed { high_first: bool, list: List },
}

#[derive(Debug, Clone)]
enum List {
    Fp4,
    Stored(Stored),
}

#[derive(Debug, Clone)]
enum Offset {
    None,
    /// Subtracted from each code.
    Constant(f32),
    /// Subtracted from the codes.
    Zeros(Beside),
    /// Added to the products.
    Biases(Beside),
}

/// Numbers that values share, in rows.
#[derive(Debug, Clone)]
struct Beside {
    at: Stored,
    kind: Numbers,
    /// Rows and columns of values that share a number.
    shared: [u64; 2],
    /// Numbers in a row.
    width: u64,
}

#[derive(Debug, Clone)]
enum Numbers {
    /// Numbers of the tensor's type.
    Plain,
    /// Exponents of two.
    Exponents,
    /// Whole numbers along a row of whole words, to which `plus` is added.
    Words { bits: u32, awq: bool, plus: f32 },
    /// bitsandbytes quantises the scales again: bytes are places in `list`, `scales` are for blocks of them, and JSON in `state` gives the
    /// length of a block and what is added.
    Nested { list: Stored, scales: Stored, state: Stored },
}

/// The packings behind the addresses, without gaps.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Addresses {
    /// The first address of each.
    starts: Vec<u64>,
    packings: Vec<Packing>,
    kept: Mutex<Kept>,
}

/// Small tensors that were read last, by shard and first byte: a sample reads a weight a row at a time, and each row needs all of them.
type Kept = VecDeque<((usize, u64), Arc<[u8]>)>;

/// Most tensors that are kept. A weight has three.
const MOST_KEPT: usize = 16;

/// Most bytes of a tensor that is kept.
const MOST_KEPT_BYTES: u64 = 1 << 20;

impl Addresses {
    fn end(&self) -> u64 {
        let last = self.starts.last().zip(self.packings.last());
        last.map_or(FIRST, |(start, packing)| start.saturating_add(packing.bytes()))
    }

    /// The addresses of the values of a weight.
    pub(super) fn add(&mut self, packing: Packing) -> Range<u64> {
        let start = self.end();
        self.starts.push(start);
        self.packings.push(packing);
        start..self.end()
    }

    /// The packings behind a range of addresses, each with its bytes in that range, counted from the first of its own.
    fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = (&Packing, Range<u64>)> {
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let (from, to) = (range.start, range.end);
        let all = self.starts.iter().zip(&self.packings).skip(first);
        all.take_while(move |(start, _)| **start < to).map(move |(start, packing)| {
            let inside = |address: u64| address.saturating_sub(*start).min(packing.bytes());
            (packing, inside(from)..inside(to))
        })
    }

    /// Where the codes of the weight at these addresses begin in their file.
    pub(in crate::checkpoint) fn offset(&self, range: &Range<u64>) -> u64 {
        self.parts(range).next().map_or(0, |(packing, _)| packing.at.range.start)
    }
}

impl<S: ByteSource> Checkpoint<S> {
    /// Gives a weight addresses, if its values are decoded.
    pub(super) fn decoding(&mut self, weight: &Weight) -> Decoding {
        let packing = packing(self, weight)?;
        let all = weight.beside.iter().chain([&weight.codes]);
        let bytes = all.map(|at| self.tensors[*at].bytes()).fold(0, u64::saturating_add);
        let method = weight.form.method;
        let shape = weight.shape.as_deref()?;
        let strides =
            is_transposed(method).then(|| transposed(shape)).and_then(|steps| Strides::of(shape, &steps));
        let range = self.unpacked.add(packing);
        Some((TensorType::Unpacked(Unpacked { method, bytes }), range, strides))
    }

    /// Reads and decodes the values at a range of addresses: bytes of f32.
    pub(in crate::checkpoint) async fn read_unpacked(
        &self,
        meter: &Meter,
        range: &Range<u64>,
    ) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for (packing, part) in self.unpacked.parts(range) {
            let values = packing.values(self, meter, part.start / SINGLE..part.end / SINGLE).await?;
            bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
        }
        Ok(bytes)
    }

    async fn read_part(
        &self,
        meter: &Meter,
        stored: &Stored,
        part: Range<u64>,
    ) -> Result<Vec<u8>, SourceError> {
        let at = |offset: u64| stored.range.start.saturating_add(offset).min(stored.range.end);
        self.read_stored(meter, stored.shard, at(part.start)..at(part.end)).await
    }

    async fn read_whole(&self, meter: &Meter, stored: &Stored) -> Result<Arc<[u8]>, SourceError> {
        let place = (stored.shard, stored.range.start);
        let found = |kept: MutexGuard<'_, Kept>| {
            kept.iter().find(|(of, _)| *of == place).map(|(_, bytes)| Arc::clone(bytes))
        };
        if let Some(bytes) = self.unpacked.kept.lock().ok().and_then(found) {
            return Ok(bytes);
        }
        let read = self.read_stored(meter, stored.shard, stored.range.clone()).await?;
        let bytes: Arc<[u8]> = read.into();
        if bytes.len() as u64 <= MOST_KEPT_BYTES
            && let Ok(mut kept) = self.unpacked.kept.lock()
        {
            kept.push_front((place, Arc::clone(&bytes)));
            kept.truncate(MOST_KEPT);
        }
        Ok(bytes)
    }
}

impl Packing {
    fn bytes(&self) -> u64 {
        self.rows.saturating_mul(self.columns).saturating_mul(SINGLE)
    }

    /// The values `wanted`, counted row after row.
    async fn values<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        meter: &Meter,
        wanted: Range<u64>,
    ) -> Result<Vec<f32>, SourceError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (first, last) = (wanted.start / self.columns, (wanted.end - 1) / self.columns);
        // Several rows are decoded whole.
        let columns = match first == last {
            true => wanted.start % self.columns..(wanted.end - 1) % self.columns + 1,
            false => 0..self.columns,
        };
        let groups = match &self.order {
            Some(order) => Some(order.read(checkpoint, meter, first..last + 1).await?),
            None => None,
        };
        let rows = first..last + 1;
        let codes = self.read_codes(checkpoint, meter, &rows, &columns).await?;
        let scales = self.scale.read(checkpoint, meter, &rows, &columns, groups.as_deref()).await?;
        let offsets = match &self.offset {
            Offset::Zeros(beside) | Offset::Biases(beside) => {
                Some((beside, beside.read(checkpoint, meter, &rows, &columns, groups.as_deref()).await?))
            }
            Offset::None | Offset::Constant(_) => None,
        };
        let width = (columns.end - columns.start) as usize;
        let mut values = vec![0.0; width * (rows.end - rows.start) as usize];
        for (row, values) in rows.clone().zip(values.chunks_exact_mut(width)) {
            self.decode(&codes, &rows, row, &columns, values);
            let group = groups.as_ref().map(|groups| groups[(row - rows.start) as usize]);
            let of = |beside: &Beside| group.unwrap_or(row / beside.shared[0]);
            match &self.offset {
                Offset::None | Offset::Biases(_) => {}
                Offset::Constant(zero) => values.iter_mut().for_each(|value| *value -= zero),
                Offset::Zeros(_) => {
                    if let Some((beside, zeros)) = &offsets {
                        each(values, &columns, beside, zeros.row(of(beside)), |value, zero| *value -= zero);
                    }
                }
            }
            each(values, &columns, &self.scale, scales.row(of(&self.scale)), |value, scale| *value *= scale);
            if self.factor != 1.0 {
                values.iter_mut().for_each(|value| *value *= self.factor);
            }
            if let (Offset::Biases(_), Some((beside, biases))) = (&self.offset, &offsets) {
                each(values, &columns, beside, biases.row(of(beside)), |value, bias| *value += bias);
            }
        }
        let before = (wanted.start - first * self.columns - columns.start) as usize;
        let count = (wanted.end - wanted.start) as usize;
        values.truncate(before + count);
        values.drain(..before);
        Ok(values)
    }

    /// The bytes that hold the codes of these rows and columns, and the list of their numbers if one is stored.
    async fn read_codes<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        meter: &Meter,
        rows: &Range<u64>,
        columns: &Range<u64>,
    ) -> Result<(Vec<u8>, Option<[f32; 16]>), SourceError> {
        let list = match &self.codes {
            Codes::Listed { list: List::Stored(stored), .. } => {
                let read = numbers(&stored.dtype, &checkpoint.read_whole(meter, stored).await?);
                Some(std::array::from_fn(|code| read.get(code).copied().unwrap_or(f32::NAN)))
            }
            Codes::Listed { list: List::Fp4, .. } => Some(codes::FP4),
            _ => None,
        };
        let bytes = match self.codes {
            Codes::Down { bits } => {
                let row = u64::from(u32::BITS / 8) * self.columns;
                let words = self.first_word(bits, rows.start)..(rows.end * u64::from(bits)).div_ceil(32);
                row * words.start..row * words.end
            }
            _ => self.first_byte(rows.start, columns)..self.bit(rows.end - 1, columns.end).div_ceil(8),
        };
        Ok((checkpoint.read_part(meter, &self.at, bytes).await?, list))
    }

    fn first_word(&self, bits: u32, row: u64) -> u64 {
        row * u64::from(bits) / u64::from(u32::BITS)
    }

    /// The bit at which the code in `column` of `row` begins, of codes that lie along rows.
    fn bit(&self, row: u64, column: u64) -> u64 {
        match self.codes {
            Codes::Across { bits, row: length } => row * length + column * u64::from(bits),
            Codes::Awq => 4 * (row * self.columns + column.next_multiple_of(8).min(self.columns)),
            Codes::Listed { .. } => 4 * (row * self.columns + column),
            Codes::Numbers | Codes::Down { .. } => {
                (row * self.columns + column) * self.at.dtype.bits().unwrap_or_default()
            }
        }
    }

    /// The byte in which the codes of these columns begin. AWQ's begin with a word.
    fn first_byte(&self, row: u64, columns: &Range<u64>) -> u64 {
        let column = if matches!(self.codes, Codes::Awq) { columns.start / 8 * 8 } else { columns.start };
        self.bit(row, column) / 8
    }

    /// Sets `values` to the codes of `columns` of a row. `rows` are those whose bytes were read.
    fn decode(
        &self,
        (bytes, list): &(Vec<u8>, Option<[f32; 16]>),
        rows: &Range<u64>,
        row: u64,
        columns: &Range<u64>,
        values: &mut [f32],
    ) {
        let skipped = 8 * self.first_byte(rows.start, columns);
        match self.codes {
            Codes::Numbers => {
                let from = ((self.bit(row, columns.start) - skipped) / 8) as usize;
                let size = (self.at.dtype.bits().unwrap_or_default() / 8) as usize;
                let part = bytes.get(from..from + size * values.len()).unwrap_or_default();
                values.iter_mut().zip(numbers(&self.at.dtype, part)).for_each(|(value, code)| *value = code);
            }
            Codes::Across { bits, .. } => {
                codes::whole_numbers(bytes, bits, self.bit(row, columns.start) - skipped, values);
            }
            Codes::Awq => {
                let start = columns.start / 8 * 8;
                let mut words = vec![0.0; (columns.end.next_multiple_of(8) - start) as usize];
                codes::whole_numbers(bytes, 4, self.bit(row, start) - skipped, &mut words);
                codes::awq_in_order(&mut words);
                values.copy_from_slice(&words[(columns.start - start) as usize..][..values.len()]);
            }
            Codes::Down { bits } => {
                let row_bytes = (u32::BITS / 8) as usize * self.columns as usize;
                let from =
                    (self.first_word(bits, row) - self.first_word(bits, rows.start)) as usize * row_bytes;
                let mut whole = vec![0.0; self.columns as usize];
                codes::whole_numbers_down(bytes.get(from..).unwrap_or_default(), bits, row, &mut whole);
                values.copy_from_slice(&whole[columns.start as usize..columns.end as usize]);
            }
            Codes::Listed { high_first, .. } => {
                let first = (self.bit(row, columns.start) - skipped) / 4;
                let list = list.unwrap_or([f32::NAN; 16]);
                codes::of_list(bytes, high_first, first, &list, values);
            }
        }
    }
}

impl Order {
    /// The groups of these rows.
    async fn read<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        meter: &Meter,
        rows: Range<u64>,
    ) -> Result<Vec<u64>, SourceError> {
        let bytes = checkpoint.read_part(meter, &self.at, SINGLE * rows.start..SINGLE * rows.end).await?;
        let group = |(row, group): (u64, &[u8])| {
            let group = i32::from_le_bytes([group[0], group[1], group[2], group[3]]);
            let known = u64::try_from(group).ok().filter(|known| *known < self.groups);
            known.ok_or_else(|| SourceError::Unfit {
                file: checkpoint.shards[self.at.shard].path().to_owned(),
                problem: format!(
                    "{:?} puts input {row} into group {group}, and there are scales for {} groups, counted from 0",
                    self.name, self.groups
                ),
            })
        };
        (rows.start..).zip(bytes.chunks_exact(SINGLE as usize)).map(group).collect()
    }
}

/// Numbers that were read: whole rows, or a part of one row.
struct Read {
    numbers: Vec<f32>,
    /// The row of the first.
    row: u64,
    /// The column of the first.
    column: u64,
    /// Numbers in a row.
    width: u64,
}

impl Read {
    /// The numbers of a row, and the column of the first of them.
    fn row(&self, row: u64) -> (u64, &[f32]) {
        let from = row.checked_sub(self.row).map(|row| (row * self.width) as usize);
        let rest = from.and_then(|from| self.numbers.get(from..)).unwrap_or_default();
        (self.column, &rest[..rest.len().min(self.width as usize)])
    }
}

impl Beside {
    /// Reads the numbers for these rows and columns of values.
    async fn read<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        meter: &Meter,
        rows: &Range<u64>,
        columns: &Range<u64>,
        groups: Option<&[u64]>,
    ) -> Result<Read, SourceError> {
        let [tall, wide] = self.shared;
        let (first, last) = match groups {
            Some(groups) => {
                (groups.iter().min().copied().unwrap_or(0), groups.iter().max().copied().unwrap_or(0))
            }
            None => (rows.start / tall, (rows.end - 1) / tall),
        };
        let all = self.count();
        let row = |row: u64| self.width.saturating_mul(row).min(all);
        let whole = row(first)..row(last.saturating_add(1));
        // Of one row, only what these columns need.
        let (column, wanted) = match first == last && !matches!(self.kind, Numbers::Words { .. }) {
            true => {
                let (from, to) = (columns.start / wide, (columns.end - 1) / wide + 1);
                (from, (whole.start + from).min(all)..(whole.start + to).min(all))
            }
            false => (0, whole),
        };
        let numbers = self.numbers(checkpoint, meter, wanted).await?;
        let width = if first == last { numbers.len() as u64 } else { self.width };
        Ok(Read { numbers, row: first, column, width })
    }

    /// How many there are.
    fn count(&self) -> u64 {
        let bits = 8 * (self.at.range.end - self.at.range.start);
        match self.kind {
            Numbers::Plain => bits / self.at.dtype.bits().unwrap_or(8),
            Numbers::Exponents | Numbers::Nested { .. } => bits / 8,
            Numbers::Words { bits: each, .. } => bits / u64::from(each),
        }
    }

    async fn numbers<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        meter: &Meter,
        wanted: Range<u64>,
    ) -> Result<Vec<f32>, SourceError> {
        let read =
            |size: u64| checkpoint.read_part(meter, &self.at, wanted.start * size / 8..wanted.end * size / 8);
        Ok(match &self.kind {
            Numbers::Plain => {
                let bits = self.at.dtype.bits().unwrap_or(8);
                numbers(&self.at.dtype, &read(bits).await?)
            }
            Numbers::Exponents => read(8).await?.into_iter().map(codes::power_of_two).collect(),
            Numbers::Words { bits, awq, plus } => {
                let mut numbers = vec![0.0; (wanted.end - wanted.start) as usize];
                codes::whole_numbers(&read(u64::from(*bits)).await?, *bits, 0, &mut numbers);
                if *awq {
                    codes::awq_in_order(&mut numbers);
                }
                numbers.iter_mut().for_each(|number| *number += plus);
                numbers
            }
            Numbers::Nested { list, scales, state } => {
                let state = Nesting::parse(&checkpoint.read_whole(meter, state).await?);
                let list = numbers(&list.dtype, &checkpoint.read_whole(meter, list).await?);
                let scales = numbers(&scales.dtype, &checkpoint.read_whole(meter, scales).await?);
                let codes = read(8).await?;
                let number = |(at, code): (u64, u8)| {
                    let listed = list.get(usize::from(code)).copied().unwrap_or(f32::NAN);
                    let scale = scales.get((at / state.block) as usize).copied().unwrap_or(f32::NAN);
                    listed * scale + state.offset
                };
                (wanted.start..).zip(codes).map(number).collect()
            }
        })
    }
}

/// How bitsandbytes quantised the scales.
struct Nesting {
    block: u64,
    offset: f32,
}

impl Nesting {
    /// A field that is missing makes the values NaN.
    fn parse(state: &[u8]) -> Self {
        let state: Value = serde_json::from_slice(state).unwrap_or_default();
        let offset =
            state.get("nested_offset").and_then(Value::as_f64).map_or(f32::NAN, |offset| offset as f32);
        let block = state.get("nested_blocksize").and_then(Value::as_u64);
        Self { block: block.filter(|block| *block > 0).unwrap_or(u64::MAX), offset }
    }
}

/// Calls `each` with each value and the number that it shares. A value without one becomes NaN.
fn each(
    values: &mut [f32],
    columns: &Range<u64>,
    beside: &Beside,
    (first, numbers): (u64, &[f32]),
    each: impl Fn(&mut f32, f32),
) {
    let wide = beside.shared[1];
    if wide == 1 {
        let numbers = numbers.iter().copied().chain(std::iter::repeat(f32::NAN));
        let numbers = numbers.skip((columns.start - first) as usize);
        return values.iter_mut().zip(numbers).for_each(|(value, number)| each(value, number));
    }
    let mut column = columns.start;
    let mut rest = values;
    while !rest.is_empty() {
        let end = (column / wide + 1).saturating_mul(wide).min(columns.end);
        let (these, others) = rest.split_at_mut((end - column) as usize);
        let number = numbers.get((column / wide - first) as usize).copied().unwrap_or(f32::NAN);
        these.iter_mut().for_each(|value| each(value, number));
        (column, rest) = (end, others);
    }
}

fn numbers(dtype: &TensorType, bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::new();
    // Only types that are decoded get here.
    let _ = dtype.decode_f32(bytes, &mut values);
    values
}

/// What is stored for one weight.
struct Parts<'a, S> {
    checkpoint: &'a Checkpoint<S>,
    weight: &'a Weight,
    /// The unpacked shape.
    shape: &'a [u64],
}

/// How the values of a weight follow from what is stored. `None` for a method that is not decoded, and for sizes that do not fit
/// together.
fn packing<S: ByteSource>(checkpoint: &Checkpoint<S>, weight: &Weight) -> Option<Packing> {
    let parts = Parts { checkpoint, weight, shape: weight.shape.as_deref()? };
    let packing = match weight.form.method {
        "bitsandbytes, 4 bit" => parts.four_bits(),
        "bitsandbytes, 8 bit" => parts.eight_bits(),
        "GPTQ" => parts.gptq(),
        "AWQ" => parts.awq(),
        "MLX" => parts.mlx(),
        "MXFP4" => parts.mxfp4(),
        "compressed-tensors" => parts.compressed(),
        "scaled 8 bit" => parts.scaled(".weight_scale", &[".weight_scale_2", ".weight_zero_point"]),
        "FP8 in blocks" => parts.scaled(".weight_scale_inv", &[]),
        "scaled FP8" => parts.scaled(".scale_weight", &[]),
        _ => None,
    }?;
    let values = packing.rows.checked_mul(packing.columns)?;
    let elements = parts.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size))?;
    values.checked_mul(SINGLE)?;
    (values == elements && values > 0).then_some(packing)
}

/// Whether a weight is decoded with the last two dimensions of its shape the other way round.
fn is_transposed(method: &str) -> bool {
    matches!(method, "GPTQ" | "AWQ" | "MXFP4")
}

/// The strides of such a weight.
fn transposed(shape: &[u64]) -> Vec<u64> {
    let mut stored = shape.to_vec();
    let last = stored.len().saturating_sub(2);
    stored[last..].reverse();
    let mut steps: Vec<u64> = (0..stored.len())
        .map(|at| stored[at + 1..].iter().fold(1u64, |step, size| step.saturating_mul(*size)))
        .collect();
    steps[last..].reverse();
    steps
}

impl<S: ByteSource> Parts<'_, S> {
    fn tensor(&self, end: &str) -> Option<&Tensor> {
        let tensors = &self.checkpoint.tensors;
        self.weight.beside.iter().map(|at| &tensors[*at]).find(|tensor| tensor.name.ends_with(end))
    }

    fn codes(&self) -> &Tensor {
        &self.checkpoint.tensors[self.weight.codes]
    }

    /// Outputs, experts included, and inputs.
    fn two(&self) -> Option<[u64; 2]> {
        let (inputs, outer) = self.shape.split_last()?;
        Some([outer.iter().try_fold(1u64, |product, size| product.checked_mul(*size))?, *inputs])
    }

    /// A field of the quantisation's configuration.
    fn setting(&self, name: &str) -> Option<&Value> {
        self.checkpoint.config_of(&self.codes().name)?.fields().get("quantization_config")?.get(name)
    }

    fn packing(
        &self,
        [rows, columns]: [u64; 2],
        codes: Codes,
        scale: Beside,
        offset: Offset,
    ) -> Option<Packing> {
        let at = stored(self.codes())?;
        let packing = Packing { rows, columns, at, codes, scale, offset, factor: 1.0, order: None };
        let held = 8 * (packing.at.range.end - packing.at.range.start);
        let needed = match packing.codes {
            Codes::Down { bits } => {
                columns.checked_mul(32)?.checked_mul(rows.checked_mul(bits.into())?.div_ceil(32))?
            }
            Codes::Across { row, .. } => rows.checked_mul(row)?,
            Codes::Awq | Codes::Listed { .. } => rows.checked_mul(columns)?.checked_mul(4)?,
            Codes::Numbers => rows.checked_mul(columns)?.checked_mul(packing.at.dtype.bits()?)?,
        };
        (held >= needed).then_some(packing)
    }

    /// bitsandbytes: codes of all values in order, the first in the high half of a byte; a scale for each block of values.
    fn four_bits(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        let values = outputs.checked_mul(inputs)?;
        let absmax = self.tensor(".weight.absmax")?;
        // The last block may be shorter.
        let block = values.div_ceil(absmax.elements().max(1)).checked_next_power_of_two()?;
        let fits = values.div_ceil(block) == absmax.elements();
        let kind = match self.tensor(".weight.nested_absmax") {
            None => Numbers::Plain,
            Some(scales) => Numbers::Nested {
                list: stored(self.tensor(".weight.nested_quant_map")?)?,
                scales: stored(scales)?,
                state: stored(
                    self.tensor(".weight.quant_state.bitsandbytes__nf4")
                        .or_else(|| self.tensor(".weight.quant_state.bitsandbytes__fp4"))?,
                )?,
            },
        };
        let list = List::Stored(stored(self.tensor(".weight.quant_map")?)?);
        let scale = Beside { at: stored(absmax)?, kind, shared: [1, block], width: absmax.elements() };
        let codes = Codes::Listed { high_first: true, list };
        self.packing([1, values], codes, scale, Offset::None).filter(|_| fits)
    }

    /// LLM.int8(): bytes and the largest magnitude of each row.
    fn eight_bits(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        // Other formats are the order of a GPU's tiles.
        let scale = self.tensor(".SCB").filter(|scale| scale.elements() == outputs)?;
        let scale = Beside { at: stored(scale)?, kind: Numbers::Plain, shared: [1, inputs], width: 1 };
        let packing = self.packing([outputs, inputs], Codes::Numbers, scale, Offset::None)?;
        Some(Packing { factor: 1.0 / 127.0, ..packing })
    }

    /// Codes lie down the columns. The stored zero points are one too small, except in the second version of the format.
    fn gptq(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        let [words, _] = *self.codes().shape else { return None };
        let bits = bits(words, inputs)?;
        let scales = self.tensor(".scales")?;
        let [groups, _] = *scales.shape else { return None };
        let group = inputs.div_ceil(groups.max(1));
        let second = self.setting("checkpoint_format").is_some_and(|format| format == "gptq_v2");
        let words = Numbers::Words { bits, awq: false, plus: if second { 0.0 } else { 1.0 } };
        let packing = self.grouped([inputs, outputs], bits, Codes::Down { bits }, [groups, group], words)?;
        let order = self
            .tensor(".g_idx")
            .filter(|order| order.elements() == inputs && order.dtype == TensorType::Known(Dtype::I32));
        let order =
            order.and_then(|order| Some(Order { at: stored(order)?, name: order.name.clone(), groups }));
        Some(Packing { order, ..packing })
    }

    /// Codes lie along the rows of inputs × outputs, eight to a word in an order of their own.
    fn awq(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        let [_, words] = *self.codes().shape else { return None };
        let [groups, _] = *self.tensor(".scales")?.shape else { return None };
        if words.checked_mul(8) != Some(outputs) || groups == 0 || !inputs.is_multiple_of(groups) {
            return None;
        }
        let words = Numbers::Words { bits: 4, awq: true, plus: 0.0 };
        self.grouped([inputs, outputs], 4, Codes::Awq, [groups, inputs / groups], words)
    }

    /// Inputs × outputs with scales and zero points for groups of inputs. Without zero points, zero lies in the middle.
    fn grouped(
        &self,
        [inputs, outputs]: [u64; 2],
        bits: u32,
        codes: Codes,
        [groups, group]: [u64; 2],
        words: Numbers,
    ) -> Option<Packing> {
        let scales = self.tensor(".scales").filter(|scales| scales.shape == [groups, outputs])?;
        let beside =
            |tensor, kind| Some(Beside { at: stored(tensor)?, kind, shared: [group, 1], width: outputs });
        let offset = match self.tensor(".qzeros") {
            Some(zeros) => {
                let row = outputs.checked_mul(bits.into())?;
                let fits = row.is_multiple_of(32) && zeros.shape == [groups, row / 32];
                Offset::Zeros(beside(zeros, words).filter(|_| fits)?)
            }
            None => Offset::Constant((1 << (bits - 1)) as f32),
        };
        self.packing([inputs, outputs], codes, beside(scales, Numbers::Plain)?, offset)
    }

    /// Codes lie along the rows; a group of them has a scale and a bias.
    fn mlx(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        let words = *self.codes().shape.last()?;
        let bits = bits(words, inputs)?;
        let beside = |end| {
            let tensor = self.tensor(end)?;
            let groups = *tensor.shape.last()?;
            let fits = groups > 0
                && inputs.is_multiple_of(groups)
                && tensor.elements() == outputs.checked_mul(groups)?;
            let at = stored(tensor)?;
            fits.then(|| Beside { at, kind: Numbers::Plain, shared: [1, inputs / groups], width: groups })
        };
        let codes = Codes::Across { bits, row: words.checked_mul(32)? };
        self.packing([outputs, inputs], codes, beside(".scales")?, Offset::Biases(beside(".biases")?))
    }

    /// Experts × outputs × groups × bytes, two codes a byte.
    fn mxfp4(&self) -> Option<Packing> {
        let [experts, outputs, groups, bytes] = *self.codes().shape else { return None };
        let scales = self.tensor("_scales").filter(|scales| scales.shape == [experts, outputs, groups])?;
        let group = bytes.checked_mul(2)?;
        let scale =
            Beside { at: stored(scales)?, kind: Numbers::Exponents, shared: [1, group], width: groups };
        let codes = Codes::Listed { high_first: false, list: List::Fp4 };
        let rows = experts.checked_mul(outputs)?;
        self.packing([rows, groups.checked_mul(group)?], codes, scale, Offset::None)
    }

    /// compressed-tensors: whole numbers along the rows, which are whole words, with zero in the middle.
    fn compressed(&self) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        let unusual = [".weight_zero_point", ".weight_g_idx", ".weight_global_scale"];
        let [_, words] = *self.codes().shape else { return None };
        if unusual.iter().any(|end| self.tensor(end).is_some())
            || self.codes().dtype != TensorType::Known(Dtype::I32)
        {
            return None;
        }
        let scales = self.tensor(".weight_scale")?;
        let groups = scales.elements().checked_div(outputs).filter(|groups| *groups > 0)?;
        let fits = scales.elements() == outputs.checked_mul(groups)? && inputs.is_multiple_of(groups);
        // 32 / bits codes fill a word, and no code lies in two.
        let bits = [8u32, 4, 2, 1].into_iter().find(|bits| inputs.div_ceil(u64::from(32 / bits)) == words)?;
        let at = stored(scales)?;
        let scale = Beside { at, kind: Numbers::Plain, shared: [1, inputs / groups], width: groups };
        let codes = Codes::Across { bits, row: words.checked_mul(32)? };
        let zero = Offset::Constant((1 << (bits - 1)) as f32);
        self.packing([outputs, inputs], codes, scale, zero).filter(|_| fits)
    }

    /// Numbers of a byte with a scale for all, for each row or for each block.
    fn scaled(&self, end: &str, unusual: &[&str]) -> Option<Packing> {
        let [outputs, inputs] = self.two()?;
        if unusual.iter().any(|end| self.tensor(end).is_some()) {
            return None;
        }
        let scales = self.tensor(end)?;
        let (rows, columns) = match (scales.elements(), scales.shape.split_last()) {
            (1, _) => (1, 1),
            (all, _) if all == outputs => (outputs, 1),
            (all, Some((&last, _))) if last > 0 => (all / last, last),
            _ => return None,
        };
        let sizes = self.setting("weight_block_size");
        let size = |at: usize| sizes.and_then(|sizes| sizes.get(at)?.as_u64());
        let shared = [shared(outputs, rows, size(0))?, shared(inputs, columns, size(1))?];
        let exponents = scales.dtype == TensorType::Known(Dtype::F8_E8M0);
        let kind = if exponents { Numbers::Exponents } else { Numbers::Plain };
        let at = if exponents { stored_as_it_is(scales) } else { stored(scales) }?;
        let scale = Beside { at, kind, shared, width: columns };
        self.packing([outputs, inputs], Codes::Numbers, scale, Offset::None)
    }
}

/// How many of `size` rows share each of `count` numbers: all, as many as the configuration says, 128, or equal parts.
fn shared(size: u64, count: u64, configured: Option<u64>) -> Option<u64> {
    if count == 1 {
        return Some(size);
    }
    let equal = size.checked_div(count);
    let all = configured.into_iter().chain([128]).chain(equal);
    all.filter(|block| *block > 0).find(|block| size.div_ceil(*block) == count)
}

/// Bits of a code, if this many words hold the codes of a row or column.
fn bits(words: u64, values: u64) -> Option<u32> {
    let all = words.checked_mul(32)?;
    let bits = all.checked_div(values).filter(|bits| all == bits * values)?;
    u32::try_from(bits).ok().filter(|bits| (1..=codes::MOST_BITS).contains(bits))
}

/// Where a tensor is stored, if its values lie in order and are decoded.
fn stored(tensor: &Tensor) -> Option<Stored> {
    tensor.dtype.decodable().ok()?;
    stored_as_it_is(tensor)
}

fn stored_as_it_is(tensor: &Tensor) -> Option<Stored> {
    let Tensor { shard, range, dtype, .. } = tensor;
    tensor.strides.is_none().then(|| Stored { shard: *shard, range: range.clone(), dtype: dtype.clone() })
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::{Checkpoint, open};
    use crate::source::memory::MemorySource;
    use pollster::block_on;
    use safetensors::SafeTensors;
    use std::path::PathBuf;

    /// `scripts/fixtures/packed.py` writes it.
    fn folder(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/quantised/packed").join(name)
    }

    fn opened(name: &str) -> Checkpoint<MemorySource> {
        let files = ["model.safetensors", "config.json"];
        let source = |file| MemorySource::new(file, std::fs::read(folder(name).join(file)).unwrap());
        block_on(open(files.map(source).into(), |_| {})).unwrap()
    }

    /// The values that a package dequantised: name, type, and values.
    fn expected(name: &str) -> Vec<(String, safetensors::Dtype, Vec<f64>)> {
        let bytes = std::fs::read(folder(name).join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let of = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let dtype = crate::checkpoint::dtype::TensorType::Known(view.dtype());
            (name.to_owned(), view.dtype(), dtype.decode(view.data()).unwrap())
        };
        file.iter().map(of).collect()
    }

    const METHODS: [&str; 9] = [
        "awq",
        "bitsandbytes-4",
        "bitsandbytes-8",
        "compressed-tensors",
        "gptq",
        "gptq-2",
        "mlx",
        "mxfp4",
        "scaled",
    ];

    #[test]
    fn every_method_decodes_to_the_numbers_of_its_package() {
        for method in METHODS {
            let checkpoint = opened(method);
            let expected = expected(method);
            assert_eq!(checkpoint.tensors.len(), expected.len() + 1, "{method}: and the norm");
            for (name, dtype, expected) in expected {
                let at = checkpoint.tensors.iter().position(|tensor| tensor.name == name);
                let at = at.unwrap_or_else(|| panic!("{method} has no {name}"));
                let values = block_on(checkpoint.values(at)).unwrap();
                assert_eq!(values.len(), expected.len(), "{method}, {name}");
                for (place, (value, expected)) in values.into_iter().zip(expected).enumerate() {
                    // AWQ computes in half precision.
                    let rounded = match dtype {
                        safetensors::Dtype::F16 => half::f16::from_f64(value).to_f64(),
                        _ => value,
                    };
                    assert_eq!(rounded, expected, "{method}, {name}: value {place}");
                }
            }
        }
    }

    #[test]
    fn any_part_of_a_weight_is_a_part_of_the_whole() {
        for method in METHODS {
            let checkpoint = opened(method);
            for tensor in checkpoint.tensors.iter().filter(|tensor| tensor.shape.len() > 1) {
                let read = |from: u64, to: u64| {
                    let range = tensor.bytes_of(&(from..to)).unwrap();
                    block_on(checkpoint.read_weights(tensor.shard, range)).unwrap()
                };
                let all = tensor.elements();
                let whole = read(0, all);
                for (from, to) in
                    [(0, 1), (all - 1, all), (3, 8), (5, 69), (30, 131), (17, all - 5), (64, 64)]
                {
                    let (from, to) = (from.min(all), to.min(all));
                    let expected = &whole[4 * from as usize..4 * to as usize];
                    assert_eq!(read(from, to), expected, "{method}, {}: {from} to {to}", tensor.name);
                }
            }
        }
    }

    #[test]
    fn an_order_that_names_scales_which_are_not_there_is_an_error_that_names_it() {
        let bytes = std::fs::read(folder("gptq").join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let order = file.names().into_iter().find(|name| name.ends_with(".g_idx")).unwrap().to_owned();
        let view = file.tensor(&order).unwrap();
        let begin = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        for wrong in [-1, 1000_i32] {
            let mut damaged = bytes.clone();
            damaged[begin + 4 * 7..][..4].copy_from_slice(&wrong.to_le_bytes());
            let config = std::fs::read(folder("gptq").join("config.json")).unwrap();
            let files = vec![
                MemorySource::new("model.safetensors", damaged),
                MemorySource::new("config.json", config),
            ];
            let checkpoint = block_on(open(files, |_| {})).unwrap();
            let weight = order.replace(".g_idx", ".weight");
            let at = checkpoint.tensors.iter().position(|tensor| tensor.name == weight).unwrap();
            let sentence = block_on(checkpoint.values(at)).unwrap_err().to_string();
            assert!(sentence.contains("`model.safetensors`") && sentence.contains(&order), "{sentence}");
            assert!(sentence.contains(&format!("input 7 into group {wrong}")), "{sentence}");
        }
    }

    #[test]
    fn a_read_may_span_several_weights() {
        let checkpoint = opened("mlx");
        let mut ranges: Vec<_> = checkpoint
            .tensors
            .iter()
            .filter(|tensor| tensor.shape.len() > 1)
            .map(|tensor| tensor.range.clone())
            .collect();
        ranges.sort_by_key(|range| range.start);
        let read = |range| block_on(checkpoint.read_weights(0, range)).unwrap();
        let (first, second) = (ranges[0].clone(), ranges[1].clone());
        assert_eq!(first.end, second.start);
        let both = read(first.end - 12..second.start + 8);
        assert_eq!(both, [read(first.end - 12..first.end), read(second.start..second.start + 8)].concat());
    }

    #[test]
    fn what_every_row_needs_is_read_once() {
        let checkpoint = opened("bitsandbytes-4");
        // Its scales are quantised again.
        let weight = checkpoint.tensors.iter().find(|tensor| tensor.name == "a.2.q.weight").unwrap();
        let read = |row: u64| {
            let before = checkpoint.weight_bytes_read();
            let range = weight.bytes_of(&(288 * row..288 * (row + 1))).unwrap();
            block_on(checkpoint.read_weights(0, range)).unwrap();
            checkpoint.weight_bytes_read() - before
        };
        assert!(read(0) > 1000, "the list of 256 numbers");
        // Codes, and a byte for each block of 64.
        assert!(read(1) <= 288 / 2 + 6);
    }

    #[test]
    fn stored_bytes_are_counted_and_not_decoded_ones() {
        let checkpoint = opened("awq");
        let weight = checkpoint.tensors.iter().find(|tensor| tensor.name == "a.q.weight").unwrap();
        assert_eq!((weight.shape.as_slice(), weight.bytes()), ([32, 64].as_slice(), 4 * 32 * 64));
        assert_eq!(weight.stored_bytes(), 32 * 64 / 2 + 2 * 32 / 2 + 2 * 2 * 32);
        assert!(checkpoint.offset(weight) < 2000, "{}", checkpoint.offset(weight));
        let message = &checkpoint.warnings[0].message;
        assert!(message.ends_with("The values are decoded as they are read"), "{message}");
    }
}
