//! The one place where evidence becomes a verdict: a posterior over what the module does.
//!
//! Prior, shift, structure and names are counted step by step, each given those before it, so they multiply. All of them, and
//! configuration, layout and siblings, look at one thing: the code the model was written in (Llama's names go with Llama's blocks
//! and Llama's config.json). Of those that agree, the strongest counts. Those that disagree are a contradiction, and both sides
//! count. Only measured code was counted. With probability `UNKNOWN_LIBRARY` the code is of a library unlike all of it, which
//! limits what habits can say. If the code itself is recognised, habits of code in general hardly matter (`KNOWN_CODE`). Values,
//! writer energy, loss and activations are independent of the rest. The graph of an ONNX file is the code itself: if there is one,
//! only activations count beside it, and if it does not show a norm, nothing else does. The verdict abstains below [`THRESHOLD`].

use super::behaviour::{Behaviour, Likelihood, reported};
use super::evidence::{Evidence, EvidenceSource};
use crate::report::NormKind;

/// A kind is named only when its probability is at least this; a wrong verdict is worse than none.
pub const THRESHOLD: f64 = 0.95;

/// No evidence counted on a few hundred architectures supports more than this.
const MOST_CONFIDENT: f64 = 0.999;

/// Confidence on a stream without a mean: only some columns of some writers were sampled, and no biases.
const CENTRED: f64 = 0.97;

/// Nats of evidence that would settle a kind by itself.
const CLEAR: f64 = 3.0;

/// Habits of code in general, counted one given the other.
const HABITS: [EvidenceSource; 4] =
    [EvidenceSource::Prior, EvidenceSource::Shift, EvidenceSource::Structure, EvidenceSource::Names];

/// Other evidence about the code the model was written in.
const CODE: [EvidenceSource; 3] =
    [EvidenceSource::Configuration, EvidenceSource::Layout, EvidenceSource::Siblings];

/// Probability that a site is of a library that places norms unlike all others.
const UNKNOWN_LIBRARY: f64 = 0.03;

/// The same if a family, a layout or the other norms of the stream show the code: then habits hardly matter.
const KNOWN_CODE: f64 = 0.7;

/// Nats of habits against the stated code that are a contradiction: an RMSNorm with a shift.
const AGAINST_THE_CODE: f64 = 5.0;

/// A kind, how sure it is, and what else it may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// LayerNorm, RMSNorm, other or unknown.
    pub kind: NormKind,
    /// Probability of `kind`; 0 when unknown.
    pub confidence: f64,
    /// Everything that is known about the site, as one likelihood.
    pub posterior: Likelihood,
}

/// The verdict on a stream without a mean, whatever the code: there, both kinds do the same.
pub fn on_a_centred_stream() -> Verdict {
    let posterior = Likelihood([CENTRED, 1.0 - CENTRED, 0.0, 0.0].map(f64::ln));
    Verdict { kind: NormKind::LayerNorm, confidence: CENTRED, posterior }
}

/// Combines the evidence.
pub fn combine(evidence: &[Evidence]) -> Verdict {
    let of = |source| evidence.iter().filter(move |piece| piece.source == source);
    if of(EvidenceSource::Graph).next().is_some() {
        let counted = of(EvidenceSource::Graph).chain(of(EvidenceSource::Activations));
        return named(counted.fold(Likelihood::NOTHING, |all, piece| all.and(piece.likelihood)));
    }
    let together = |sources: &[EvidenceSource]| {
        let own = evidence.iter().filter(|piece| sources.contains(&piece.source));
        own.fold(Likelihood::NOTHING, |all, piece| all.and(piece.likelihood))
    };
    let known = CODE.into_iter().map(|source| together(&[source]));
    let code = known.fold(Likelihood::NOTHING, Likelihood::same_thing);
    let habits = together(&HABITS);
    let clash = code.ratio() * habits.ratio() < 0.0 && habits.ratio().abs() >= AGAINST_THE_CODE;
    let unlike = if code.leaning().1 >= CLEAR && !clash { KNOWN_CODE } else { UNKNOWN_LIBRARY };
    let code = code.same_thing(habits.tempered(unlike));
    let alone =
        evidence.iter().filter(|piece| !HABITS.contains(&piece.source) && !CODE.contains(&piece.source));
    named(alone.fold(code, |all, piece| all.and(piece.likelihood)))
}

/// The kind that all evidence together shows, given everything that is known.
fn named(posterior: Likelihood) -> Verdict {
    let probabilities = posterior.normalised();
    let of = |kind: NormKind| -> f64 {
        let same =
            Behaviour::ALL.into_iter().zip(probabilities).filter(|(behaviour, _)| behaviour.kind() == kind);
        same.map(|(_, probability)| probability).sum()
    };
    let kinds = [NormKind::LayerNorm, NormKind::RmsNorm, NormKind::Other].map(|kind| (kind, of(kind)));
    let most = kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    match most {
        Some((kind, probability)) if probability >= THRESHOLD => {
            Verdict { kind, confidence: reported(probability.min(MOST_CONFIDENT)), posterior }
        }
        _ => Verdict { kind: NormKind::Unknown, confidence: 0.0, posterior },
    }
}

/// The kind that names, shapes, values and the rest show, if the graph does another.
pub fn beside_the_graph(evidence: &[Evidence], stated: NormKind) -> Option<NormKind> {
    let rest: Vec<Evidence> = evidence.iter().filter(|piece| !of_file(piece.source)).cloned().collect();
    let is_norm = |kind| matches!(kind, NormKind::LayerNorm | NormKind::RmsNorm);
    Some(combine(&rest).kind).filter(|&kind| is_norm(kind) && is_norm(stated) && kind != stated)
}

/// Whether evidence is about what the file does, rather than what it should do.
fn of_file(source: EvidenceSource) -> bool {
    matches!(source, EvidenceSource::Graph | EvidenceSource::Activations)
}

/// The strongest evidence for LayerNorm and for RMSNorm, if each alone would have decided between them.
pub fn contradiction(evidence: &[Evidence]) -> Option<(&Evidence, &Evidence)> {
    // Habits are counted one given the other, so the strongest of them stands for all of them together.
    let is_habit = |piece: &&Evidence| HABITS.contains(&piece.source);
    let habits: f64 = evidence.iter().filter(is_habit).map(|piece| piece.likelihood.ratio()).sum();
    let strongest = evidence
        .iter()
        .filter(is_habit)
        .max_by(|a, b| (habits * a.likelihood.ratio()).total_cmp(&(habits * b.likelihood.ratio())));
    let ratio = |piece: &Evidence| match strongest {
        Some(habit) if habit == piece => habits,
        _ if is_habit(&piece) => 0.0,
        _ => piece.likelihood.ratio(),
    };
    let by = |sign: f64| {
        let strongest = evidence.iter().max_by(|a, b| (sign * ratio(a)).total_cmp(&(sign * ratio(b))));
        strongest.filter(|piece| sign * ratio(piece) >= CLEAR)
    };
    Some((by(1.0)?, by(-1.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(source: EvidenceSource, likelihood: Likelihood) -> Evidence {
        Evidence { source, likelihood, detail: String::new() }
    }

    fn of(source: EvidenceSource, kind: NormKind, nats: f64) -> Evidence {
        piece(source, Likelihood::of(kind, nats))
    }

    #[test]
    fn the_documents_have_the_threshold() {
        for (document, text) in [
            ("README.md", include_str!("../../README.md")),
            ("docs/which-norm.md", include_str!("../../docs/which-norm.md")),
        ] {
            let words: Vec<&str> = text.split_whitespace().collect();
            let says = words.windows(3).any(|words| {
                words[0].trim_end_matches(',') == THRESHOLD.to_string() && words[1..].contains(&"kind")
            });
            assert!(says, "{document} does not say that kinds are named from {THRESHOLD} on");
        }
    }

    #[test]
    fn thin_evidence_is_unknown() {
        assert_eq!(combine(&[]).kind, NormKind::Unknown);
        assert_eq!(combine(&[of(EvidenceSource::Values, NormKind::RmsNorm, 2.0)]).kind, NormKind::Unknown);
    }

    #[test]
    fn no_habit_is_surer_than_an_unknown_library_allows() {
        let sure = of(EvidenceSource::Structure, NormKind::LayerNorm, 100.0);
        let verdict = combine(&[sure]);
        let least = verdict.posterior.normalised()[Behaviour::Spanning as usize];
        assert!((least - UNKNOWN_LIBRARY / 4.0).abs() < 1e-9);
    }

    #[test]
    fn looks_at_one_code_count_once_where_they_agree() {
        let both = [
            of(EvidenceSource::Configuration, NormKind::RmsNorm, 6.0),
            of(EvidenceSource::Layout, NormKind::RmsNorm, 6.0),
        ];
        let (one, two) = (combine(&both[..1]), combine(&both));
        assert_eq!((one.kind, one.confidence), (two.kind, two.confidence));
    }

    #[test]
    fn a_contradiction_is_unknown() {
        let clash = [
            of(EvidenceSource::Configuration, NormKind::LayerNorm, 6.0),
            of(EvidenceSource::Layout, NormKind::RmsNorm, 6.0),
        ];
        assert_eq!(combine(&clash).kind, NormKind::Unknown);
        assert!(contradiction(&clash).is_some());
    }

    #[test]
    fn the_graph_outranks_names_and_shapes() {
        let habits = of(EvidenceSource::Configuration, NormKind::RmsNorm, 20.0);
        let verdict = combine(&[of(EvidenceSource::Graph, NormKind::LayerNorm, 12.0), habits.clone()]);
        assert_eq!((verdict.kind, verdict.confidence), (NormKind::LayerNorm, MOST_CONFIDENT));
        let both = [of(EvidenceSource::Graph, NormKind::LayerNorm, 12.0), habits.clone()];
        assert_eq!(beside_the_graph(&both, verdict.kind), Some(NormKind::RmsNorm));
        assert_eq!(beside_the_graph(&both[..1], verdict.kind), None);
        // A graph without a norm: nothing else may name one.
        let silent = piece(EvidenceSource::Graph, Likelihood::NOTHING);
        assert_eq!(combine(&[silent, habits]).kind, NormKind::Unknown);
    }

    #[test]
    fn a_mean_that_goes_unseen_does_not_rule_a_group_norm_out() {
        let shift = piece(EvidenceSource::Shift, Likelihood([0.0, -7.0, -1.0, -7.0]));
        let energy = piece(EvidenceSource::WriterEnergy, Likelihood([6.0, 0.0, 6.0, 0.0]));
        assert_eq!(combine(&[shift, energy]).kind, NormKind::Unknown);
    }

    #[test]
    fn agreement_is_named_with_bounded_confidence() {
        let measured = of(EvidenceSource::Activations, NormKind::LayerNorm, 12.0);
        let verdict = combine(&[measured, of(EvidenceSource::Configuration, NormKind::LayerNorm, 6.0)]);
        assert_eq!((verdict.kind, verdict.confidence), (NormKind::LayerNorm, MOST_CONFIDENT));
    }

    #[test]
    fn norms_over_groups_and_modules_that_normalise_nothing_are_both_other() {
        let neither = piece(EvidenceSource::Layout, Likelihood([-6.0, -6.0, 0.0, 0.0]));
        assert_eq!(combine(&[neither]).kind, NormKind::Other);
    }
}
