//! The norm under measurement.

use super::rows::Channel;
use crate::kernel::scale::Scale;

/// If γ of a channel is this much smaller than β, the rounding of y = γx̂ + β in f32 has lost x̂.
const HIDDEN: f64 = 1.0 / (1 << 20) as f64;

/// One norm: its effective scale and its shift, d values each.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Site name.
    pub name: &'a str,
    /// γ.
    pub scale: &'a Scale,
    /// β, if there is one.
    pub shift: Option<&'a [f64]>,
}

impl Norm<'_> {
    /// How to compute x̂ from y in a channel. `None` if γ is zero, or so small beside β that x̂ is lost.
    pub(super) fn channel(&self, at: usize) -> Option<Channel> {
        let (scale, shift) = (self.scale.values()[at], self.shift.map_or(0.0, |shift| shift[at]));
        (scale != 0.0 && scale.abs() >= HIDDEN * shift.abs()).then_some(Channel { at, shift, scale })
    }
}
