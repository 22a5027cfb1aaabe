//! A norm without its model: random inputs through γ, β and ε, as a LayerNorm and as an RMSNorm.
//!
//! This shows what a kernel looks like for this γ, where its floor is, and whether it misleads the raw test. It is no evidence about the
//! model, because each result only shows the kind that was chosen.

use super::MeasureError;
use super::activations::{Activations, Values};
use super::gram::{Gram, Gridded};
use super::site::{ENOUGH, Norm, measure};
use crate::cpu::norm::{normalise, scale_and_shift};
use crate::model::operation::Centring;
use crate::report::NormAlone;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// ε if no configuration names one.
pub const USUAL_EPSILON: f64 = 1e-5;

/// The seed: inputs are the same on every machine.
const SEED: u64 = 2606_19491;

/// Measures one norm as both kinds, on the same 4d tokens of standard normal channels, in f32.
pub async fn alone(
    site: Norm<'_>,
    epsilon: Option<f64>,
    gram: impl AsyncFn(&Gridded) -> Gram,
) -> Result<NormAlone, MeasureError> {
    let width = site.scale.width();
    // A LayerNorm with fewer channels has no room for directions other than its kernel.
    let tokens = ENOUGH * width.max(8);
    let in_f32 = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    let (scale, shift) = (in_f32(site.scale.values()), site.shift.map(in_f32));
    let outputs = |centring| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut values: Vec<f32> = (0..tokens * width).map(|_| random.sample(StandardNormal)).collect();
        normalise(centring, &mut values, width, epsilon.unwrap_or(USUAL_EPSILON) as f32);
        scale_and_shift(&mut values, Some(&scale), shift.as_deref());
        let (tensor, unit_roundoff) = (site.name.to_owned(), f64::from(f32::EPSILON) / 2.0);
        Activations { tensor, tokens, width, values: Values::F32(values), unit_roundoff, notes: Vec::new() }
    };
    Ok(NormAlone {
        name: site.name.to_owned(),
        epsilon: epsilon.unwrap_or(USUAL_EPSILON),
        epsilon_configured: epsilon.is_some(),
        layernorm: measure(site, &outputs(Centring::Mean), None, &gram).await?,
        rmsnorm: measure(site, &outputs(Centring::None), None, &gram).await?,
        warnings: Vec::new(),
    })
}
