//! The one place where evidence becomes a verdict.
//!
//! The pieces are written so that they may be added: names, structure and layout are weighed given the shift. But
//! configuration, layout, names and structure are four looks at one thing, the code the model was written in (Llama's
//! names go with Llama's blocks and Llama's config.json), so of those that agree the strongest speaks; those that
//! disagree are a contradiction, and both sides count. A layout that is the same in every name is that code: single names
//! and the build of the block, which are habits of code in general, then add nothing. Shift, values, writer energy and loss stand on their own. Prior odds are
//! even. The sum is turned into a probability and the verdict abstains below [`THRESHOLD`].

use super::evidence::{Evidence, Source};
use crate::report::NormKind;

/// A kind is named only when its probability is at least this; a wrong verdict is worse than none.
pub const THRESHOLD: f64 = 0.95;

/// No evidence counted on a few hundred architectures supports more than this.
const MOST_CONFIDENT: f64 = 0.999;

/// Only some columns of some writers were looked at, and biases not at all.
const CENTRED: f64 = 0.97;

/// Evidence that would settle a kind by itself; a missing shift alone is short of it.
const CLEAR: f64 = 3.0;

/// Looks at the code the model was written in.
const CODE: [Source; 4] = [Source::Configuration, Source::Layout, Source::Names, Source::Structure];

/// Evidence of the code above this settles what a doubtful site is: the family or the layout, not the name of the ε.
const SETTLES: f64 = 5.0;

/// A kind and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// LayerNorm, RMSNorm or unknown.
    pub kind: NormKind,
    /// Probability of `kind`; 0 when unknown.
    pub confidence: f64,
}

/// Whom a site's kind may be believed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// All evidence.
    None,
    /// It may be neither LayerNorm nor RMSNorm: the configuration's word only.
    AnotherNorm,
    /// Nothing but shapes and values is known: what the writers or the configuration say, if the sum agrees.
    Unnamed,
}

/// What a norm does on a stream without a mean, whatever its code: nothing is left of the difference between the kinds.
pub fn on_a_centred_stream() -> Verdict {
    Verdict { kind: NormKind::LayerNorm, confidence: CENTRED }
}

/// Adds the evidence up.
pub fn combine(evidence: &[Evidence], doubt: Doubt) -> Verdict {
    let of = |wanted: Source| -> f64 {
        evidence.iter().filter(|piece| piece.source == wanted).map(|piece| piece.log_likelihood_ratio).sum()
    };
    let (code, rest): (Vec<&Evidence>, Vec<&Evidence>) =
        evidence.iter().partition(|piece| CODE.contains(&piece.source));
    let recognised = of(Source::Layout).abs() > SETTLES;
    let habit =
        |piece: &&&Evidence| !(recognised && matches!(piece.source, Source::Names | Source::Structure));
    let ratios = || code.iter().filter(habit).map(|piece| piece.log_likelihood_ratio);
    let sum = ratios().fold(0.0, f64::max)
        + ratios().fold(0.0, f64::min)
        + rest.iter().map(|piece| piece.log_likelihood_ratio).sum::<f64>();
    let confidence = (1.0 / (1.0 + (-sum.abs()).exp())).min(MOST_CONFIDENT);
    let configured = of(Source::Configuration).abs().max(of(Source::Layout).abs()) > SETTLES;
    let measured = of(Source::Activations) != 0.0;
    let settled = match doubt {
        Doubt::None => true,
        Doubt::AnotherNorm => configured || measured,
        Doubt::Unnamed => configured || measured || of(Source::WriterEnergy) * sum > 0.0,
    };
    if confidence < THRESHOLD || !settled {
        Verdict { kind: NormKind::Unknown, confidence: 0.0 }
    } else if sum > 0.0 {
        Verdict { kind: NormKind::LayerNorm, confidence }
    } else {
        Verdict { kind: NormKind::RmsNorm, confidence }
    }
}

/// The strongest evidence on either side, where each side alone would have settled the matter.
pub fn contradiction(evidence: &[Evidence]) -> Option<(&Evidence, &Evidence)> {
    let by = |sign: f64| {
        evidence
            .iter()
            .max_by(|a, b| (sign * a.log_likelihood_ratio).total_cmp(&(sign * b.log_likelihood_ratio)))
            .filter(|piece| sign * piece.log_likelihood_ratio >= CLEAR)
    };
    Some((by(1.0)?, by(-1.0)?))
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Source;
    use super::*;

    fn of(ratios: &[f64]) -> Verdict {
        let pieces: Vec<Evidence> = ratios
            .iter()
            .map(|&log_likelihood_ratio| Evidence {
                source: Source::Shift,
                log_likelihood_ratio,
                detail: String::new(),
            })
            .collect();
        combine(&pieces, Doubt::None)
    }

    #[test]
    fn thin_evidence_is_unknown() {
        assert_eq!(of(&[]).kind, NormKind::Unknown);
        assert_eq!(of(&[2.0]).kind, NormKind::Unknown);
    }

    #[test]
    fn a_doubtful_site_is_unknown_until_the_configuration_speaks() {
        let piece =
            |source, log_likelihood_ratio| Evidence { source, log_likelihood_ratio, detail: String::new() };
        let shift = piece(Source::Shift, 7.38);
        assert_eq!(combine(std::slice::from_ref(&shift), Doubt::AnotherNorm).kind, NormKind::Unknown);
        assert_eq!(
            combine(&[shift, piece(Source::Configuration, 6.0)], Doubt::AnotherNorm).kind,
            NormKind::LayerNorm
        );
    }

    #[test]
    fn names_and_structure_are_one_evidence() {
        let piece =
            |source, log_likelihood_ratio| Evidence { source, log_likelihood_ratio, detail: String::new() };
        let both = [piece(Source::Names, -2.0), piece(Source::Structure, -2.5)];
        assert_eq!(combine(&both, Doubt::None).kind, NormKind::Unknown);
    }

    #[test]
    fn a_contradiction_is_unknown() {
        assert_eq!(of(&[7.38, -6.0]).kind, NormKind::Unknown);
    }

    #[test]
    fn agreement_is_named_with_bounded_confidence() {
        assert_eq!(of(&[7.38, 6.0]), Verdict { kind: NormKind::LayerNorm, confidence: MOST_CONFIDENT });
        assert_eq!(of(&[-2.97, -3.39]).kind, NormKind::RmsNorm);
    }
}
