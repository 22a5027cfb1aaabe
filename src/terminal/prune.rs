//! `gammascope fold --prune`: which widths could be cut, and what that would save. It changes nothing.

use super::args::Fold;
use super::fold::{Failure, known, unreadable};
use super::grid::{Grid, number, text};
use super::screen::{self, Screen};
use super::summary::{QUIET, STRONG, printable};
use super::{complain, leave, like, print_json, progress};
use gammascope::fold::prune;
use gammascope::report::prune::{PrunableWidth, PruneReason, PruneReport};
use gammascope::report::words::grouped;
use pollster::block_on;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(options: &Fold) -> ExitCode {
    let mut line = progress::Line::new();
    let listed = listed(options, &mut line);
    line.clear();
    match listed {
        Err((message, code)) => complain(&message, code),
        Ok(report) if options.json => leave(print_json(&report), false),
        Ok(report) => leave(write(&mut screen::stdout(), &report, options.all), false),
    }
}

fn listed(options: &Fold, line: &mut progress::Line) -> Result<PruneReport, Failure> {
    let (opened, architecture) = known(options, line)?;
    let listing = prune(&opened, &architecture, |done, total| line.show_matrices(done, total));
    block_on(listing).map_err(unreadable)
}

fn write(out: &mut Screen<impl Write>, report: &PruneReport, all: bool) -> io::Result<()> {
    let share = 100.0 * report.saved as f64 / report.parameters.max(1) as f64;
    match report.widths.is_empty() {
        true => writeln!(
            out,
            "{STRONG}No width of {} could be cut{STRONG:#}: no scale is zero, no norm has a column that all of its readers ignore, and every hidden unit has an effect.",
            printable(&report.checkpoint)
        )?,
        false => writeln!(
            out,
            "{STRONG}Cuts would save {} of {} parameters of {} ({share:.2} %){STRONG:#}",
            grouped(report.saved),
            grouped(report.parameters),
            printable(&report.checkpoint)
        )?,
    }
    if !report.widths.is_empty() {
        table(out, &report.widths, all)?;
    }
    for (reason, what) in REASONS {
        if report.widths.iter().any(|width| width.reason == reason) {
            writeln!(out, "{QUIET}{}: {what}.{QUIET:#}", name(reason))?;
        }
    }
    left(out, report)
}

/// What a cut needs besides the removal, by its reason.
const REASONS: [(PruneReason, &str); 4] = [
    (
        PruneReason::UnwrittenStream,
        "nothing writes these channels. With d′ of d channels left, a cut multiplies γ by √(d/d′) and ε by d/d′, because each norm averages over its channels",
    ),
    (
        PruneReason::CoordinateKernel,
        "γ is zero there. `--canonical` moves what the readers get from the shift into their biases; then the code must leave these channels of the norm out",
    ),
    (
        PruneReason::ZeroColumns,
        "every reader of the norm multiplies these channels by zero; the code must leave them out",
    ),
    (PruneReason::HiddenUnits, "they give zero for every input, or nothing reads them"),
];

fn name(reason: PruneReason) -> &'static str {
    match reason {
        PruneReason::UnwrittenStream => "unwritten channels",
        PruneReason::CoordinateKernel => "coordinate kernel",
        PruneReason::ZeroColumns => "zero columns",
        PruneReason::HiddenUnits => "hidden units",
    }
}

fn table(out: &mut Screen<impl Write>, widths: &[PrunableWidth], all: bool) -> io::Result<()> {
    let names: Vec<String> = widths.iter().map(|width| printable(&width.place)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let columns = [text("reason", 3), number("width", 2), number("could be cut", 0), number("parameters", 1)];
    let mut grid = Grid::new("place", &columns);
    for row in like::rows(&names, |at| (widths[at].reason, widths[at].width), all) {
        let rows = || row.places.iter().map(|&at| &widths[at]);
        let Some(first) = rows().next() else { continue };
        let cuts = like::counts(rows().map(|width| Some(width.channels.len() as u64)));
        let saved = rows().map(|width| width.parameters).sum();
        grid.row(
            row.name,
            vec![name(first.reason).to_owned(), first.width.to_string(), cuts, grouped(saved)],
        );
    }
    grid.write(out)
}

/// Writes why channels that are off must stay, each reason once with its norms.
fn left(out: &mut Screen<impl Write>, report: &PruneReport) -> io::Result<()> {
    let reasons: Vec<String> = report.left.iter().map(|left| like::without_numbers(&left.why)).collect();
    let mut said: Vec<&String> = Vec::new();
    for reason in &reasons {
        if said.contains(&reason) {
            continue;
        }
        said.push(reason);
        let norms = report.left.iter().zip(&reasons).filter(|(_, other)| *other == reason);
        let names: Vec<&str> = norms.map(|(left, _)| left.norm.as_str()).collect();
        let rows = like::rows(&names, |_| (), false);
        let names: Vec<String> = rows.into_iter().map(|row| printable(&row.name)).collect();
        writeln!(
            out,
            "Channels that are off stay for some readers of {}: {}.",
            names.join(", "),
            printable(reason)
        )?;
    }
    Ok(())
}
