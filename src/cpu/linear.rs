//! y = x Wᵀ + b: a linear map of every token.

use super::rows;
use crate::model::operation::Layout;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// The weight of a linear map from k inputs to m outputs.
#[derive(Debug, Clone, Copy)]
pub struct Weight<'a> {
    /// m·k values.
    pub values: &'a [f32],
    /// m.
    pub outputs: usize,
    /// k.
    pub inputs: usize,
    /// Which of them is the outer one.
    pub layout: Layout,
}

impl<'a> Weight<'a> {
    /// The matrix Wᵀ, k × m.
    fn transposed(self) -> MatRef<'a, f32> {
        match self.layout {
            Layout::OutputInput => {
                MatRef::from_row_major_slice(self.values, self.outputs, self.inputs).transpose()
            }
            Layout::InputOutput => MatRef::from_row_major_slice(self.values, self.inputs, self.outputs),
        }
    }
}

/// Computes y (n × m) from x (n × k). `bias` has m values.
pub fn linear(x: &[f32], weight: Weight<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    let Weight { outputs: m, inputs: k, .. } = weight;
    let n = x.len() / k;
    let mut y = vec![0.0; n * m];
    rows::in_parallel(&mut y, m, |first, part| {
        let tokens = part.len() / m;
        let x = MatRef::from_row_major_slice(&x[first * k..][..tokens * k], tokens, k);
        let y = MatMut::from_row_major_slice_mut(&mut *part, tokens, m);
        matmul(y, Accum::Replace, x, weight.transposed(), 1.0, Par::Seq);
        if let Some(bias) = bias {
            add_to_rows(part, bias);
        }
    });
    y
}

/// Adds `vector` to every row of `matrix`.
pub fn add_to_rows(matrix: &mut [f32], vector: &[f32]) {
    for row in matrix.chunks_exact_mut(vector.len()) {
        for (value, add) in row.iter_mut().zip(vector) {
            *value += add;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_layouts_give_what_a_plain_loop_gives(
            (n, k, m) in (1usize..9, 1usize..40, 1usize..40), seed in any::<u64>(),
        ) {
            let value = |at: usize| ((at as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 1e7 - 0.8;
            let x: Vec<f32> = (0..n * k).map(value).collect();
            let weight: Vec<f32> = (0..m * k).map(|at| value(at + 1000)).collect();
            let turned: Vec<f32> = (0..k * m).map(|at| weight[at % m * k + at / m]).collect();
            let bias: Vec<f32> = (0..m).map(|at| value(at + 9000)).collect();
            let of = |values: &[f32], layout| {
                linear(&x, Weight { values, outputs: m, inputs: k, layout }, Some(&bias))
            };
            let (straight, turned) = (of(&weight, Layout::OutputInput), of(&turned, Layout::InputOutput));
            for token in 0..n {
                for output in 0..m {
                    let exact = (0..k)
                        .map(|at| f64::from(x[token * k + at]) * f64::from(weight[output * k + at]))
                        .sum::<f64>()
                        + f64::from(bias[output]);
                    for found in [straight[token * m + output], turned[token * m + output]] {
                        prop_assert!((f64::from(found) - exact).abs() < 1e-5, "{found} for {exact}");
                    }
                }
            }
        }
    }
}
