//! Finds what stands out, from the report alone, so that it can be repeated after every change of the report.

use super::reasons::measured_line;
use super::sentence::{channels_off, has_kernel, not_counted, without_effect};
use super::words::{capitalised, grouped, plural};
use super::{
    Finding, FindingCode as Code, FindingSection as Section, KernelForm, MeasuredVerdict, ModelVerdict,
    NormKind, NormReport, PreservationDirection, PreservationVerdict, Report, ScaleConvention,
    SiteVerification, StackName, Verification, Warning, WarningCode,
};
use crate::order;

impl Report {
    /// Updates `findings`, after the rest of the report has changed or if the report has none.
    pub fn find(&mut self) {
        let rules = [
            measurement,
            loss,
            preservation,
            contradictions,
            unknown,
            warned,
            undecided,
            channels,
            weights,
            zeros,
            direction,
            mixed,
            readers,
            falls,
            spread,
        ];
        let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(self)).collect();
        order::sort_by_key(&mut findings, |finding| finding.code);
        self.findings = findings;
    }
}

impl Finding {
    fn new(code: Code, section: Section, text: impl AsRef<str>, advice: impl Into<String>) -> Self {
        let text = capitalised(text.as_ref());
        Self { code, text, advice: advice.into(), section, site: None }
    }

    fn at(mut self, norm: Option<&NormReport>) -> Self {
        self.site = norm.map(|norm| norm.name.clone());
        self
    }
}

/// Evidence with fewer nats than this does not count as a contradiction.
const SPEAKS: f64 = 2.0;

/// The kind that the strongest evidence at one site supports, without measurements.
fn inferred(norm: &NormReport) -> Option<NormKind> {
    let evidence = norm
        .evidence
        .iter()
        .filter(|piece| !["activations", "loss", "prior"].contains(&piece.source.as_str()));
    let strongest = evidence.max_by(|a, b| a.strength.total_cmp(&b.strength))?;
    (strongest.strength >= SPEAKS).then_some(strongest.says)
}

/// Whether a measured verdict is impossible for a norm of this kind.
fn contradicts(site: &SiteVerification, kind: NormKind) -> bool {
    matches!(
        (site.verdict, kind),
        (MeasuredVerdict::MeanSubtracting, NormKind::RmsNorm)
            | (MeasuredVerdict::NotMeanSubtracting, NormKind::LayerNorm)
    )
}

fn own_activations(report: &Report) -> Option<&Verification> {
    report.measured().filter(|verification| verification.pass.is_none())
}

fn measurement(report: &Report) -> Vec<Finding> {
    let Some(verification) = own_activations(report) else { return Vec::new() };
    let norm = |site: &SiteVerification| report.norms.iter().find(|norm| norm.name == site.name);
    let against: Vec<&NormReport> = verification
        .sites
        .iter()
        .filter_map(|site| {
            norm(site).filter(|norm| inferred(norm).is_some_and(|kind| contradicts(site, kind)))
        })
        .collect();
    if let Some(first) = against.first() {
        let text = format!(
            "the activations contradict the checkpoint at {} of {}",
            grouped(against.len() as u64),
            plural(verification.sites.len(), "measured norm")
        );
        let advice = "Check that the activations are of this model. If they are, the code or the configuration has the wrong norm.";
        return vec![
            Finding::new(Code::MeasurementContradicts, Section::Measured, text + ".", advice).at(Some(first)),
        ];
    }
    let advice = "This is direct evidence. It does not rest on names or on the configuration.";
    let finding = |line: String| Finding::new(Code::Measured, Section::Measured, line + ".", advice);
    measured_line(verification).map(finding).into_iter().collect()
}

fn loss(report: &Report) -> Vec<Finding> {
    let Some(loss) = report.measured().and_then(|verification| verification.loss) else {
        return Vec::new();
    };
    let (better, worse) = match loss.kind {
        NormKind::LayerNorm => ("LayerNorm", "RMSNorm"),
        NormKind::RmsNorm => ("RMSNorm", "LayerNorm"),
        NormKind::Other | NormKind::Unknown => return Vec::new(),
    };
    let less = format!(
        "run with {worse} instead of {better}, the model loses {:.4} ± {:.4} nats more per token",
        loss.difference.abs(),
        loss.standard_error
    );
    let of_kind = |kind| report.norms.iter().filter(|norm| inferred(norm) == Some(kind)).collect::<Vec<_>>();
    let against =
        of_kind(if loss.kind == NormKind::LayerNorm { NormKind::RmsNorm } else { NormKind::LayerNorm });
    let supports = of_kind(loss.kind);
    if against.len() > supports.len() {
        let text = format!("{less}, but the checkpoint looks like {worse}.");
        let advice = "Check that the configuration and the code are of these weights.";
        return vec![
            Finding::new(Code::LossContradicts, Section::Run, text, advice).at(against.first().copied()),
        ];
    }
    let advice = format!("This supports {better} from the weights alone, whatever the names say.");
    vec![Finding::new(Code::LossAgrees, Section::Run, less + ".", advice)]
}

fn preservation(report: &Report) -> Vec<Finding> {
    let Some(verification) = report.measured() else { return Vec::new() };
    let moved = verification.preservation.iter();
    let moved: Vec<_> =
        moved.filter(|row| row.in_kernel && row.direction == PreservationDirection::Kernel).collect();
    let changed = moved.iter().filter(|row| row.verdict == PreservationVerdict::Changed);
    let site = |name: &str| report.norms.iter().find(|norm| norm.name == name);
    match (moved.len(), changed.clone().count()) {
        (0, _) => Vec::new(),
        (all, 0) => {
            let text = format!(
                "the function stayed the same when a reader moved along the kernel, at {} of {}.",
                all,
                plural(all, "norm")
            );
            let advice = "You can project these directions out of the weights. Export them first.";
            vec![Finding::new(Code::FunctionPreserved, Section::Run, text, advice)]
        }
        (all, some) => {
            let text = format!(
                "the function changed when a reader moved along the kernel, at {some} of {}.",
                plural(all, "norm")
            );
            let advice = "Do not project these directions out. The run shows how much the function changes.";
            let first = changed.into_iter().next().and_then(|row| site(&row.site));
            vec![Finding::new(Code::FunctionChanged, Section::Run, text, advice).at(first)]
        }
    }
}

/// Finds evidence that contradicts itself although a kind was decided. Skips sites where a run or a measurement already says so.
fn contradictions(report: &Report) -> Vec<Finding> {
    let clash = |norm: &&NormReport| norm.kind != NormKind::Unknown && norm.settle.is_some();
    let norms: Vec<&NormReport> = report.norms.iter().filter(clash).collect();
    let above =
        |finding: &Finding| matches!(finding.code, Code::MeasurementContradicts | Code::LossContradicts);
    let Some(first) = norms.first() else { return Vec::new() };
    if measurement(report).iter().chain(&loss(report)).any(above) {
        return Vec::new();
    }
    let text = format!("the evidence about {} contradicts itself.", plural(norms.len(), "norm"));
    vec![Finding::new(Code::EvidenceContradicts, Section::Sites, text, what_settles(first)).at(Some(first))]
}

/// The last sentence of a site's `settle`.
fn what_settles(norm: &NormReport) -> &str {
    let settle = norm.settle.as_deref().unwrap_or("Activations of the model would settle it: measure them.");
    settle.rsplit(". ").next().unwrap_or(settle)
}

fn unknown(report: &Report) -> Vec<Finding> {
    let norms: Vec<&NormReport> = report.norms.iter().filter(|norm| norm.kind == NormKind::Unknown).collect();
    let Some(first) = norms.first() else { return Vec::new() };
    let all = norms.len() == report.norms.len();
    let which = if all && norms.len() > 1 {
        format!("all {} norms", norms.len())
    } else {
        plural(norms.len(), "norm")
    };
    let text = format!("the kind of {which} is unknown.");
    vec![Finding::new(Code::KindUnknown, Section::Sites, text, what_settles(first)).at(Some(first))]
}

/// Whether a warning changes how far the rest can be relied on. The section of warnings lists the others.
fn grave(warning: &Warning) -> bool {
    use WarningCode as W;
    matches!(
        warning.code,
        W::ShardMissing
            | W::ShardDamaged
            | W::TensorsEmpty
            | W::TensorRepeated
            | W::PickleRunsCode
            | W::ConfigForeign
            | W::ScaleUnusable
            | W::ScaleOffByOne
            | W::NamesOpaque
            | W::NoNorms
            | W::LossOfAGuess
            | W::RunStopped
    )
}

fn warned(report: &Report) -> Vec<Finding> {
    let mut first_of: Vec<(&Warning, usize)> = Vec::new();
    for warning in report.warnings.iter().filter(|warning| grave(warning)) {
        match first_of.iter_mut().find(|(first, _)| first.code == warning.code) {
            Some((_, count)) => *count += 1,
            None => first_of.push((warning, 1)),
        }
    }
    let finding = |(warning, count): (&Warning, usize)| {
        let more = if count > 1 {
            format!(" {} like it.", plural(count - 1, "more warning"))
        } else {
            String::new()
        };
        let message = warning.message.trim_end_matches('.');
        let norm = report.norms.iter().find(|norm| norm.name == warning.r#where);
        Finding::new(Code::Warned, Section::Warnings, format!("{message}.{more}"), warning.code.remedy())
            .at(norm)
    };
    first_of.into_iter().map(finding).collect()
}

fn undecided(report: &Report) -> Vec<Finding> {
    let norms: Vec<&NormReport> =
        report.norms.iter().filter(|norm| norm.scale_convention == ScaleConvention::Unknown).collect();
    let Some(first) = norms.first() else { return Vec::new() };
    // That warning says more.
    if report.warnings.iter().any(|warning| warning.code == WarningCode::ScaleOffByOne) {
        return Vec::new();
    }
    let text = format!("whether the scale is w or 1 + w is unknown at {}.", plural(norms.len(), "norm"));
    let advice = "Compare with the checkpoint that this one was made from.";
    vec![Finding::new(Code::ScaleUndecided, Section::Sites, text, advice).at(Some(first))]
}

fn is_final(report: &Report, norm: &NormReport) -> bool {
    report.model.final_norm.as_ref() == Some(&norm.name)
}

/// From this share on, a sentence says that a few channels make up the whole direction.
const ALL_OF_IT: f64 = 0.99;

/// Finds nearly dead channels. `zeros` finds those with a scale of exactly zero.
fn channels(report: &Report) -> Vec<Finding> {
    let off = |norm: &&NormReport| norm.kernel.near_dead.len() > norm.kernel.coordinates.len();
    let norms: Vec<&NormReport> = report.norms.iter().filter(off).collect();
    let Some(most) =
        norms.iter().copied().max_by_key(|norm| (is_final(report, norm), norm.kernel.near_dead.len()))
    else {
        return Vec::new();
    };
    let last = is_final(report, most);
    let where_ = if last { " of the final norm".to_owned() } else { format!(" of `{}`", most.name) };
    let Some(mut text) = channels_off(most, ["", &where_]) else { return Vec::new() };
    if most.kernel.near_dead_weight.is_some_and(|weight| weight > ALL_OF_IT) {
        let carry = if most.kernel.near_dead.len() == 1 { "carries" } else { "carry" };
        text += &format!(" and {carry} its whole dead direction");
    }
    if norms.len() > 1 {
        text += &format!(
            "; {} such channels too",
            if norms.len() == 2 {
                "one more norm has".to_owned()
            } else {
                format!("{} have", plural(norms.len() - 1, "more norm"))
            }
        );
    }
    let advice = "Candidates for pruning. Leave them out of quantisation calibration.";
    let section = if last { Section::Kernel } else { Section::Sites };
    vec![Finding::new(Code::ChannelsOff, section, text + ".", advice).at(Some(most))]
}

fn weights(report: &Report) -> Vec<Finding> {
    let dead = &report.dead_parameters;
    let Some(text) = without_effect(&report.norms, dead, "norms with a dead direction") else {
        return Vec::new();
    };
    let directions = grouped(dead.outright + dead.with_bias_shift);
    let text = format!("{text}: {directions} directions in {}.", plural(dead.readers as usize, "reader"));
    let advice = "Project them out before quantisation calibration. An adapter that is trained along them wastes capacity.";
    vec![Finding::new(Code::WeightsWithoutEffect, Section::Dead, text, advice)]
}

fn zeros(report: &Report) -> Vec<Finding> {
    let norms: Vec<&NormReport> =
        report.norms.iter().filter(|norm| !norm.kernel.coordinates.is_empty()).collect();
    let Some(most) = norms.iter().copied().max_by_key(|norm| norm.kernel.coordinates.len()) else {
        return Vec::new();
    };
    let all: usize = norms.iter().map(|norm| norm.kernel.coordinates.len()).sum();
    let text = format!(
        "{} of {} have scales of exactly zero, {} in all; `{}` has the most, {}.",
        grouped(norms.len() as u64),
        plural(report.norms.len(), "norm"),
        plural(all, "channel"),
        most.name,
        grouped(most.kernel.coordinates.len() as u64)
    );
    let text = if norms.len() == 1 {
        format!("`{}` has {} with a scale of exactly zero.", most.name, plural(all, "channel"))
    } else {
        text
    };
    let advice = "Their output never changes. Prune them from the maps that read them.";
    vec![Finding::new(Code::ZeroChannels, Section::Sites, text, advice).at(Some(most))]
}

/// Says whether all, some or no norms have a direction along which their output never varies, and what that means for centring.
fn direction(report: &Report) -> Vec<Finding> {
    let norms = &report.norms;
    let exact: Vec<&NormReport> =
        norms.iter().filter(|norm| norm.kernel.form == KernelForm::InverseScale).collect();
    let of_kind = |kind| norms.iter().filter(|norm| norm.kind == kind).count();
    let (layer, rms) = (of_kind(NormKind::LayerNorm), of_kind(NormKind::RmsNorm));
    let final_norm = exact.iter().copied().find(|norm| is_final(report, norm));
    if !exact.is_empty() {
        let quantity = if exact.len() == norms.len() {
            format!("{}{}", if exact.len() > 1 { "all " } else { "" }, plural(exact.len(), "norm"))
        } else {
            format!("{} of {}", exact.len(), plural(norms.len(), "norm"))
        };
        let text = format!("the output of {quantity} never varies along one direction, whatever the input.");
        let advice = if layer == norms.len() {
            "Every norm subtracts the mean, as `center_writing_weights` needs. Export the directions to project them out."
        } else {
            "`center_writing_weights` needs a LayerNorm everywhere, so check the other norms first."
        };
        let section = if final_norm.is_some() { Section::Kernel } else { Section::Sites };
        return vec![Finding::new(Code::DeadDirection, section, text, advice).at(final_norm)];
    }
    if report.model.verdict != ModelVerdict::RmsNorm {
        return Vec::new();
    }
    let quantity = if rms == norms.len() {
        format!("none of the {}", plural(rms, "norm"))
    } else {
        format!("none of the {}", plural(rms, "RMSNorm"))
    };
    let text = format!("{quantity} subtracts the mean.");
    let advice = "Do not use `center_writing_weights` here, because it changes what the model computes. `fold_ln` is not affected.";
    vec![Finding::new(Code::NoDeadDirection, Section::Sites, text, advice)]
}

fn mixed(report: &Report) -> Vec<Finding> {
    if report.model.verdict != ModelVerdict::Mixed {
        return Vec::new();
    }
    let of_kind = |kind| report.norms.iter().filter(move |norm| norm.kind == kind);
    let (layer, rms) = (of_kind(NormKind::LayerNorm).count(), of_kind(NormKind::RmsNorm).count());
    let (rarer, count) = if layer < rms { (NormKind::LayerNorm, layer) } else { (NormKind::RmsNorm, rms) };
    let (noun, other) = if layer < rms { ("LayerNorm", "RMSNorm") } else { ("RMSNorm", "LayerNorm") };
    let first = of_kind(rarer).next();
    let name = first.map_or("", |norm| norm.name.as_str());
    let text = format!(
        "{} among {}; the first is `{name}`.",
        plural(count, noun),
        plural(layer + rms - count, other)
    );
    let advice = "Treat the two kinds apart. If the model should have one kind, check its port.";
    vec![Finding::new(Code::KindsDiffer, Section::Sites, text, advice).at(first)]
}

fn readers(report: &Report) -> Vec<Finding> {
    let kernels: Vec<&NormReport> = report.norms.iter().filter(|norm| has_kernel(norm)).collect();
    let missing: Vec<&NormReport> = kernels.iter().copied().filter(|norm| not_counted(norm)).collect();
    let Some(first) = missing.first() else { return Vec::new() };
    let text = format!(
        "what reads {} of {} with a dead direction is not recognised, so those weights are not counted.",
        grouped(missing.len() as u64),
        plural(kernels.len(), "norm")
    );
    let advice = "The row of a norm says which tensor is not understood.";
    vec![Finding::new(Code::ReadersUnknown, Section::Sites, text, advice).at(Some(first))]
}

fn falls(report: &Report) -> Vec<Finding> {
    let Some(verification) = report.measured() else { return Vec::new() };
    let sure: Vec<_> = verification.falls.iter().filter(|fall| fall.on_both_halves).collect();
    let Some(most) = sure.iter().min_by(|a, b| a.ratio.value.total_cmp(&b.ratio.value)) else {
        return Vec::new();
    };
    let text = format!(
        "the least singular value of the residual stream falls after {} of {} on both halves of the tokens, most after {} (× {:.2}).",
        sure.len(),
        plural(verification.residual.len(), "block"),
        StackName::of_block(most.stack, most.block),
        most.ratio.value
    );
    let advice = "The table of falls names the part of each block, and the direction.";
    vec![Finding::new(Code::StreamFalls, Section::Run, text, advice)]
}

/// A smaller ratio between the scales of a norm is usual.
const SPREAD: f64 = 100.0;

fn spread(report: &Report) -> Vec<Finding> {
    let condition = |norm: &NormReport| norm.kernel.condition.filter(|_| norm.kernel.near_dead.is_empty());
    let spread = report.norms.iter().filter_map(|norm| Some((condition(norm)?, norm)));
    let Some((factor, norm)) =
        spread.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(factor, _)| *factor >= SPREAD)
    else {
        return Vec::new();
    };
    let text = format!("the scales of `{}` differ by a factor of {}.", norm.name, grouped(factor as u64));
    let advice = "Expect outlier channels there when you quantise.";
    vec![Finding::new(Code::ScalesSpread, Section::Sites, text, advice).at(Some(norm))]
}
