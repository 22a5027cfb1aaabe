//! `gammascope adapter`: what an adapter wastes, as a table.

use super::args::Adapter as Options;
use super::grid::{Grid, number, text};
use super::screen::{self, Screen};
use super::summary::{self, QUIET, SITES, STRONG, printable};
use super::{UNREADABLE, complain, files, leave, like, open, print_json, progress};
use gammascope::adapter::{Adapter, CONFIG, weigh};
use gammascope::report::adapter::{AdapterMethod, AdapterModule, AdapterReport};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(options: &Options) -> ExitCode {
    let mut line = progress::Line::new();
    let report = weighed(options, &mut line);
    line.clear();
    let report = match report {
        Ok(report) => report,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let written =
        if options.json { print_json(&report) } else { write(&mut screen::stdout(), &report, options.all) };
    leave(written, options.strict && !report.warnings.is_empty())
}

fn weighed(options: &Options, line: &mut progress::Line) -> Result<AdapterReport, String> {
    // Read the adapter first. It is small, so an error in it shows before the base is read.
    let sources = files::any_sources(&adapter_files(&options.adapter), &options.reading.remote, line)?;
    let adapter = pollster::block_on(Adapter::open(sources)).map_err(|error| error.to_string())?;
    let base = open::at(std::slice::from_ref(&options.base), &options.reading, line)?;
    pollster::block_on(weigh(&base, &adapter)).map_err(|error| error.to_string())
}

/// Marks a site whose scale is the adapter's.
const OWN: &str = "*";

fn reads(module: &AdapterModule) -> String {
    format!("{}{}", printable(&module.site), if module.own_scale { OWN } else { "" })
}

/// How many standard deviations the share is from chance. `None` if chance does not vary.
fn deviations(module: &AdapterModule) -> Option<f64> {
    (module.null_deviation > 0.0).then(|| (module.wasted - module.null) / module.null_deviation)
}

/// A lone file comes with the configuration beside it.
fn adapter_files(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    let config = path.with_file_name(CONFIG);
    if path.is_file() && config.is_file() && path != config {
        paths.push(config);
    }
    paths
}

fn write(out: &mut Screen<impl Write>, report: &AdapterReport, all: bool) -> io::Result<()> {
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(&report.sentence))?;
    writeln!(out, "{QUIET}base {}: {}{QUIET:#}", printable(&report.base), printable(&report.base_sentence))?;
    for renaming in &report.renamings {
        let found = renaming.found;
        writeln!(
            out,
            "{QUIET}`{}` of the adapter is `{}` of the base ({found} found this way){QUIET:#}",
            printable(&renaming.from),
            printable(&renaming.to)
        )?;
    }
    let wasteful: Vec<_> = report.modules.iter().filter(|module| module.kernel_dimension > 0).collect();
    if !wasteful.is_empty() {
        table(out, &wasteful, all)?;
        let of = |whole: bool| wasteful.iter().any(|module| (module.method != AdapterMethod::Lora) == whole);
        let what = match (of(false), of(true)) {
            (_, false) => "‖A v‖²/‖A‖²",
            (false, true) => "‖ΔW v‖²/‖ΔW‖²",
            (true, true) => "‖A v‖²/‖A‖² of LoRA, and ‖ΔW v‖²/‖ΔW‖² of the others,",
        };
        writeln!(
            out,
            "\nWasted: {what} along the kernel v of the site's outputs. By chance: k/d, for k dead of d directions. Deviations: how many standard deviations lie between the two."
        )?;
        if wasteful.iter().any(|module| module.own_scale) {
            writeln!(out, "{OWN} v is the kernel of the adapter's own scale for this norm.")?;
        }
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skipped in &report.skipped {
        reasons.entry(&skipped.why).or_default().push(&skipped.module);
    }
    for (why, modules) in reasons {
        let more = if modules.len() > 1 { format!(" and {} more", modules.len() - 1) } else { String::new() };
        writeln!(out, "{QUIET}left out: {}{more}: {}{QUIET:#}", printable(modules[0]), printable(why))?;
    }
    for warning in &report.warnings {
        summary::warning(out, warning)?;
    }
    Ok(())
}

/// Modules that waste something, with those of like name over the blocks in one row.
fn table(out: &mut Screen<impl Write>, modules: &[&AdapterModule], all: bool) -> io::Result<()> {
    let names: Vec<String> = modules.iter().map(|module| printable(&module.module)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let sites: Vec<String> = modules.iter().map(|module| reads(module)).collect();
    let key = |at: usize| (like::without_numbers(&sites[at]), modules[at].rank, modules[at].width);
    let rows = like::rows(&names, key, all);
    let shown = if all { rows.len() } else { rows.len().min(SITES) };
    let mut grid = Grid::new(
        "module",
        &[
            text("reads", 5),
            number("rank", 3),
            number("width", 4),
            number("wasted", 0),
            number("by chance", 2),
            number("ratio", 1),
            number("deviations", 6),
        ],
    );
    for row in &rows[..shown] {
        let first = row.places[0];
        let over = |of: fn(&AdapterModule) -> Option<f64>, write: fn(f64) -> String| {
            like::range(row.places.iter().map(|&at| of(modules[at])), write)
        };
        let cells = vec![
            if row.places.len() > 1 { like::without_numbers(&sites[first]) } else { sites[first].clone() },
            modules[first].rank.to_string(),
            modules[first].width.to_string(),
            over(|module| Some(module.wasted), |share| format!("{share:.2e}")),
            over(|module| Some(module.null), |share| format!("{share:.2e}")),
            over(|module| Some(module.wasted / module.null), |ratio| format!("{ratio:.2}")),
            over(deviations, |deviations| format!("{deviations:+.1}")),
        ];
        grid.row(row.name.clone(), cells);
    }
    grid.write(out)?;
    if shown < rows.len() {
        let left: usize = rows[shown..].iter().map(|row| row.places.len()).sum();
        writeln!(out, "{QUIET}… and {left} more modules, which waste less{QUIET:#}")?;
    }
    if rows.len() < modules.len() || shown < rows.len() {
        writeln!(out, "{QUIET}--all lists all {} modules.{QUIET:#}", modules.len())?;
    }
    Ok(())
}
