//! `gammascope compare`: what changed between two checkpoints, as a table.

use super::args::Compare;
use super::grid::{ABSENT, Grid, number, text};
use super::measure::{self, measured};
use super::screen::{self, Screen};
use super::summary::{self, QUIET, SITES, STRONG, printable};
use super::{UNREADABLE, complain, files, leave, like, modulo_dead, open, print_json, progress};
use gammascope::compare::{compare, degrees};
use gammascope::inspect::Opened;
use gammascope::report::comparison::{Comparison, MatchedBy, SiteComparison, UnpairedSite};
use gammascope::run::device::GramDevice;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(options: &Compare) -> ExitCode {
    let mut line = progress::Line::new();
    let comparison = compared(options, &mut line);
    line.clear();
    let comparison = match comparison {
        Ok(comparison) => comparison,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let written = if options.json {
        print_json(&comparison)
    } else {
        write(&mut screen::stdout(), &comparison, options.all)
    };
    leave(written, options.strict && !comparison.warnings.is_empty())
}

fn compared(options: &Compare, line: &mut progress::Line) -> Result<Comparison, String> {
    let before = at(&options.before, options.activations_before.as_deref(), options, line)?;
    let after = at(&options.after, options.activations_after.as_deref(), options, line)?;
    let mut comparison = compare(&before.inspection, &after.inspection).map_err(|error| error.to_string())?;
    if options.modulo_dead {
        comparison.modulo_dead = Some(modulo_dead::found(&before, &after, line)?);
    }
    Ok(comparison)
}

/// Opens one of the two checkpoints, and measures it if there are activations of it.
fn at(
    path: &Path,
    activations: Option<&Path>,
    options: &Compare,
    line: &mut progress::Line,
) -> Result<Opened<files::File>, String> {
    let mut opened = open::at(&[path.to_owned()], &options.reading, line)?;
    if let Some(activations) = activations {
        let measured = measured(&opened.inspection, activations, None, &GramDevice::cpu(), line)?;
        let (verification, warnings) = measured.verification()?;
        opened.verify(verification, warnings);
    }
    Ok(opened)
}

fn write(out: &mut Screen<impl Write>, comparison: &Comparison, all: bool) -> io::Result<()> {
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
    let shown = if all { comparison.sites.len() } else { changed };
    if shown > 0 {
        table(out, &comparison.sites[..shown], all)?;
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
    if let Some(modulo_dead) = &comparison.modulo_dead {
        modulo_dead::write(out, modulo_dead, all)?;
    }
    for warning in &comparison.warnings {
        summary::warning(out, warning)?;
    }
    Ok(())
}

/// The sites that changed. Sites of the same name in different blocks share a row if they changed in the same way.
fn table(out: &mut Screen<impl Write>, sites: &[SiteComparison], all: bool) -> io::Result<()> {
    let names: Vec<String> = sites.iter().map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let changes = |at: usize| {
        let site = &sites[at];
        (site.width, change(summary::kind(site.kind), summary::kind(site.kind_after)), kernel(site))
    };
    let rows = like::rows(&names, changes, all);
    let shown = if all { rows.len() } else { rows.len().min(SITES) };
    let mut grid = Grid::new(
        "norm site",
        &[
            number("width", 6),
            text("kind", 1),
            number("angle", 0),
            number("change of γ", 2),
            number("near-dead +", 4),
            number("−", 5),
            text("kernel", 3),
        ],
    );
    let is_measured = sites.iter().any(SiteComparison::measured);
    if is_measured {
        grid.add_column("depth^".to_owned(), 1);
    }
    for row in &rows[..shown] {
        let alike: Vec<&SiteComparison> = row.places.iter().map(|&at| &sites[at]).collect();
        let (width, kind, kernel) = changes(row.places[0]);
        let count =
            |of: fn(&SiteComparison) -> usize| like::counts(alike.iter().map(|site| Some(of(site) as u64)));
        let mut cells = vec![
            width.to_string(),
            kind,
            angles(&alike),
            like::range(alike.iter().map(|site| site.relative_change), |change| format!("{change:.2e}")),
            count(|site| site.near_dead_gained.len()),
            count(|site| site.near_dead_lost.len()),
            kernel,
        ];
        if is_measured {
            let depth = |of: fn(&SiteComparison) -> Option<f64>| {
                like::range(alike.iter().map(|site| of(site)), measure::exponent)
            };
            let (before, after) =
                (depth(|site| site.depth_scale_free), depth(|site| site.depth_scale_free_after));
            cells.push(format!("{before} → {after}"));
        }
        grid.row(row.name.clone(), cells);
    }
    grid.write(out)?;
    if shown < rows.len() {
        let left: usize = rows[shown..].iter().map(|row| row.places.len()).sum();
        writeln!(out, "{QUIET}… and {left} more sites, which changed less{QUIET:#}")?;
    }
    if rows.len() < sites.len() || shown < rows.len() {
        writeln!(out, "{QUIET}--all lists all sites.{QUIET:#}")?;
    }
    Ok(())
}

/// The range of the angles.
fn angles(sites: &[&SiteComparison]) -> String {
    let all = || sites.iter().filter_map(|site| site.angle);
    match (all().reduce(f64::min), all().reduce(f64::max)) {
        (Some(least), Some(most)) if degrees(least) != degrees(most) => {
            format!("{}–{}", degrees(least), degrees(most))
        }
        (Some(one), _) => degrees(one),
        _ => ABSENT.to_owned(),
    }
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
