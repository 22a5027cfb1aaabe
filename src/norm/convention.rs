//! How the effective scale γ follows from the stored tensor w: γ = w, or γ = 1 + w. A wrong one is a wrong kernel.

use super::families;
use crate::checkpoint::config::Scope;
use crate::report::ScaleConvention;

/// Flags that say the scale is stored around zero.
const ONE_PLUS_FLAGS: [&str; 3] = ["apply_layernorm_1p", "zero_centered_gamma", "layernorm_zero_centered_gamma"];

/// At least this share of negative values, none much below −1, is how scales stored around zero look.
const NEGATIVE_SHARE: f64 = 0.05;

/// A convention and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convention {
    /// w or 1 + w.
    pub convention: ScaleConvention,
    /// The reason, as a sentence.
    pub reason: String,
}

/// Decides from the configuration, else from the stored values w (d of them).
pub fn decide(config: Option<Scope<'_>>, stored: &[f64]) -> Convention {
    let of = |convention, reason: String| Convention { convention, reason };
    if let Some(config) = config {
        if let Some(flag) = ONE_PLUS_FLAGS.iter().find(|flag| config.truth(flag) == Some(true)) {
            return of(ScaleConvention::OnePlusWeight, format!("`{flag}` is true"));
        }
        if let Some(value) = config.text("normalization").filter(|value| value.to_ascii_lowercase().contains("1p")) {
            return of(ScaleConvention::OnePlusWeight, format!("`normalization` is {value:?}"));
        }
        if let Some(family) = config.family().and_then(families::family) {
            let shown = if family.convention == ScaleConvention::OnePlusWeight { "1 + w" } else { "w" };
            return of(family.convention, format!("the code of the family `{}` scales by {shown}", family.model_type));
        }
    }
    if looks_zero_centred(stored) {
        return of(ScaleConvention::OnePlusWeight, "the stored values lie around 0 and not below −1, as in norms that scale by 1 + w".to_owned());
    }
    of(ScaleConvention::Weight, "the stored values are the scale, as in most norms".to_owned())
}

/// True for stored values that scatter around 0 rather than around 1.
pub(super) fn looks_zero_centred(stored: &[f64]) -> bool {
    let negative = stored.iter().filter(|&&value| value < 0.0).count() as f64;
    let least = stored.iter().copied().fold(f64::INFINITY, f64::min);
    let median = {
        let mut sorted = stored.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(1.0)
    };
    stored.len() >= 16 && negative >= NEGATIVE_SHARE * stored.len() as f64 && least >= -1.1 && median.abs() < 0.5
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
        let convention = decide(Some(config.scope("model.norm")), &[]);
        assert_eq!(convention.effective(vec![-1.0, 0.5]), [0.0, 1.5]);
    }

    #[test]
    fn values_around_zero_speak_when_no_configuration_does() {
        let stored: Vec<f64> = (0..64).map(|i| f64::from(i) / 64.0 - 0.4).collect();
        assert_eq!(decide(None, &stored).convention, ScaleConvention::OnePlusWeight);
        let stored: Vec<f64> = (0..64).map(|i| f64::from(i) / 64.0 + 0.5).collect();
        assert_eq!(decide(None, &stored).convention, ScaleConvention::Weight);
    }

    #[test]
    fn a_few_negative_scales_do_not_make_it_one_plus() {
        let mut stored = vec![0.9; 64];
        stored[3] = -0.01;
        assert_eq!(decide(None, &stored).convention, ScaleConvention::Weight);
    }
}
