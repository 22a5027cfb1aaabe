//! `gammascope adapter`: what an adapter wastes, as a table.

use crate::args::Adapter as Options;
use crate::measure::align_numbers;
use crate::summary::{self, QUIET, SITES, STRONG, printable};
use crate::{UNREADABLE, complain, files, leave, open, print_json, progress};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
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

/// Marks a site whose scale is the adapter's.
const OWN: &str = "*";

fn reads(module: &AdapterModule) -> String {
    format!("{}{}", printable(&module.site), if module.own_scale { OWN } else { "" })
}

/// How far the share is from chance; a dash where chance does not vary.
fn deviations(module: &AdapterModule) -> String {
    if module.null_deviation > 0.0 {
        format!("{:+.1}", (module.wasted - module.null) / module.null_deviation)
    } else {
        "–".to_owned()
    }
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
                reads(module),
                module.rank.to_string(),
                module.width.to_string(),
                format!("{:.3e}", module.wasted),
                format!("{:.3e}", module.null),
                format!("{:.2}", module.wasted / module.null),
                deviations(module),
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
        let of = |whole: bool| wasteful.iter().any(|module| (module.method != AdapterMethod::Lora) == whole);
        let what = match (of(false), of(true)) {
            (_, false) => "‖A v‖²/‖A‖²",
            (false, true) => "‖ΔW v‖²/‖ΔW‖²",
            (true, true) => "‖A v‖²/‖A‖² of LoRA, and ‖ΔW v‖²/‖ΔW‖² of the others,",
        };
        writeln!(
            out,
            "\nWasted is {what} along the kernel v of the site's outputs; deviations count from chance."
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
