//! The functions between linear maps.

use super::elementary::{normal_share, sigmoid};
use super::rows;
use crate::model::operation::Activation;

impl Activation {
    /// Applies the function to every value.
    pub fn apply(self, x: &mut [f32]) {
        match self {
            Self::Gelu => each(x, gelu),
            Self::GeluTanh => each(x, gelu_tanh),
            Self::GeluQuick => each(x, gelu_quick),
            Self::Silu => each(x, silu),
            Self::Relu => each(x, relu),
            Self::ReluSquared => each(x, relu_squared),
            Self::Tanh => each(x, f32::tanh),
            Self::Sigmoid => each(x, sigmoid),
        }
    }

    /// Computes act(gate) ⊙ up, in `gate`.
    pub fn gate(self, gate: &mut [f32], up: &[f32]) {
        self.apply(gate);
        rows::in_parallel(gate, 1, |first, part| {
            part.iter_mut().zip(&up[first..]).for_each(|(gate, up)| *gate *= up);
        });
    }
}

fn each(x: &mut [f32], of: impl Fn(f32) -> f32 + Sync) {
    rows::in_parallel(x, 1, |_, part| part.iter_mut().for_each(|x| *x = of(*x)));
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal_share(x)
}

/// ½(1 + tanh u) = σ(2u).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    x * sigmoid(2.0 * root * (x + 0.044715 * x * x * x))
}

#[inline(always)]
fn gelu_quick(x: f32) -> f32 {
    x * sigmoid(1.702 * x)
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn relu_squared(x: f32) -> f32 {
    relu(x) * relu(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_its_formula_gives_in_f64() {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for step in -60..=60 {
            let x = f64::from(step) / 10.0;
            let root = (2.0 / std::f64::consts::PI).sqrt();
            let cases = [
                (Activation::Gelu, 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
                (Activation::GeluTanh, 0.5 * x * (1.0 + (root * (x + 0.044715 * x.powi(3))).tanh())),
                (Activation::GeluQuick, x * logistic(1.702 * x)),
                (Activation::Silu, x * logistic(x)),
                (Activation::Relu, x.max(0.0)),
                (Activation::ReluSquared, x.max(0.0).powi(2)),
                (Activation::Tanh, x.tanh()),
                (Activation::Sigmoid, logistic(x)),
            ];
            for (activation, exact) in cases {
                let mut found = [x as f32; 3];
                activation.apply(&mut found);
                assert!(
                    (f64::from(found[1]) - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                    "{activation:?} of {x}: {found:?}, {exact}"
                );
                let mut gated = [x as f32];
                activation.gate(&mut gated, &[2.0]);
                assert_eq!(gated[0], 2.0 * found[0]);
            }
        }
    }
}
