//! Puts two inspections side by side: which sites are the same, and what changed at each.
//!
//! Compares effective scales, whatever the convention, type or format of the stored ones.

mod constant;
mod pair;

use crate::inspect::Inspection;
use crate::kernel::compare::{angle, relative_change};
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::report::comparison::{
    ComparedCheckpoint, Comparison, MatchedBy, SCHEMA, SiteComparison, UnpairedSite,
};
use crate::report::{KernelForm, NormReport, Report, SiteVerification, Warning};

use constant::{Difference, Scales};

/// Why two checkpoints cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// One of them has no norm.
    #[error(
        "`{0}` has no norm site, so there is nothing to compare; `gammascope inspect` says what is in it"
    )]
    NoSites(String),
    /// The two have no site in common.
    #[error(
        "{before} and {after} have no site in common, by name or by place: they are of different models; compare a model with its own fine-tune, another step or a conversion"
    )]
    NothingInCommon {
        /// The first, with one of its sites.
        before: String,
        /// The second.
        after: String,
    },
}

/// Compares two checkpoints; changes are counted from `before` to `after`.
pub fn compare(before: &Inspection, after: &Inspection) -> Result<Comparison, CompareError> {
    let (ours, theirs) = (&before.report, &after.report);
    if let Some(empty) = [ours, theirs].into_iter().find(|report| report.norms.is_empty()) {
        return Err(CompareError::NoSites(empty.checkpoint.name.clone()));
    }
    let pairs = pair::pairs(&ours.norms, &theirs.norms);
    if pairs.is_empty() {
        return Err(CompareError::NothingInCommon { before: described(ours), after: described(theirs) });
    }
    let mut sites: Vec<SiteComparison> = pairs
        .iter()
        .map(|&(at, to, matched_by)| {
            let [first, second] =
                [(before, at), (after, to)].map(|(inspection, at)| Side::of(inspection, at));
            site(at, first, second, matched_by)
        })
        .collect();
    let scales: Vec<_> = pairs.iter().map(|&(at, to, _)| (scales(before, at), scales(after, to))).collect();
    let difference = constant::difference(&scales);
    // The sort is stable: equal changes stay in the order of the network.
    sites.sort_by(|a, b| {
        let first = |site: &SiteComparison| (site.kind_changed(), site.kernel_changed());
        first(b).cmp(&first(a)).then(b.change().total_cmp(&a.change()))
    });
    let only_before = unpaired(&ours.norms, &theirs.norms, |index| pairs.iter().any(|pair| pair.0 == index));
    let only_after = unpaired(&theirs.norms, &ours.norms, |index| pairs.iter().any(|pair| pair.1 == index));
    Ok(Comparison {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        before: summary(ours),
        after: summary(theirs),
        sentence: sentence(&sites, difference, only_before.len(), only_after.len()),
        constant: match difference {
            Some(Difference::Effective(constant) | Difference::OfStored(constant)) => Some(constant),
            Some(Difference::Stored) | None => None,
        },
        sites,
        only_before,
        only_after,
        modulo_dead: None,
        warnings: [("before", ours), ("after", theirs)]
            .into_iter()
            .flat_map(|(side, report)| {
                report.warnings.iter().map(move |warning| Warning {
                    r#where: format!("{side}: {}", warning.r#where),
                    ..warning.clone()
                })
            })
            .collect(),
    })
}

/// Describes a checkpoint with one of its sites, to distinguish it from another.
fn described(report: &Report) -> String {
    let name = &report.checkpoint.name;
    let of = |norm: &NormReport| {
        format!(
            "`{name}` ({} norm sites, such as `{}` of width {})",
            report.norms.len(),
            norm.name,
            norm.width
        )
    };
    report.norms.first().map_or_else(|| format!("`{name}`"), of)
}

fn summary(report: &Report) -> ComparedCheckpoint {
    ComparedCheckpoint {
        checkpoint: report.checkpoint.clone(),
        family: report.model.family.clone(),
        verdict: report.model.verdict,
        sentence: report.model.sentence.clone(),
        sites: report.norms.len() as u32,
    }
}

/// A site in one of the two checkpoints.
struct Side<'a> {
    norm: &'a NormReport,
    /// Its effective scale, if it could be read.
    scale: Option<&'a Scale>,
    /// What was measured there, if anything was.
    measured: Option<&'a SiteVerification>,
}

impl<'a> Side<'a> {
    fn of(inspection: &'a Inspection, at: usize) -> Self {
        let norm = &inspection.report.norms[at];
        let verification = inspection.report.measured();
        Self {
            norm,
            scale: inspection.scales[at].as_ref(),
            measured: verification.and_then(|all| all.sites.iter().find(|site| site.name == norm.name)),
        }
    }
}

fn scales(inspection: &Inspection, at: usize) -> Scales<'_> {
    Scales {
        effective: inspection.scales[at].as_ref().map(Scale::values),
        undecided: inspection.undecided[at].as_deref(),
        convention: inspection.report.norms[at].scale_convention,
    }
}

fn site(order: usize, before: Side<'_>, second: Side<'_>, matched_by: MatchedBy) -> SiteComparison {
    let (norm, after) = (before.norm, second.norm);
    let scales = before.scale.zip(second.scale);
    let both = |form| norm.kernel.form == form && after.kernel.form == form;
    let directions = scales
        .filter(|_| both(KernelForm::InverseScale))
        .map(|(scale, scale_after)| (Kernel::of(scale, true), Kernel::of(scale_after, true)));
    let angle = match directions {
        Some((Kernel::InverseScale(a), Kernel::InverseScale(b))) => Some(angle(&a.components, &b.components)),
        _ => None,
    };
    // A scale that could not be read has no zeros, but has not lost them.
    let readable = scales.is_some();
    let gained = |before: &[u32], after: &[u32]| -> Vec<u32> {
        after.iter().copied().filter(|index| readable && !before.contains(index)).collect()
    };
    let (kernel, kernel_after) = (&norm.kernel, &after.kernel);
    SiteComparison {
        name: norm.name.clone(),
        name_after: after.name.clone(),
        matched_by,
        order: order as u32,
        role: norm.role,
        block: norm.block,
        width: norm.width,
        kind: norm.kind,
        kind_after: after.kind,
        form: kernel.form,
        form_after: kernel_after.form,
        angle,
        relative_change: scales.and_then(|(before, after)| relative_change(before.values(), after.values())),
        zeros_gained: gained(&kernel.coordinates, &kernel_after.coordinates),
        zeros_lost: gained(&kernel_after.coordinates, &kernel.coordinates),
        near_dead_gained: gained(&kernel.near_dead, &kernel_after.near_dead),
        near_dead_lost: gained(&kernel_after.near_dead, &kernel.near_dead),
        depth: before.measured.map(|measured| measured.depth),
        depth_after: second.measured.map(|measured| measured.depth),
        depth_scale_free: before.measured.and_then(|measured| measured.depth_scale_free),
        depth_scale_free_after: second.measured.and_then(|measured| measured.depth_scale_free),
    }
}

fn unpaired(
    norms: &[NormReport],
    others: &[NormReport],
    is_paired: impl Fn(usize) -> bool,
) -> Vec<UnpairedSite> {
    let why = |norm: &NormReport| match others.iter().find(|other| other.name == norm.name) {
        Some(other) => format!("the other checkpoint's site of this name has width {}", other.width),
        None => "the other checkpoint has no site with this name or place".to_owned(),
    };
    norms
        .iter()
        .enumerate()
        .filter(|(index, _)| !is_paired(*index))
        .map(|(_, norm)| UnpairedSite {
            name: norm.name.clone(),
            role: norm.role,
            block: norm.block,
            width: norm.width,
            kind: norm.kind,
            why: why(norm),
        })
        .collect()
}

fn sentence(
    sites: &[SiteComparison],
    difference: Option<Difference>,
    only_before: usize,
    only_after: usize,
) -> String {
    let all = match sites.len() {
        1 => "1 norm site in common".to_owned(),
        all => format!("{all} norm sites in common"),
    };
    let mut parts = vec![all];
    match difference {
        Some(Difference::Stored) => {
            let rounded = sites.iter().any(SiteComparison::changed);
            let but = if rounded { " except for rounding" } else { "" };
            parts.push(format!("every scale is the same{but}: one stores γ and the other γ − 1"));
        }
        Some(Difference::Effective(constant)) => {
            parts.push(format!("every norm differs by the constant {}", number(constant)));
        }
        Some(Difference::OfStored(constant)) => parts.push(format!(
            "every norm differs by the constant {} as stored, and the scale convention is not known in both",
            number(constant)
        )),
        None => parts.extend(changes(sites)),
    }
    for (alone, which) in [(only_before, "first"), (only_after, "second")] {
        if alone > 0 {
            parts.push(format!("{alone} in the {which} only"));
        }
    }
    parts.join(", ") + "."
}

/// How many of the sites changed, and how.
fn changes(sites: &[SiteComparison]) -> Vec<String> {
    let count = |holds: &dyn Fn(&SiteComparison) -> bool| sites.iter().filter(|site| holds(site)).count();
    let changed = count(&SiteComparison::changed);
    let mut parts = vec![match (sites.len(), changed) {
        (1, 0) => "its scale is the same".to_owned(),
        (_, 0) => "every scale is the same".to_owned(),
        (1, _) => "changed".to_owned(),
        (_, changed) => format!("{changed} of them changed"),
    }];
    let kinds = count(&SiteComparison::kind_changed);
    if kinds > 0 {
        parts.push(format!("{kinds} with another kind"));
    }
    let kernels = count(&|site| site.kernel_changed() && !site.kind_changed());
    if kernels > 0 {
        parts.push(format!("{kernels} with another kernel"));
    }
    if let Some(angle) = sites.iter().filter_map(|site| site.angle).max_by(f64::total_cmp) {
        parts.push(format!("kernel directions turned by {} at most", degrees(angle)));
    }
    parts
}

/// A number in a sentence: whole if it is whole, otherwise with four digits.
fn number(number: f64) -> String {
    let digits = if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.4}") };
    digits.replace('-', "−")
}

/// An angle in radians as a text in degrees.
pub fn degrees(angle: f64) -> String {
    let degrees = angle.to_degrees();
    match degrees {
        0.0 => "0°".to_owned(),
        small if small < 0.01 => format!("{small:.1e}°"),
        _ => format!("{degrees:.2}°"),
    }
}
