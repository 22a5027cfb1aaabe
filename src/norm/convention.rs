//! How the effective scale γ follows from the stored tensor w: γ = w, or γ = 1 + w. A wrong one is a wrong kernel.

use super::families;
use crate::checkpoint::config::Scope;
use crate::report::{NormKind, ScaleConvention};

/// Flags that say the scale is stored around zero.
const ONE_PLUS_FLAGS: [&str; 3] =
    ["apply_layernorm_1p", "zero_centered_gamma", "layernorm_zero_centered_gamma"];

/// Scales stored around zero have this many values between −1.05 and −0.5 or more, ...
const LOW_VALUES: usize = 16;
/// ... and at most this fraction as many below −1.05: an effective scale is rarely negative. Measured: Gemma-3-270M
/// (1 + w) 3,085 and 97; SmolLM2-135M (w) 0 and 2; all-MiniLM-L6-v2 (w) 0 and 0.
const BEYOND_FRACTION: f64 = 0.2;

/// A convention and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convention {
    /// w or 1 + w.
    pub convention: ScaleConvention,
    /// The reason, as a sentence.
    pub reason: String,
}

/// Decides from the configuration, else from whether the model's scales are [`stored_around_zero`]. A family's line
/// speaks only for sites of the kind it names: the vision tower of a Gemma model is no Gemma norm.
pub fn decide(config: Option<Scope<'_>>, kind: NormKind, around_zero: bool) -> Convention {
    let of = |convention, reason: String| Convention { convention, reason };
    if let Some(config) = config {
        if let Some(flag) = ONE_PLUS_FLAGS.iter().find(|flag| config.truth(flag) == Some(true)) {
            return of(ScaleConvention::OnePlusWeight, format!("`{flag}` is true"));
        }
        if let Some(value) =
            config.text("normalization").filter(|value| value.to_ascii_lowercase().contains("1p"))
        {
            return of(ScaleConvention::OnePlusWeight, format!("`normalization` is {value:?}"));
        }
        if let Some(family) = config.family().and_then(families::family).filter(|family| family.kind == kind)
        {
            let shown = if family.convention == ScaleConvention::OnePlusWeight { "1 + w" } else { "w" };
            return of(
                family.convention,
                format!("the code of the family `{}` scales by {shown}", family.model_type),
            );
        }
    }
    if around_zero {
        return of(
            ScaleConvention::OnePlusWeight,
            "the model's stored values reach down to −1 and hardly below, as in norms that scale by 1 + w"
                .to_owned(),
        );
    }
    of(ScaleConvention::Weight, "the stored values are the scale, as in most norms".to_owned())
}

/// Whether the scales of a model (w of each site without a shift) are stored around zero. One site is too few values
/// to tell: all are taken together.
pub fn stored_around_zero<'a>(scales: impl Iterator<Item = &'a [f64]>) -> bool {
    let (mut low, mut beyond) = (0, 0);
    for &value in scales.flatten() {
        low += usize::from((-1.05..-0.5).contains(&value));
        beyond += usize::from(value < -1.05);
    }
    low >= LOW_VALUES && beyond as f64 <= BEYOND_FRACTION * low as f64
}

impl Convention {
    /// γ from w.
    pub fn effective(&self, stored: Vec<f64>) -> Vec<f64> {
        match self.convention {
            ScaleConvention::Weight | ScaleConvention::None => stored,
            ScaleConvention::OnePlusWeight => stored.into_iter().map(|value| 1.0 + value).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::config::Config;

    #[test]
    fn a_family_that_adds_one_gives_an_exact_zero_at_minus_one() {
        let config = Config::parse("", "config.json", br#"{"model_type":"gemma3_text"}"#).unwrap();
        let convention = decide(Some(config.scope("model.norm")), NormKind::RmsNorm, false);
        assert_eq!(convention.effective(vec![-1.0, 0.5]), [0.0, 1.5]);
    }

    #[test]
    fn values_that_reach_down_to_minus_one_speak_when_no_configuration_does() {
        let stored: Vec<f64> = (0..64).map(|i| f64::from(i) / 32.0 - 1.0).collect();
        assert!(stored_around_zero([stored.as_slice()].into_iter()));
        assert_eq!(decide(None, NormKind::RmsNorm, true).convention, ScaleConvention::OnePlusWeight);
        let negative: Vec<f64> = stored.iter().map(|value| 3.0 * value).collect();
        assert!(!stored_around_zero([negative.as_slice()].into_iter()));
    }

    #[test]
    fn a_few_negative_scales_do_not_make_it_one_plus() {
        let mut stored = vec![0.9; 64];
        stored[3] = -0.01;
        stored[4] = -2.1;
        assert!(!stored_around_zero([stored.as_slice()].into_iter()));
        assert_eq!(decide(None, NormKind::LayerNorm, false).convention, ScaleConvention::Weight);
    }
}
