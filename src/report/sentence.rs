//! The one sentence, and the verdict on the model that it states.

use super::{
    DeadParameters, KernelForm, ModelVerdict, NormKind, NormReport, NormRole, PartSummary, ScaleConvention,
};
use crate::order;

/// Kind of all sites together: unknown sites do not decide, and neither do "other" ones beside known ones.
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

/// The least confidence among the sites whose kind is known: of LayerNorms and RMSNorms, of others where there are only others.
pub fn confidence(norms: &[NormReport]) -> f64 {
    let others = model_verdict(norms) == ModelVerdict::Other;
    let counts =
        |kind| matches!(kind, NormKind::LayerNorm | NormKind::RmsNorm) || others && kind == NormKind::Other;
    let known = norms.iter().filter(|norm| counts(norm.kind));
    let least = known.map(|norm| norm.confidence).fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

/// The parts of the model, in the order of the network; none when all sites are of one.
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
    let exact = own.iter().filter(|norm| norm.kernel.form == KernelForm::InverseScale).count();
    let (unknown, sites) = (count(NormKind::Unknown), plural(own.len(), "norm site"));
    let mut sentence = match verdict {
        ModelVerdict::LayerNorm if exact == own.len() => {
            format!("LayerNorm, {sites}, an exact dead direction at each")
        }
        ModelVerdict::LayerNorm => format!("LayerNorm, {sites}, an exact dead direction at {exact} of them"),
        ModelVerdict::RmsNorm => format!("RMSNorm, {sites}, no dead direction to read from the scale"),
        ModelVerdict::Mixed => format!(
            "Both kinds, {sites}: {} LayerNorm and {} RMSNorm",
            count(NormKind::LayerNorm),
            count(NormKind::RmsNorm)
        ),
        ModelVerdict::Other => format!("{sites}, all batch, group or adaptive norms"),
        ModelVerdict::Unknown => format!("{sites} of unknown kind"),
    };
    if unknown > 0 && verdict != ModelVerdict::Unknown {
        sentence += &format!("; the kind of {} is unknown", plural(unknown, "site"));
    }
    sentence += &undecided(&own);
    PartSummary {
        name: name.to_owned(),
        verdict,
        confidence: confidence(&own),
        sites: own.len() as u32,
        final_norm: own.iter().find(|norm| norm.role == NormRole::Final).map(|norm| norm.name.clone()),
        sentence: sentence + ".",
    }
}

/// Of how many sites γ is not known, as the end of a sentence.
fn undecided(norms: &[NormReport]) -> String {
    match norms.iter().filter(|norm| norm.scale_convention == ScaleConvention::Unknown).count() {
        0 => String::new(),
        count => {
            format!("; whether the 1 of 1 + w is in the scale is not known at {}", plural(count, "site"))
        }
    }
}

/// The final norm of the model: of several parts, the decoder's or language model's, otherwise the last.
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

/// The model in one sentence.
pub fn model_sentence(verdict: ModelVerdict, norms: &[NormReport], dead: &DeadParameters) -> String {
    let sites = plural(norms.len(), "norm site");
    let with = |form| norms.iter().filter(|norm| norm.kernel.form == form).count();
    let (exact, coordinates) = (with(KernelForm::InverseScale), with(KernelForm::Coordinates));
    let unknown = norms.iter().filter(|norm| norm.kind == NormKind::Unknown).count();
    let mut text = match verdict {
        ModelVerdict::LayerNorm if exact == norms.len() => {
            format!("LayerNorm transformer, {sites}, an exact dead direction at each")
        }
        ModelVerdict::LayerNorm => {
            format!("LayerNorm transformer, {sites}, an exact dead direction at {exact} of them")
        }
        ModelVerdict::RmsNorm => format!(
            "RMSNorm transformer, {sites}: no mean is subtracted, so there is no dead direction to read from the scale"
        ),
        ModelVerdict::Mixed => {
            let layer = norms.iter().filter(|norm| norm.kind == NormKind::LayerNorm).count();
            let rms = norms.iter().filter(|norm| norm.kind == NormKind::RmsNorm).count();
            format!(
                "Both kinds of norm, {sites}: {layer} LayerNorm and {rms} RMSNorm, an exact dead direction at {exact} of them"
            )
        }
        ModelVerdict::Other => {
            return format!(
                "{sites}, all batch, group or adaptive norms: no direction is offered for these."
            );
        }
        ModelVerdict::Unknown if norms.is_empty() => {
            return "No norm was found, so there is no scale to read a dead direction from.".to_owned();
        }
        ModelVerdict::Unknown => {
            format!(
                "{sites}, but the evidence is too thin, or contradicts itself, so no kind is named and no direction is offered; each site says what would settle it"
            )
        }
    };
    if coordinates > 0 {
        text += &format!(
            "; {} {} an exactly zero scale, whose coordinates are dead",
            plural(coordinates, "site"),
            if coordinates == 1 { "has" } else { "have" }
        );
    }
    if unknown > 0 && verdict != ModelVerdict::Unknown {
        text += &format!("; the kind of {} is unknown", plural(unknown, "site"));
    }
    text += &undecided(norms);
    match (dead.outright, dead.with_bias_shift) {
        (0, 0) => {}
        (outright, 0) => text += &format!("; {} {} dead outright", grouped(outright), directions(outright)),
        (0, with_bias) => {
            text += &format!("; {} {} dead once the bias is moved", grouped(with_bias), directions(with_bias))
        }
        (outright, with_bias) => {
            text += &format!(
                "; {} {} dead outright, {} more once the bias is moved",
                grouped(outright),
                directions(outright),
                grouped(with_bias)
            );
        }
    }
    if dead.outright + dead.with_bias_shift == 0 && dead.constant_shift > 0 {
        let verb =
            if dead.constant_shift == 1 { "parameter direction adds" } else { "parameter directions add" };
        text += &format!("; {} {verb} only a constant", grouped(dead.constant_shift));
    }
    text + "."
}

/// One line for each thing said about the sites that decide the verdict, with how many sites it is said of.
pub fn reasons(norms: &[NormReport]) -> Vec<String> {
    let others = model_verdict(norms) == ModelVerdict::Other;
    let decisive = norms
        .iter()
        .filter(|norm| others || norm.kind != NormKind::Other)
        .flat_map(|norm| &norm.evidence)
        .filter(|evidence| evidence.strength >= 1.0);
    let said = decisive.map(|evidence| {
        // Names differ from site to site; what is said about them does not.
        let detail = match evidence.detail.split_once("` ") {
            Some((_, rest)) if evidence.source == "names" => format!("the name {rest}"),
            _ => evidence.detail.clone(),
        };
        ((evidence.source.as_str(), evidence.says, detail), ())
    });
    order::groups(said)
        .into_iter()
        .map(|((source, says, detail), sites)| {
            let towards = match says {
                NormKind::LayerNorm => "LayerNorm",
                NormKind::RmsNorm => "RMSNorm",
                NormKind::Other | NormKind::Unknown => "another norm",
            };
            format!("{source}: {detail} (towards {towards}, {})", plural(sites.len(), "site"))
        })
        .collect()
}

fn directions(count: u64) -> &'static str {
    if count == 1 { "parameter direction is" } else { "parameter directions are" }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// 1234567 → 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is said of a model whose norms are all stored without values.
pub fn all_empty(norms: usize) -> String {
    let norms = if norms == 1 { "The norm".to_owned() } else { format!("All {norms} norms") };
    let is = if norms == "The norm" { "is" } else { "are" };
    format!(
        "{norms} of this checkpoint {is} stored empty, so there is no scale to read a dead direction from."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn no_sites_are_said_to_be_none() {
        let dead = DeadParameters {
            outright: 0,
            with_bias_shift: 0,
            constant_shift: 0,
            tied: 0,
            share: 0.0,
            readers: 0,
            assumptions: vec![],
        };
        assert!(model_sentence(model_verdict(&[]), &[], &dead).starts_with("No norm was found"));
    }
}
