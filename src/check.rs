//! Checks a checkpoint against rules, for CI.

use crate::compare::{self, CompareError};
use crate::inspect::Inspection;
use crate::report::check::{CheckReport, CheckedRule, Rule, SCHEMA};
use crate::report::{NormKind, NormReport, Report};

/// The rules. A rule that is left out always holds.
#[derive(Debug, Clone, Default)]
pub struct Rules<'a> {
    /// The kind of every norm site.
    pub kind: Option<NormKind>,
    /// The largest share of the weights that read norms that has no effect, 0 … 1.
    pub dead_share: Option<f64>,
    /// Whether near-dead channels break a rule.
    pub no_near_dead: bool,
    /// Whether warnings break a rule.
    pub no_warnings: bool,
    /// The checkpoint that has the same norms.
    pub base: Option<&'a Inspection>,
}

impl Rules<'_> {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        let Self { kind, dead_share, no_near_dead, no_warnings, base } = self;
        kind.is_none() && dead_share.is_none() && !no_near_dead && !no_warnings && base.is_none()
    }
}

/// Checks a checkpoint against the rules. Fails if the base has no norm, or none in common with it.
pub fn check(inspection: &Inspection, rules: &Rules<'_>) -> Result<CheckReport, CompareError> {
    let report = &inspection.report;
    let mut checked = Vec::new();
    checked.extend(rules.kind.map(|kind| of_kind(report, kind)));
    checked.extend(rules.dead_share.map(|most| dead_share(report, most)));
    checked.extend(rules.no_near_dead.then(|| near_dead(report)));
    checked.extend(rules.no_warnings.then(|| warnings(report)));
    checked.extend(rules.base.map(|base| same_norms(base, inspection)).transpose()?);
    Ok(CheckReport {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint: report.checkpoint.name.clone(),
        passed: checked.iter().all(|rule| rule.passed),
        rules: checked,
    })
}

/// A count with its noun.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Names of the sites that break a rule.
fn broken(report: &Report, breaks: impl Fn(&NormReport) -> bool) -> Vec<String> {
    report.norms.iter().filter(|norm| breaks(norm)).map(|norm| norm.name.clone()).collect()
}

fn of_kind(report: &Report, expected: NormKind) -> CheckedRule {
    let sites = broken(report, |norm| norm.kind != expected);
    let (all, other) = (report.norms.len(), sites.len());
    let found = match all {
        0 => "the checkpoint has no norm site".to_owned(),
        _ => format!("{} of {all} norm sites are of this kind", all.saturating_sub(other)),
    };
    CheckedRule { rule: Rule::Kind { expected }, passed: all > 0 && other == 0, found, sites }
}

fn dead_share(report: &Report, most: f64) -> CheckedRule {
    let share = report.dead_parameters.share;
    let found = format!("{share:.4} of the recognised weights that read norms have no effect");
    CheckedRule { rule: Rule::DeadShare { most }, passed: share <= most, found, sites: Vec::new() }
}

fn near_dead(report: &Report) -> CheckedRule {
    let sites = broken(report, |norm| !norm.kernel.near_dead.is_empty());
    let channels: usize = report.norms.iter().map(|norm| norm.kernel.near_dead.len()).sum();
    let found = match channels {
        0 => "no channel is near dead".to_owned(),
        _ => {
            let verb = if channels == 1 { "is" } else { "are" };
            format!(
                "{} of {} {verb} near dead",
                counted(channels, "channel"),
                counted(sites.len(), "norm site")
            )
        }
    };
    CheckedRule { rule: Rule::NoNearDead, passed: channels == 0, found, sites }
}

fn warnings(report: &Report) -> CheckedRule {
    let messages: Vec<&str> = report.warnings.iter().map(|warning| warning.message.as_str()).collect();
    let found = match messages.first() {
        None => "there is no warning".to_owned(),
        Some(first) => format!("the report has {}; the first: {first}", counted(messages.len(), "warning")),
    };
    CheckedRule { rule: Rule::NoWarnings, passed: messages.is_empty(), found, sites: Vec::new() }
}

fn same_norms(base: &Inspection, inspection: &Inspection) -> Result<CheckedRule, CompareError> {
    let comparison = compare::compare(base, inspection)?;
    let changed = comparison.sites.iter().filter(|site| site.kind_changed() || site.kernel_changed());
    let mut differ: Vec<&str> = changed.map(|site| site.name_after.as_str()).collect();
    differ.extend(comparison.only_after.iter().map(|site| site.name.as_str()));
    let sites = broken(&inspection.report, |norm| differ.contains(&norm.name.as_str()));
    let (missing, more) = (comparison.only_before.len(), comparison.only_after.len());
    let found = match (sites.len(), missing) {
        (0, 0) => {
            format!("all {} norm sites have the kind and the kernel of the base", comparison.sites.len())
        }
        (differ, missing) => format!(
            "of other kind or kernel: {}; not in the base: {more}; only in the base: {missing}",
            counted(differ.saturating_sub(more), "norm site")
        ),
    };
    let rule = Rule::SameNorms { base: base.report.checkpoint.name.clone() };
    Ok(CheckedRule { rule, passed: sites.is_empty() && missing == 0, found, sites })
}
