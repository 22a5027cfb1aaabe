//! How the effective scale γ follows from the stored tensor w: γ = w, or γ = 1 + w. A wrong one is a wrong kernel.

use super::registry;
use super::site::NormSite;
use crate::checkpoint::config::Scope;
use crate::order;
use crate::report::{NormKind, ScaleConvention};

/// Flags that say the scale is stored around zero.
const ONE_PLUS_FLAGS: [&str; 3] =
    ["apply_layernorm_1p", "zero_centered_gamma", "layernorm_zero_centered_gamma"];

/// Architectures of llama.cpp whose original scales by 1 + w, as its conversion scripts add the one before they write. So
/// they do for every such family, as llama.cpp itself only ever multiplies by what is stored. Checked on the values of a
/// Gemma 3 file, which are BF16 numbers plus 1; the others are from reading the scripts.
const ONE_ADDED: [&str; 8] =
    ["gemma", "gemma2", "gemma3", "gemma-embedding", "nemotron", "qwen3next", "qwen35", "qwen35moe"];

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

/// Decides from the configuration, else from the layout of the block, else from how the model's scales are stored: see
/// [`Storage`]. The registry's word holds only for sites of the kind it names: the vision tower of a Gemma model is no
/// Gemma norm.
pub fn decide(
    site: &NormSite,
    config: Option<Scope<'_>>,
    kind: NormKind,
    around_zero: Option<bool>,
) -> Convention {
    let of = |convention, reason: String| Convention { convention, reason };
    let shown = |convention| if convention == ScaleConvention::OnePlusWeight { "1 + w" } else { "w" };
    if site.scale.is_none() {
        return of(ScaleConvention::None, "the norm neither scales nor shifts".to_owned());
    }
    if let Some(config) = config.filter(|config| config.is_gguf()) {
        let added = config.family().filter(|family| ONE_ADDED.contains(family));
        let reason = added.map_or_else(
            || "llama.cpp multiplies by what a GGUF file stores".to_owned(),
            |family| format!("the conversion of `{family}` to GGUF has already added the 1 of 1 + w"),
        );
        return of(ScaleConvention::Weight, reason);
    }
    if let Some(config) = config {
        if let Some(flag) = ONE_PLUS_FLAGS.iter().find(|flag| config.truth(flag) == Some(true)) {
            return of(ScaleConvention::OnePlusWeight, format!("`{flag}` is true"));
        }
        if let Some(value) =
            config.text("normalization").filter(|value| value.to_ascii_lowercase().contains("1p"))
        {
            return of(ScaleConvention::OnePlusWeight, format!("`normalization` is {value:?}"));
        }
        let known = registry::configured(config, &site.name).filter(|(statement, _)| statement.kind == kind);
        if let Some((convention, model_type)) = known.and_then(|(known, by)| Some((known.convention?, by))) {
            return of(
                convention,
                format!("the code of the family `{model_type}` scales by {}", shown(convention)),
            );
        }
    }
    let layout = site.layout.as_ref().filter(|layout| layout.statement.kind == kind);
    let layout = layout.filter(|layout| {
        // One constructor argument makes the difference, and the values show it.
        layout.statement.convention != Some(ScaleConvention::Weight) || around_zero != Some(true)
    });
    if let Some((convention, layout)) = layout.and_then(|layout| Some((layout.statement.convention?, layout)))
    {
        return of(
            convention,
            format!("{}, which name their blocks so, scale by {}", layout.families, shown(convention)),
        );
    }
    if around_zero == Some(true) {
        return of(
            ScaleConvention::OnePlusWeight,
            "the model's stored values reach down to −1 and hardly below, as in norms that scale by 1 + w"
                .to_owned(),
        );
    }
    let open = layout.is_some_and(|layout| layout.statement.convention.is_none()) && around_zero.is_none();
    let reason = if open {
        "families that name their blocks so store the scale as w or as γ − 1, and the values could be either: taken as w, which a config.json would confirm"
    } else {
        "the stored values are the scale, as in most norms"
    };
    of(ScaleConvention::Weight, reason.to_owned())
}

/// How the scales of a model are stored, seen in their values.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    /// Stack and path inside the block, so that a site stands with its like in the other blocks → around zero or not. Sorted.
    groups: Vec<((String, String), Option<bool>)>,
    /// All groups that speak together; for those too small to speak.
    whole: Tally,
}

/// What the values of a group say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// In all.
    values: usize,
    /// Below zero.
    negative: usize,
    /// −1.05 to −0.5.
    low: usize,
    /// Below −1.05.
    beyond: usize,
    /// Exactly zero.
    zeros: usize,
}

impl Storage {
    /// Looks at each site with its stored scale, where it could be read.
    pub fn of<'a>(stored: impl Iterator<Item = (&'a NormSite, &'a [f64])>) -> Self {
        let mut whole = Tally::default();
        let mut groups = Vec::new();
        for (key, stored) in order::groups(stored.map(|(site, values)| (group(site), values))) {
            let mut tally = Tally::default();
            stored.into_iter().for_each(|values| tally.add(values));
            whole.merge(tally);
            groups.push((key, tally.around_zero()));
        }
        Self { groups, whole }
    }

    /// Whether a site's scale is stored around zero, as γ − 1; `None` when the values could be of either.
    pub fn around_zero(&self, site: &NormSite) -> Option<bool> {
        let own = self.groups.binary_search_by_key(&&group(site), |(key, _)| key).ok();
        own.and_then(|found| self.groups[found].1).or_else(|| self.whole.around_zero())
    }
}

/// What a site stands with: its like in every block.
fn group(site: &NormSite) -> (String, String) {
    if site.unnamed {
        return (String::new(), site.width.to_string());
    }
    let inside = site.block_path.as_ref().map_or(site.name.as_str(), |block| &site.name[block.len()..]);
    (site.stack.clone(), inside.to_owned())
}

impl Tally {
    pub(super) fn add(&mut self, values: &[f64]) {
        self.values += values.len();
        for &value in values {
            self.negative += usize::from(value < 0.0);
            self.low += usize::from((-1.05..-0.5).contains(&value));
            self.beyond += usize::from(value < -1.05);
            self.zeros += usize::from(value == 0.0);
        }
    }

    fn merge(&mut self, other: Self) {
        self.values += other.values;
        self.negative += other.negative;
        self.low += other.low;
        self.beyond += other.beyond;
        self.zeros += other.zeros;
    }

    /// As scales stored as γ − 1 do.
    pub(super) fn reaches_down_to_minus_one(self) -> bool {
        self.low >= LOW_VALUES && self.beyond as f64 <= BEYOND_FRACTION * self.low as f64
    }

    /// `None` when the values are too few or could be of either.
    fn around_zero(self) -> Option<bool> {
        if self.zeros == self.values {
            // An untrained 1 + w; as w it would switch the site off.
            return Some(true);
        }
        if self.reaches_down_to_minus_one() {
            return Some(true);
        }
        (self.negative == 0 || self.beyond > self.low).then_some(false)
    }
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
    use crate::checkpoint::Tensor;
    use crate::checkpoint::config::Config;
    use crate::checkpoint::dtype::TensorType;

    /// A site of this name, as the finder makes it.
    fn site(name: &str) -> NormSite {
        let tensor = Tensor {
            name: format!("{name}.weight"),
            dtype: TensorType::parse("F32"),
            shape: vec![2],
            shard: 0,
            range: 0..8,
        };
        crate::norm::find(&[tensor], Vec::new(), crate::norm::Knowledge::default()).remove(0)
    }

    #[test]
    fn a_family_that_adds_one_gives_an_exact_zero_at_minus_one() {
        let config = Config::parse("", "config.json", br#"{"model_type":"gemma3_text"}"#).unwrap();
        let (site, scope) = (site("model.norm"), config.scope("model.norm"));
        let convention = decide(&site, Some(scope), NormKind::RmsNorm, None);
        assert_eq!(convention.effective(vec![-1.0, 0.5]), [0.0, 1.5]);
    }

    #[test]
    fn gguf_files_store_the_scale_itself_whatever_the_family() {
        for (family, says) in [("gemma3", "already added"), ("llama", "multiplies")] {
            let json = format!(r#"{{"general.architecture":"{family}"}}"#);
            let config = Config::parse("", "m.gguf", json.as_bytes()).unwrap();
            let site = site("blk.0.attn_norm");
            let convention = decide(&site, Some(config.scope(&site.name)), NormKind::RmsNorm, Some(true));
            assert_eq!(convention.convention, ScaleConvention::Weight);
            assert!(convention.reason.contains(says), "{}", convention.reason);
        }
    }

    fn tally(values: &[f64]) -> Option<bool> {
        let mut tally = Tally::default();
        tally.add(values);
        tally.around_zero()
    }

    #[test]
    fn values_that_reach_down_to_minus_one_speak_when_no_configuration_does() {
        let stored: Vec<f64> = (0..64).map(|i| f64::from(i) / 32.0 - 1.0).collect();
        assert_eq!(tally(&stored), Some(true));
        assert_eq!(
            decide(&site("norm"), None, NormKind::RmsNorm, Some(true)).convention,
            ScaleConvention::OnePlusWeight
        );
        let negative: Vec<f64> = stored.iter().map(|value| 3.0 * value).collect();
        assert_eq!(tally(&negative), Some(false));
    }

    #[test]
    fn a_few_negative_scales_do_not_make_it_one_plus() {
        let mut stored = vec![0.9; 64];
        stored[3] = -0.01;
        assert_eq!(tally(&stored), None);
        stored[4] = -2.1;
        assert_eq!(tally(&stored), Some(false));
        assert_eq!(
            decide(&site("norm"), None, NormKind::LayerNorm, Some(false)).convention,
            ScaleConvention::Weight
        );
    }

    #[test]
    fn ones_are_an_untrained_w_and_zeros_an_untrained_one_plus_w() {
        assert_eq!((tally(&[1.0; 8]), tally(&[0.0; 8])), (Some(false), Some(true)));
    }
}
