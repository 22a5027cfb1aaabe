//! `gammascope fold --repair-offset`: scales with a wrong 1, repaired where the loss shows what is right.

use super::args::Fold;
use super::files::File;
use super::fold::{Failure, sources, unreadable};
use super::grid::{ABSENT, Grid, number};
use super::screen::Screen;
use super::summary::printable;
use super::{like, progress, verify};
use gammascope::fold::{Plan, repair};
use gammascope::inspect::Opened;
use gammascope::model::Architecture;
use gammascope::report::repair::OffsetRepair;
use pollster::block_on;
use std::io::{self, Write};

/// Runs the versions of a checkpoint, and plans the one that is right.
pub(crate) fn planned(
    opened: &Opened<File>,
    architecture: &Architecture,
    options: &Fold,
    line: &mut progress::Line,
) -> Result<Plan, Failure> {
    let choice = verify::text_or_ids(options.text.as_deref(), options.ids.as_deref()).map_err(unreadable)?;
    // Both closures show something.
    let mut quiet = progress::Line::silent();
    let again = || sources(&options.checkpoint, &mut quiet).map_err(|(message, _)| message);
    let running = repair(opened, architecture, choice.as_ref(), again, |done, all| {
        line.show_versions(done, all);
    });
    block_on(running).map_err(unreadable)
}

/// Writes the loss of each version, and what is repaired.
pub(crate) fn write(out: &mut Screen<impl Write>, repair: &OffsetRepair, all: bool) -> io::Result<()> {
    writeln!(out, "Loss on {} tokens of {}, in nats:", repair.tokens, printable(&repair.text))?;
    for version in &repair.versions {
        let loss = version.loss.map_or_else(|| "the run overflows".to_owned(), |loss| format!("{loss:.3}"));
        let mark = if version.chosen { "  ← stored in the result" } else { "" };
        writeln!(out, "  {}: {loss}{mark}", printable(&version.what))?;
    }
    let names: Vec<String> = repair.norms.iter().map(|norm| printable(&norm.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut grid = Grid::new("norm site", &[number("added to w", 0)]);
    for row in like::rows(&names, |at| repair.norms[at].added, all) {
        let added = row.places.first().map_or(ABSENT.to_owned(), |&at| signed(repair.norms[at].added));
        grid.row(row.name, vec![added]);
    }
    grid.write(out)?;
    Ok(())
}

fn signed(added: i8) -> String {
    let sign = if added < 0 { '−' } else { '+' };
    format!("{sign}{}", added.unsigned_abs())
}
