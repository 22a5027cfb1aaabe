//! `gammascope compare`: what changed between two checkpoints, as a table.

use crate::args::Compare;
use crate::measure::{align_numbers, measured, number};
use crate::summary::{self, QUIET, SITES, STRONG, printable};
use crate::{UNREADABLE, complain, leave, open, print_json, progress};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use gammascope::compare::{compare, degrees};
use gammascope::inspect::Inspection;
use gammascope::report::comparison::{Comparison, MatchedBy, SiteComparison, UnpairedSite};
use gammascope::run::device::GramDevice;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(options: &Compare) -> ExitCode {
    let mut line = progress::Line::new();
    let both =
        at(&options.before, options.activations_before.as_deref(), options, &mut line).and_then(|before| {
            Ok((before, at(&options.after, options.activations_after.as_deref(), options, &mut line)?))
        });
    line.clear();
    let comparison =
        both.and_then(|(before, after)| compare(&before, &after).map_err(|error| error.to_string()));
    let comparison = match comparison {
        Ok(comparison) => comparison,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let mut out = anstream::stdout().lock();
    let written =
        if options.json { print_json(&comparison) } else { write(&mut out, &comparison, options.all) };
    leave(written, options.strict && !comparison.warnings.is_empty())
}

/// One of the two, measured where there are activations of it.
fn at(
    path: &Path,
    activations: Option<&Path>,
    options: &Compare,
    line: &mut progress::Line,
) -> Result<Inspection, String> {
    let mut opened = open::at(&[path.to_owned()], &options.reading, line)?;
    if let Some(activations) = activations {
        let measured = measured(&opened.inspection, activations, None, &GramDevice::cpu(), line)?;
        let (verification, warnings) = measured.verification()?;
        opened.verify(verification, warnings);
    }
    Ok(opened.inspection)
}

fn write(out: &mut impl Write, comparison: &Comparison, all: bool) -> io::Result<()> {
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(&comparison.sentence))?;
    for (side, one) in [("before", &comparison.before), ("after", &comparison.after)] {
        writeln!(
            out,
            "{QUIET}{side:>6}: {} ({}): {}{QUIET:#}",
            printable(&one.checkpoint.name),
            one.checkpoint.format,
            printable(&one.sentence)
        )?;
    }
    let changed = comparison.sites.iter().filter(|site| site.changed()).count();
    let shown = if all { comparison.sites.len() } else { changed.min(SITES) };
    let measured = comparison.sites.iter().any(SiteComparison::measured);
    let mut table = Table::new();
    let mut headings = vec!["norm site", "d", "kind", "angle", "change of γ", "near-dead +", "−", "kernel"];
    headings.extend(measured.then_some("depth^"));
    table.load_style(NOTHING).set_header(headings);
    for site in &comparison.sites[..shown] {
        let mut row = vec![
            name(site),
            site.width.to_string(),
            change(summary::kind(site.kind), summary::kind(site.kind_after)),
            site.angle.map_or("–".to_owned(), degrees),
            site.relative_change.map_or("–".to_owned(), |change| format!("{change:.3e}")),
            site.near_dead_gained.len().to_string(),
            site.near_dead_lost.len().to_string(),
            kernel(site),
        ];
        row.extend(
            measured.then(|| {
                format!("{} → {}", number(site.depth_scale_free), number(site.depth_scale_free_after))
            }),
        );
        table.add_row(row);
    }
    align_numbers(&mut table, 3..=6);
    if shown > 0 {
        writeln!(out, "\n{}", table.trim_fmt())?;
    }
    if shown < changed {
        let left = changed - shown;
        writeln!(out, "{QUIET}… and {left} more sites, which changed less (--all lists them){QUIET:#}")?;
    }
    let count = |how| comparison.sites.iter().filter(|site| site.matched_by == how).count();
    for (how, words) in [
        (MatchedBy::Suffix, "by the end of their names"),
        (MatchedBy::Place, "by role, block and order, because their names differ"),
    ] {
        if count(how) > 0 {
            writeln!(out, "{QUIET}{} sites are paired {words}{QUIET:#}", count(how))?;
        }
    }
    for (side, sites) in [("before", &comparison.only_before), ("after", &comparison.only_after)] {
        unpaired(out, side, sites, all)?;
    }
    for warning in &comparison.warnings {
        summary::warning(out, warning)?;
    }
    Ok(())
}

fn unpaired(out: &mut impl Write, side: &str, sites: &[UnpairedSite], all: bool) -> io::Result<()> {
    let shown = if all { sites.len() } else { sites.len().min(SITES) };
    for site in &sites[..shown] {
        writeln!(
            out,
            "only {side}: {} (width {}): {}",
            printable(&site.name),
            site.width,
            printable(&site.why)
        )?;
    }
    if shown < sites.len() {
        writeln!(out, "{QUIET}… and {} more only {side}{QUIET:#}", sites.len() - shown)?;
    }
    Ok(())
}

fn name(site: &SiteComparison) -> String {
    if site.name == site.name_after {
        printable(&site.name)
    } else {
        format!("{} ↔ {}", printable(&site.name), printable(&site.name_after))
    }
}

fn change(before: &str, after: &str) -> String {
    if before == after { before.to_owned() } else { format!("{before} → {after}") }
}

fn kernel(site: &SiteComparison) -> String {
    let mut words = change(summary::form(site.form), summary::form(site.form_after));
    for (sign, zeros) in [("+", &site.zeros_gained), ("−", &site.zeros_lost)] {
        if !zeros.is_empty() {
            let some: Vec<String> = zeros.iter().take(6).map(|index| format!("{sign}{index}")).collect();
            let more = if zeros.len() > 6 { ", …" } else { "" };
            words = format!("{words} {}{more}", some.join(", "));
        }
    }
    words
}
