//! The one sentence about the model, and the verdict in it.

use super::words::{capitalised, grouped, listed, percent, plural, spelled};
use super::{
    DeadParameters, KernelForm, ModelVerdict, NOT_COUNTED, NormKind, NormReport, NormRole, PartSummary,
    ReaderUse, ScaleConvention,
};

/// Returns the kind of all sites together. Unknown sites do not count, and "other" ones only count if there are no known ones.
pub fn model_verdict(norms: &[NormReport]) -> ModelVerdict {
    let count = |kind| norms.iter().filter(|norm| norm.kind == kind).count();
    match (count(NormKind::LayerNorm), count(NormKind::RmsNorm)) {
        (0, 0) if count(NormKind::Unknown) == 0 && !norms.is_empty() => ModelVerdict::Other,
        (0, 0) => ModelVerdict::Unknown,
        (_, 0) => ModelVerdict::LayerNorm,
        (0, _) => ModelVerdict::RmsNorm,
        _ => ModelVerdict::Mixed,
    }
}

/// Returns the lowest confidence among the sites of known kind: LayerNorms and RMSNorms, or others if there are only others.
pub fn confidence(norms: &[NormReport]) -> f64 {
    let others = model_verdict(norms) == ModelVerdict::Other;
    let counts =
        |kind| matches!(kind, NormKind::LayerNorm | NormKind::RmsNorm) || others && kind == NormKind::Other;
    let known = norms.iter().filter(|norm| counts(norm.kind));
    let least = known.map(|norm| norm.confidence).fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

/// Returns the parts of the model, in network order. Empty if all sites belong to one part.
pub fn parts(norms: &[NormReport]) -> Vec<PartSummary> {
    let mut names: Vec<&str> = Vec::new();
    for norm in norms {
        let name = norm.part.as_deref().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let stacks = names.iter().filter(|name| !name.is_empty()).count();
    if stacks < 2 {
        return Vec::new();
    }
    names.into_iter().map(|name| part(name, norms)).collect()
}

fn part(name: &str, norms: &[NormReport]) -> PartSummary {
    let own: Vec<NormReport> =
        norms.iter().filter(|norm| norm.part.as_deref().unwrap_or_default() == name).cloned().collect();
    let verdict = model_verdict(&own);
    let count = |kind| own.iter().filter(|norm| norm.kind == kind).count();
    let exact = with(&own, KernelForm::InverseScale);
    let (unknown, norms) = (count(NormKind::Unknown), plural(own.len(), "norm"));
    let mut sentence = match verdict {
        ModelVerdict::LayerNorm => format!("LayerNorm: {}", one_direction(exact, own.len())),
        ModelVerdict::RmsNorm => format!("RMSNorm: no dead directions in {norms}"),
        ModelVerdict::Mixed => {
            let (layer, rms) = (count(NormKind::LayerNorm), count(NormKind::RmsNorm));
            format!("Both kinds: {}, {}", plural(layer, "LayerNorm"), plural(rms, "RMSNorm"))
        }
        ModelVerdict::Other => format!("{norms}, all batch, group or adaptive norms"),
        ModelVerdict::Unknown => format!("{norms} of unknown kind"),
    };
    let zeros = with(&own, KernelForm::Coordinates);
    if zeros > 0 {
        if verdict == ModelVerdict::RmsNorm {
            sentence = "RMSNorm".to_owned();
        }
        sentence += &format!("; {}", zero_scales(zeros, own.len()));
    }
    if unknown > 0 && verdict != ModelVerdict::Unknown {
        sentence += &format!("; the kind of {} is unknown", plural(unknown, "norm"));
    }
    if let Some(undecided) = undecided(&own) {
        sentence += &format!("; {undecided}");
    }
    PartSummary {
        name: name.to_owned(),
        verdict,
        confidence: confidence(&own),
        sites: own.len() as u32,
        final_norm: own.iter().find(|norm| norm.role == NormRole::Final).map(|norm| norm.name.clone()),
        sentence: sentence + ".",
    }
}

/// Says for how many sites γ is not known.
fn undecided(norms: &[NormReport]) -> Option<String> {
    let count = norms.iter().filter(|norm| norm.scale_convention == ScaleConvention::Unknown).count();
    (count > 0).then(|| format!("whether the scale is w or 1 + w is unknown at {}", plural(count, "norm")))
}

fn with(norms: &[NormReport], form: KernelForm) -> usize {
    norms.iter().filter(|norm| norm.kernel.form == form).count()
}

/// Says how many norms have an exact direction along which their output never varies.
fn one_direction(exact: usize, norms: usize) -> String {
    match (exact, norms) {
        (1, 1) => "its one norm ignores one direction".to_owned(),
        (exact, norms) if exact == norms => {
            format!("all {} norms ignore one direction", grouped(norms as u64))
        }
        (0, _) => "no dead direction could be read from a scale".to_owned(),
        (exact, norms) => {
            let verb = if exact == 1 { "ignores" } else { "ignore" };
            format!("{} of {} {verb} one direction", grouped(exact as u64), plural(norms, "norm"))
        }
    }
}

fn zero_scales(zeros: usize, norms: usize) -> String {
    let verb = if zeros == 1 { "has" } else { "have" };
    format!("{} of {} {verb} scales of exactly zero", grouped(zeros as u64), plural(norms, "norm"))
}

/// Returns the final norm of the model. Of several parts, it takes the decoder's or language model's, otherwise the last.
pub fn final_norm(norms: &[NormReport]) -> Option<&NormReport> {
    let finals = norms.iter().filter(|norm| norm.role == NormRole::Final);
    let rank = |norm: &NormReport| {
        let tower = ["vision", "visual", "image", "audio", "speech", "encoder"]
            .iter()
            .any(|mark| norm.name.contains(mark));
        (
            !tower,
            norm.name.contains("decoder")
                || norm.name.contains("language_model")
                || norm.name.contains("text"),
        )
    };
    finals.max_by_key(|norm| rank(norm))
}

/// Channels that a sentence lists before it only counts them.
const LISTED: usize = 5;

/// Names the channels of a norm that are off, or nearly off, for use after "three …". `which` says whose channels they are. `None` if
/// there are none.
pub(super) fn channels_off(norm: &NormReport, which: [&str; 2]) -> Option<String> {
    let channels = &norm.kernel.near_dead;
    let [before, after] = which;
    let is = match (channels.len(), channels.len() == norm.kernel.coordinates.len()) {
        (0, _) => return None,
        (1, true) => "is off",
        (_, true) => "are off",
        (1, false) => "is effectively off",
        (_, false) => "are effectively off",
    };
    let list =
        if channels.len() <= LISTED { format!(" ({})", listed(channels, LISTED)) } else { String::new() };
    Some(format!("{}{after}{list} {is}", spelled(channels.len(), &format!("{before}channel"))))
}

/// Names such channels of the final norm. They are the model's output, unless an unembedding reads them.
fn output_off(norms: &[NormReport]) -> Option<String> {
    let norm = final_norm(norms)?;
    let unembedding = |used_as| matches!(used_as, ReaderUse::Unembedding | ReaderUse::TiedUnembedding);
    let inside = norm.readers.iter().any(|reader| unembedding(reader.used_as)) || !parts(norms).is_empty();
    channels_off(norm, if inside { ["", " of the final norm"] } else { ["output ", ""] })
}

/// States the share of the weights that read norms with a dead direction and have no effect.
pub(super) fn without_effect(norms: &[NormReport], dead: &DeadParameters, these: &str) -> Option<String> {
    if dead.share <= 0.0 {
        return None;
    }
    let kernels: Vec<&NormReport> = norms.iter().filter(|norm| has_kernel(norm)).collect();
    // Weights that are not recognised are not counted.
    let all = !kernels.iter().any(|norm| not_counted(norm));
    let weights = if all { "weights" } else { "recognised weights" };
    let which = if kernels.len() == norms.len() { "norms" } else { these };
    Some(format!("{} of the {weights} that read {which} have no effect", percent(dead.share)))
}

/// Whether the readers of a norm are not understood.
pub(super) fn not_counted(norm: &NormReport) -> bool {
    norm.reader_note.as_ref().is_some_and(|note| note.starts_with(NOT_COUNTED))
}

/// Whether a norm has directions along which its output never varies.
pub(super) fn has_kernel(norm: &NormReport) -> bool {
    matches!(norm.kernel.form, KernelForm::InverseScale | KernelForm::Coordinates)
}

/// Describes the model in one sentence: the kinds of its norms, and what has no effect because of that. It has at most `CLAUSES` clauses,
/// the most important ones.
pub fn model_sentence(verdict: ModelVerdict, norms: &[NormReport], dead: &DeadParameters) -> String {
    let count = |kind| norms.iter().filter(|norm| norm.kind == kind).count();
    let norms_said = plural(norms.len(), "norm");
    let (exact, none) = (with(norms, KernelForm::InverseScale), with(norms, KernelForm::None));
    let (zeros, unknown) = (with(norms, KernelForm::Coordinates), count(NormKind::Unknown));
    let kind = match verdict {
        ModelVerdict::Unknown if norms.is_empty() => {
            return "No norm was found, so there is no scale to read a dead direction from.".to_owned();
        }
        ModelVerdict::Other => {
            return format!(
                "{norms_said}, all batch, group or adaptive norms: Gammascope offers no direction for these."
            );
        }
        ModelVerdict::LayerNorm => "LayerNorm model".to_owned(),
        ModelVerdict::RmsNorm => "RMSNorm model".to_owned(),
        ModelVerdict::Mixed => {
            let (layer, rms) = (count(NormKind::LayerNorm), count(NormKind::RmsNorm));
            format!(
                "Model with both kinds of norm: {}, {}",
                plural(layer, "LayerNorm"),
                plural(rms, "RMSNorm")
            )
        }
        ModelVerdict::Unknown => format!(
            "Norms of unknown kind: the evidence on {} is too thin or contradicts itself",
            plural(unknown, "norm")
        ),
    };
    let off = output_off(norms);
    // Each clause has a rank. If there are too many, those with the greatest rank are left out.
    let mut said: Vec<(u8, String)> = Vec::new();
    match verdict {
        ModelVerdict::LayerNorm if exact > 0 || zeros == 0 => {
            said.push((0, one_direction(exact, norms.len())))
        }
        ModelVerdict::Mixed => said.push((0, one_direction(exact, norms.len()))),
        ModelVerdict::RmsNorm if zeros == 0 && none < norms.len() => {
            said.push((0, format!("no dead directions at {none} of {norms_said}")));
        }
        _ => {}
    }
    // If only the final norm has zeros, the sentence already says that these channels are off.
    let only_final = zeros == 1 && off.is_some() && final_norm(norms).is_some_and(has_kernel);
    if zeros > 0 && !(only_final && verdict != ModelVerdict::Unknown) {
        said.push((2, zero_scales(zeros, norms.len())));
    }
    said.extend(off.map(|off| (1, off)));
    if unknown > 0 && verdict != ModelVerdict::Unknown {
        said.push((1, format!("the kind of {} is unknown", plural(unknown, "norm"))));
    }
    said.extend(undecided(norms).map(|undecided| (2, undecided)));
    let kernels: Vec<&NormReport> = norms.iter().filter(|norm| has_kernel(norm)).collect();
    let effect = without_effect(norms, dead, "these norms").or_else(|| {
        let why = match (kernels.len(), dead.readers, dead.constant_shift) {
            (0, ..) => return None,
            (_, 0, _) if kernels.iter().any(|norm| not_counted(norm)) => {
                "what reads it is not recognised, so no weight is counted as dead"
            }
            (_, 0, _) => "no linear map reads it, so no weight is dead",
            (_, _, 0) if kernels.iter().any(|norm| not_counted(norm)) => {
                "what reads it is tied to the embedding or not recognised, so no weight is counted as dead"
            }
            (_, _, 0) => "what reads it is tied to the embedding, so no weight is free",
            _ => "a weight that moves along it only adds a constant",
        };
        Some(why.to_owned())
    });
    said.extend(effect.map(|effect| (3, effect)));
    while said.len() > CLAUSES {
        let greatest = said.iter().map(|(rank, _)| *rank).max();
        let last = said.iter().rposition(|(rank, _)| Some(*rank) == greatest);
        last.map(|index| said.remove(index));
    }
    let said: Vec<String> = said.into_iter().map(|(_, text)| text).collect();
    match (verdict, said.is_empty()) {
        (ModelVerdict::RmsNorm, true) => "RMSNorm model: no dead directions.".to_owned(),
        (_, true) => format!("{kind}."),
        _ => format!("{kind}. {}.", capitalised(&said.join("; "))),
    }
}

/// Most clauses after the kind.
const CLAUSES: usize = 3;

/// Describes a model in which no norm has stored values.
pub fn all_empty(norms: usize) -> String {
    let norms = if norms == 1 { "The norm".to_owned() } else { format!("All {norms} norms") };
    let is = if norms == "The norm" { "is" } else { "are" };
    format!(
        "{norms} of this checkpoint {is} stored empty, so there is no scale to read a dead direction from."
    )
}

/// Describes a checkpoint without norms of which files are missing.
pub fn all_missing(files: usize) -> String {
    let them = if files == 1 { "it" } else { "them" };
    let is = if files == 1 { "is" } else { "are" };
    format!(
        "No norm was found yet: {} of this checkpoint {is} missing. Open {them} together with what you opened.",
        plural(files, "file")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{KernelReport, ReaderReport};

    fn dead(share: f64, readers: u32, constant_shift: u64) -> DeadParameters {
        DeadParameters {
            outright: 0,
            with_bias_shift: 0,
            constant_shift,
            tied: 0,
            share,
            readers,
            assumptions: vec![],
        }
    }

    fn norm(kind: NormKind, form: KernelForm) -> NormReport {
        let reader = ReaderReport {
            name: "map.weight".to_owned(),
            used_as: ReaderUse::Query,
            rows: 4,
            parameters: 16,
            bias: None,
            dead: crate::report::DeadDirections::default(),
            assumed: None,
        };
        NormReport {
            name: "norm".to_owned(),
            scale: None,
            shift: None,
            width: 4,
            role: NormRole::Block,
            block: None,
            part: None,
            kind,
            confidence: 0.99,
            scale_convention: ScaleConvention::Weight,
            convention_reason: String::new(),
            alternatives: vec![],
            evidence: vec![],
            settle: None,
            kernel: KernelReport {
                form,
                coordinates: if form == KernelForm::Coordinates { vec![2] } else { vec![] },
                participation: None,
                max_component: None,
                max_index: None,
                inverse_norm: None,
                deepening: None,
                scale_min_abs: None,
                scale_median_abs: None,
                scale_max_abs: None,
                condition: None,
                near_dead: if form == KernelForm::Coordinates { vec![2] } else { vec![] },
                near_dead_weight: None,
                predicted_below_tau: None,
            },
            readers: vec![reader],
            reader_note: None,
            problem: None,
        }
    }

    fn said(norms: &[NormReport], dead: &DeadParameters) -> String {
        model_sentence(model_verdict(norms), norms, dead)
    }

    #[test]
    fn a_model_without_sites_says_so() {
        assert!(said(&[], &dead(0.0, 0, 0)).starts_with("No norm was found"));
    }

    #[test]
    fn the_headline_says_the_kind_then_what_is_dead() {
        let layer = || norm(NormKind::LayerNorm, KernelForm::InverseScale);
        let rms = || norm(NormKind::RmsNorm, KernelForm::None);
        let zero = || norm(NormKind::RmsNorm, KernelForm::Coordinates);
        let mut last = layer();
        last.role = NormRole::Final;
        last.kernel.near_dead = vec![127, 223, 319];
        let unread = || NormReport {
            readers: vec![],
            reader_note: Some(format!("{NOT_COUNTED}an unknown tensor")),
            ..layer()
        };
        for (norms, dead, expected) in [
            (
                vec![layer(), last],
                dead(0.002_604, 25, 0),
                "LayerNorm model. All 2 norms ignore one direction; three output channels (127, 223, 319) are effectively off; 0.26 % of the weights that read norms have no effect.",
            ),
            (vec![rms()], dead(0.0, 0, 0), "RMSNorm model: no dead directions."),
            (
                vec![rms(), norm(NormKind::Unknown, KernelForm::Unknown)],
                dead(0.0, 0, 0),
                "RMSNorm model. No dead directions at 1 of 2 norms; the kind of 1 norm is unknown.",
            ),
            (
                vec![rms(), zero()],
                dead(0.001, 1, 0),
                "RMSNorm model. 1 of 2 norms has scales of exactly zero; 0.10 % of the weights that read these norms have no effect.",
            ),
            (
                vec![layer(), rms()],
                dead(0.0, 2, 8),
                "Model with both kinds of norm: 1 LayerNorm, 1 RMSNorm. 1 of 2 norms ignores one direction; a weight that moves along it only adds a constant.",
            ),
            (
                vec![unread()],
                dead(0.0, 0, 0),
                "LayerNorm model. Its one norm ignores one direction; what reads it is not recognised, so no weight is counted as dead.",
            ),
            (
                vec![unread(), layer()],
                dead(0.0, 1, 0),
                "LayerNorm model. All 2 norms ignore one direction; what reads it is tied to the embedding or not recognised, so no weight is counted as dead.",
            ),
            (
                vec![layer()],
                dead(0.0, 1, 0),
                "LayerNorm model. Its one norm ignores one direction; what reads it is tied to the embedding, so no weight is free.",
            ),
            (
                vec![unread(), layer()],
                dead(0.25, 1, 0),
                "LayerNorm model. All 2 norms ignore one direction; 25 % of the recognised weights that read norms have no effect.",
            ),
            (
                vec![norm(NormKind::Unknown, KernelForm::Unknown)],
                dead(0.0, 0, 0),
                "Norms of unknown kind: the evidence on 1 norm is too thin or contradicts itself.",
            ),
            (
                vec![norm(NormKind::Other, KernelForm::Unknown)],
                dead(0.0, 0, 0),
                "1 norm, all batch, group or adaptive norms: Gammascope offers no direction for these.",
            ),
        ] {
            assert_eq!(said(&norms, &dead), expected);
        }
    }

    #[test]
    fn the_headline_stays_short_when_there_is_much_to_say() {
        let mut norms = vec![
            norm(NormKind::LayerNorm, KernelForm::InverseScale),
            norm(NormKind::RmsNorm, KernelForm::Coordinates),
        ];
        norms.push(norm(NormKind::Unknown, KernelForm::Unknown));
        let mut undecided = norm(NormKind::RmsNorm, KernelForm::Unknown);
        undecided.scale_convention = ScaleConvention::Unknown;
        let mut last = norm(NormKind::LayerNorm, KernelForm::InverseScale);
        last.role = NormRole::Final;
        last.kernel.near_dead = (0..40).collect();
        norms.extend([undecided, last]);
        let text = said(&norms, &dead(0.01, 3, 0));
        assert!(text.contains("40 output channels are effectively off"), "{text}");
        assert!(text.contains("the kind of 1 norm is unknown") && text.len() < 220, "{text}");
    }
}
