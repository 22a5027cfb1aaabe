//! The operations of a device in a forward pass. Each has a function in [`crate::cpu`] and a shader of the same name.

use super::ForwardError;
use crate::checkpoint::dtype::TensorType;
use crate::cpu::attention::Attention;
use crate::cpu::convolution::Causal;
use crate::cpu::delta_rule::{self, DeltaRule};
use crate::cpu::linear::{self, Weight};
use crate::cpu::loss::Loss;
use crate::cpu::norm;
use crate::cpu::rotary::RotaryTable;
use crate::model::operation::Activation;
use crate::model::operation::Centring;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;

/// The size of a linear map, and the layout of its weight in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// k.
    pub inputs: usize,
    /// m.
    pub outputs: usize,
    /// Which dimension is the outer one.
    pub layout: Layout,
}

/// A part of every row: columns `from` to `from + width` of rows of `of` values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// The first column.
    pub from: usize,
    /// Number of columns.
    pub width: usize,
    /// Values of a whole row.
    pub of: usize,
}

/// The heads of queries or keys, and the tokens of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Width h of a head.
    pub width: usize,
    /// Tokens t of a sequence.
    pub length: usize,
}

/// A device. It does the work in the order of the calls, and may still be working when a call returns. It reports errors when values are
/// brought back.
#[allow(async_fn_in_trait, reason = "passes run on one thread")]
pub trait Kernels {
    /// f32 values in the device's memory.
    type Values;
    /// A tensor in the device's memory, in its own type.
    type Weight;

    /// Name of the device in reports.
    fn name(&self) -> &str;

    /// Copies values to the device.
    fn put(&self, values: Vec<f32>) -> Self::Values;
    /// Makes this many zeros.
    fn zeros(&self, values: usize) -> Self::Values;
    /// Waits for all work on these values, and copies them back.
    async fn get(&self, values: &Self::Values) -> Result<Vec<f32>, ForwardError>;
    /// Waits for all work on these values, and returns the place of the first NaN or infinity.
    async fn first_not_finite(&self, values: &Self::Values) -> Result<Option<usize>, ForwardError>;
    /// Makes room for this many values of a tensor. `None` for a type that the device does not decode.
    fn weight(&self, dtype: &TensorType, values: usize) -> Option<Self::Weight>;
    /// Appends the next bytes of a tensor.
    fn fill(&self, weight: &mut Self::Weight, bytes: &[u8]);

    /// Copies `count` values, beginning at `from`.
    fn part(&self, x: &Self::Values, from: usize, count: usize) -> Self::Values;
    /// Copies `part` into `y`, beginning at `at`.
    fn put_part(&self, y: &mut Self::Values, at: usize, part: &Self::Values);
    /// Copies these columns of every row.
    fn columns(&self, x: &Self::Values, columns: Columns) -> Self::Values;
    /// Copies these rows of n × `width`.
    fn rows(&self, x: &Self::Values, width: usize, rows: &[u32]) -> Self::Values;
    /// y += weight · row for each row of `part`. `to` has the row of `y` and the weight for it. No row of `y` may occur twice.
    fn add_rows(&self, y: &mut Self::Values, width: usize, to: &[(u32, f32)], part: &Self::Values);
    /// y += multiplier · part.
    fn add(&self, y: &mut Self::Values, part: &Self::Values, multiplier: f32);
    /// Clamps values between the lower and the upper bound.
    fn clamp(&self, x: &mut Self::Values, bounds: [f32; 2]);

    /// See [`linear::linear`].
    fn linear(
        &self,
        x: &Self::Values,
        weight: &Self::Weight,
        shape: Shape,
        bias: Option<&Self::Values>,
    ) -> Self::Values;
    /// See [`norm::normalise`].
    fn normalise(&self, centring: Centring, x: &Self::Values, width: usize, epsilon: f32) -> Self::Values;
    /// See [`norm::cut`].
    fn cut(&self, x: &Self::Values, width: usize, k: f32) -> Self::Values;
    /// See [`norm::scale_and_shift`]. Scale and shift have `width` values.
    fn scale_and_shift(
        &self,
        x: &Self::Values,
        scale: Option<&Self::Values>,
        shift: Option<&Self::Values>,
        width: usize,
    ) -> Self::Values;
    /// See [`RotaryTable::apply`].
    fn rotary(&self, x: &mut Self::Values, turns: &RotaryTable, heads: Heads, pairing: Pairing);
    /// See [`Attention::attend`].
    fn attend(
        &self,
        attention: &Attention<'_>,
        q: &Self::Values,
        k: &Self::Values,
        v: &Self::Values,
    ) -> Self::Values;
    /// See [`Causal::convolve`].
    fn convolve(&self, causal: Causal, x: &Self::Values, weights: &Self::Values) -> Self::Values;
    /// See [`delta_rule::decay`]. There are `heads` rates, and as many biases.
    fn decay(&self, x: &mut Self::Values, rates: &Self::Values, biases: &Self::Values, heads: usize);
    /// See [`DeltaRule::run`]. The values are q, k, v, α and β.
    fn delta_rule(&self, rule: &DeltaRule, values: [&Self::Values; 5]) -> Self::Values;
    /// See [`Activation::apply`].
    fn activate(&self, activation: Activation, x: &mut Self::Values);
    /// See [`Activation::gate`].
    fn gate(&self, activation: Activation, gate: &mut Self::Values, up: &Self::Values);
    /// Multiplies logits, and applies the soft `cap`.
    fn logits(&self, x: &mut Self::Values, multiplier: f32, cap: Option<f32>);
    /// See [`Loss::take`].
    async fn loss(
        &self,
        loss: &mut Loss<'_>,
        logits: &Self::Values,
        width: usize,
    ) -> Result<(), ForwardError>;
}

/// The CPU, on all its cores if there are threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

impl Kernels for Cpu {
    type Values = Vec<f32>;
    type Weight = (TensorType, Vec<f32>);

    fn name(&self) -> &str {
        "cpu"
    }

    fn put(&self, values: Vec<f32>) -> Vec<f32> {
        values
    }

    fn zeros(&self, values: usize) -> Vec<f32> {
        vec![0.0; values]
    }

    async fn get(&self, values: &Vec<f32>) -> Result<Vec<f32>, ForwardError> {
        Ok(values.clone())
    }

    async fn first_not_finite(&self, values: &Vec<f32>) -> Result<Option<usize>, ForwardError> {
        Ok(values.iter().position(|value| !value.is_finite()))
    }

    fn weight(&self, dtype: &TensorType, values: usize) -> Option<Self::Weight> {
        dtype.decodable().ok()?;
        Some((dtype.clone(), Vec::with_capacity(values)))
    }

    fn fill(&self, (dtype, values): &mut Self::Weight, bytes: &[u8]) {
        // The caller has already asked whether the type is decoded.
        let _ = dtype.decode_f32(bytes, values);
    }

    fn part(&self, x: &Vec<f32>, from: usize, count: usize) -> Vec<f32> {
        x[from..from + count].to_vec()
    }

    fn put_part(&self, y: &mut Vec<f32>, at: usize, part: &Vec<f32>) {
        y[at..at + part.len()].copy_from_slice(part);
    }

    fn columns(&self, x: &Vec<f32>, Columns { from, width, of }: Columns) -> Vec<f32> {
        x.chunks_exact(of).flat_map(|row| &row[from..from + width]).copied().collect()
    }

    fn rows(&self, x: &Vec<f32>, width: usize, rows: &[u32]) -> Vec<f32> {
        rows.iter().flat_map(|row| &x[*row as usize * width..][..width]).copied().collect()
    }

    fn add_rows(&self, y: &mut Vec<f32>, width: usize, to: &[(u32, f32)], part: &Vec<f32>) {
        for ((row, weight), part) in to.iter().zip(part.chunks_exact(width)) {
            let y = &mut y[*row as usize * width..][..width];
            y.iter_mut().zip(part).for_each(|(y, value)| *y += weight * value);
        }
    }

    fn add(&self, y: &mut Vec<f32>, part: &Vec<f32>, multiplier: f32) {
        y.iter_mut().zip(part).for_each(|(y, part)| *y += multiplier * part);
    }

    fn clamp(&self, x: &mut Vec<f32>, [low, high]: [f32; 2]) {
        x.iter_mut().for_each(|value| *value = value.clamp(low, high));
    }

    fn linear(
        &self,
        x: &Vec<f32>,
        (_, values): &Self::Weight,
        Shape { inputs, outputs, layout }: Shape,
        bias: Option<&Vec<f32>>,
    ) -> Vec<f32> {
        linear::linear(x, Weight { values, outputs, inputs, layout }, bias.map(Vec::as_slice))
    }

    fn normalise(&self, centring: Centring, x: &Vec<f32>, width: usize, epsilon: f32) -> Vec<f32> {
        let mut y = x.clone();
        norm::normalise(centring, &mut y, width, epsilon);
        y
    }

    fn cut(&self, x: &Vec<f32>, width: usize, k: f32) -> Vec<f32> {
        let mut y = x.clone();
        norm::cut(&mut y, width, k);
        y
    }

    fn scale_and_shift(
        &self,
        x: &Vec<f32>,
        scale: Option<&Vec<f32>>,
        shift: Option<&Vec<f32>>,
        _width: usize,
    ) -> Vec<f32> {
        let mut y = x.clone();
        norm::scale_and_shift(&mut y, scale.map(Vec::as_slice), shift.map(Vec::as_slice));
        y
    }

    fn rotary(&self, x: &mut Vec<f32>, turns: &RotaryTable, heads: Heads, pairing: Pairing) {
        turns.apply(x, heads.count, heads.width, heads.length, pairing);
    }

    fn attend(&self, attention: &Attention<'_>, q: &Vec<f32>, k: &Vec<f32>, v: &Vec<f32>) -> Vec<f32> {
        attention.attend(q, k, v)
    }

    fn convolve(&self, causal: Causal, x: &Vec<f32>, weights: &Vec<f32>) -> Vec<f32> {
        causal.convolve(x, weights)
    }

    fn decay(&self, x: &mut Vec<f32>, rates: &Vec<f32>, biases: &Vec<f32>, _heads: usize) {
        delta_rule::decay(x, rates, biases);
    }

    fn delta_rule(&self, rule: &DeltaRule, [q, k, v, alpha, beta]: [&Vec<f32>; 5]) -> Vec<f32> {
        rule.run(q, k, v, alpha, beta)
    }

    fn activate(&self, activation: Activation, x: &mut Vec<f32>) {
        activation.apply(x);
    }

    fn gate(&self, activation: Activation, gate: &mut Vec<f32>, up: &Vec<f32>) {
        activation.gate(gate, up);
    }

    fn logits(&self, x: &mut Vec<f32>, multiplier: f32, cap: Option<f32>) {
        if multiplier != 1.0 {
            x.iter_mut().for_each(|logit| *logit *= multiplier);
        }
        if let Some(cap) = cap {
            x.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
        }
    }

    async fn loss(&self, loss: &mut Loss<'_>, logits: &Vec<f32>, width: usize) -> Result<(), ForwardError> {
        loss.take(logits, width);
        Ok(())
    }
}
