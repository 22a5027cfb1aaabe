//! `gammascope adapter`: what a LoRA adapter wastes, as a table.

use crate::args::Adapter as Options;
use crate::measure::align_numbers;
use crate::summary::{self, QUIET, SITES, STRONG, printable};
use crate::{UNREADABLE, complain, files, leave, open, print_json, progress};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use gammascope::adapter::{Adapter, CONFIG, weigh};
use gammascope::report::adapter::AdapterReport;
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
    let mut out = anstream::stdout().lock();
    let written = if options.json { print_json(&report) } else { write(&mut out, &report, options.all) };
    leave(written, options.strict && !report.warnings.is_empty())
}

fn weighed(options: &Options, line: &mut progress::Line) -> Result<AdapterReport, String> {
    // The adapter first: it is small, and what is wrong with it is said before the base is read.
    let sources = files::sources(&adapter_files(&options.adapter), &options.reading.remote, line)?;
    let adapter = pollster::block_on(Adapter::open(sources)).map_err(|error| error.to_string())?;
    let base = open::at(std::slice::from_ref(&options.base), &options.reading, line)?;
    pollster::block_on(weigh(&base, &adapter)).map_err(|error| error.to_string())
}

/// A lone file brings the configuration beside it.
fn adapter_files(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    let config = path.with_file_name(CONFIG);
    if path.is_file() && config.is_file() && path != config {
        paths.push(config);
    }
    paths
}

fn write(out: &mut impl Write, report: &AdapterReport, all: bool) -> io::Result<()> {
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(&report.sentence))?;
    writeln!(out, "{QUIET}base {}: {}{QUIET:#}", printable(&report.base), printable(&report.base_sentence))?;
    let wasteful: Vec<_> = report.modules.iter().filter(|module| module.kernel_dimension > 0).collect();
    if !wasteful.is_empty() {
        let shown = if all { wasteful.len() } else { wasteful.len().min(SITES) };
        let mut table = Table::new();
        table.load_style(NOTHING).set_header([
            "module",
            "reads",
            "r",
            "d",
            "wasted",
            "by chance (k/d)",
            "ratio",
            "deviations",
        ]);
        for module in &wasteful[..shown] {
            table.add_row([
                printable(&module.module),
                printable(&module.site),
                module.rank.to_string(),
                module.width.to_string(),
                format!("{:.3e}", module.wasted),
                format!("{:.3e}", module.null),
                format!("{:.2}", module.wasted / module.null),
                format!("{:+.1}", (module.wasted - module.null) / module.null_deviation),
            ]);
        }
        align_numbers(&mut table, 2..=7);
        writeln!(out, "\n{}", table.trim_fmt())?;
        if shown < wasteful.len() {
            writeln!(
                out,
                "{QUIET}… and {} more modules, which waste less (--all lists them){QUIET:#}",
                wasteful.len() - shown
            )?;
        }
        writeln!(
            out,
            "\nWasted is ‖A v‖²/‖A‖² along the kernel v of the site's outputs; deviations count from chance."
        )?;
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
