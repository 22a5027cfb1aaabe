//! `gammascope check`: checks a checkpoint against rules, for CI.

use super::args::{Check, ExpectedKind};
use super::screen::{self, Screen};
use super::summary::{ERROR, QUIET, STRONG, printable};
use super::{BROKEN, UNREADABLE, USAGE, complain, leave, open, print_json, progress};
use gammascope::check::{Rules, check};
use gammascope::inspect::Inspection;
use gammascope::report::NormKind;
use gammascope::report::check::{CheckReport, CheckedRule, Rule};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Names of sites that a line shows. The JSON has all.
const SHOWN: usize = 3;

pub(crate) fn run(options: &Check) -> ExitCode {
    let mut line = progress::Line::new();
    let mut at = |paths: &[PathBuf]| -> Result<Inspection, String> {
        Ok(open::at(paths, &options.reading, &mut line)?.inspection)
    };
    let both = at(&options.paths).and_then(|inspection| {
        let base = options.same_norms_as.clone().map(|base| at(&[base])).transpose()?;
        Ok((inspection, base))
    });
    line.clear();
    let (inspection, base) = match both {
        Ok(both) => both,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let rules = Rules {
        kind: options.expect.map(|kind| match kind {
            ExpectedKind::Layernorm => NormKind::LayerNorm,
            ExpectedKind::Rmsnorm => NormKind::RmsNorm,
        }),
        dead_share: options.max_dead_share,
        no_near_dead: options.no_near_dead,
        no_warnings: options.no_warnings,
        base: base.as_ref(),
    };
    if rules.is_empty() {
        let message = "there is no rule: give at least one, such as `--expect layernorm`; `gammascope check --help` lists them";
        return complain(message, USAGE);
    }
    let report = match check(&inspection, &rules) {
        Ok(report) => report,
        Err(error) => return complain(&error.to_string(), UNREADABLE),
    };
    let written = if options.json { print_json(&report) } else { write(&mut screen::stdout(), &report) };
    match leave(written, false) {
        code if code != ExitCode::SUCCESS || report.passed => code,
        _ => ExitCode::from(BROKEN),
    }
}

fn write(out: &mut Screen<impl Write>, report: &CheckReport) -> io::Result<()> {
    for rule in &report.rules {
        one(out, rule)?;
    }
    let broken = report.rules.iter().filter(|rule| !rule.passed).count();
    let (name, all) = (printable(&report.checkpoint), report.rules.len());
    match broken {
        0 => writeln!(out, "{STRONG}{name} follows all {all} rules{STRONG:#}"),
        _ => writeln!(out, "{STRONG}{name} breaks {broken} of {all} rules{STRONG:#}"),
    }
}

fn one(out: &mut Screen<impl Write>, checked: &CheckedRule) -> io::Result<()> {
    let said = match &checked.rule {
        Rule::Kind { expected: NormKind::LayerNorm } => "expect layernorm".to_owned(),
        Rule::Kind { .. } => "expect rmsnorm".to_owned(),
        Rule::DeadShare { most } => format!("max-dead-share {most}"),
        Rule::NoNearDead => "no-near-dead".to_owned(),
        Rule::NoWarnings => "no-warnings".to_owned(),
        Rule::SameNorms { base } => format!("same-norms-as {}", printable(base)),
    };
    let found = printable(&checked.found);
    if checked.passed {
        return writeln!(out, "{QUIET}ok     {said}: {found}{QUIET:#}");
    }
    let names: Vec<&str> = checked.sites.iter().take(SHOWN).map(String::as_str).collect();
    let more = checked.sites.len().saturating_sub(SHOWN);
    let named = match (names.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", names.join(", ")),
        (false, more) => format!(": {} and {more} more", names.join(", ")),
    };
    writeln!(out, "{ERROR}broken{ERROR:#} {said}: {found}{}", printable(&named))
}
