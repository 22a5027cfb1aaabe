//! `gammascope measure`: every site of a file of activations, on all cores.

use crate::args::{self, Measure};
use crate::{UNREADABLE, USAGE, alone, complain, explain, leave, open, print_json, progress, summary};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gammascope::inspect::Inspection;
use gammascope::measure::activations::{ActivationsError, Captured};
use gammascope::measure::gram::Gridded;
use gammascope::measure::plan::{self, Plan};
use gammascope::report::measured::{Outcome, Outcomes};
use gammascope::report::{MeasuredVerdict, Report, Warning, WarningCode};
use gammascope::run::device::GramDevice;
use gammascope::source::disk::DiskSource;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(crate) fn run(options: &Measure) -> ExitCode {
    let mut line = progress::Line::new();
    let mut opened = match open::without_weights(&options.paths, &options.remote, &mut line) {
        Ok(opened) => opened,
        Err(message) => return complain(&message, UNREADABLE),
    };
    if let Some(name) = &options.site
        && let Err(message) = explain::find(&opened.inspection.report, name)
    {
        return complain(&message, USAGE);
    }
    let Some(activations) = &options.activations else { return alone::run(&opened, options, &mut line) };
    let measured = device(options.device).and_then(|device| {
        measured(&opened.inspection, activations, options.site.as_deref(), &device, &mut line)
    });
    line.clear();
    let measured = match measured {
        Ok(measured) => measured,
        Err(message) => return complain(&message, UNREADABLE),
    };
    match measured.verification() {
        Ok((verification, warnings)) => opened.verify(verification, warnings),
        Err(why) => return complain(&why, UNREADABLE),
    }
    show(&opened.inspection.report, options)
}

/// Measures every site of `activations`, or the one that is named, on all cores.
pub(crate) fn measured(
    inspection: &Inspection,
    activations: &Path,
    site: Option<&str>,
    device: &GramDevice,
    line: &mut progress::Line,
) -> Result<Outcomes, String> {
    let began = Instant::now();
    let plan = plan(inspection, activations, site).map_err(|error| error.to_string())?;
    let places: Vec<usize> = (0..plan.pairs.len()).collect();
    let mut outcomes = on_all_cores(&places, line, |&at| {
        // Each on its own handle: a file is read by one thread.
        match captured(activations) {
            Ok(captured) => {
                let gram = async |gridded: &Gridded| device.gram(gridded).await;
                let mut outcome = pollster::block_on(plan.measure(at, &captured, inspection, gram));
                // Perhaps that of the site beside it: it is the sum that is reported.
                outcome.kernel_seconds = device.kernel_seconds();
                outcome
            }
            Err(error) => failed(error.to_string(), activations),
        }
    });
    let fault = pollster::block_on(device.warning());
    if let (Some(fault), Some(last)) = (fault, outcomes.last_mut()) {
        last.warnings.push(fault);
    }
    Ok(Outcomes {
        outcomes,
        warnings: plan.warnings(),
        device: device.name().to_owned(),
        input: activations.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn captured(activations: &Path) -> Result<Captured<DiskSource>, ActivationsError> {
    let source = DiskSource::open(activations, activations.to_string_lossy().into_owned())?;
    pollster::block_on(Captured::open(source))
}

/// Which tensors are measured at which sites.
fn plan(inspection: &Inspection, activations: &Path, site: Option<&str>) -> Result<Plan, ActivationsError> {
    let report = &inspection.report;
    let captured = captured(activations)?;
    let sites: Vec<&str> = report.norms.iter().map(|norm| norm.name.as_str()).collect();
    let chosen = site.and_then(|name| explain::find(report, name).ok());
    plan::plan(&sites, &captured.names(), chosen.map(|norm| norm.name.as_str()))
}

/// The file went away while it was measured.
fn failed(message: String, activations: &Path) -> Outcome {
    let warning = Warning::new(WarningCode::NotMeasured, activations.to_string_lossy(), message);
    Outcome { site: None, warnings: vec![warning], unit_roundoff: 0.0, kernel_seconds: None }
}

/// The device that was asked for; one that is not there is an error here, as it was asked for by name.
pub(crate) fn device(choice: args::Device) -> Result<GramDevice, String> {
    pollster::block_on(GramDevice::of(choice.wanted())).map_err(|error| error.to_string())
}

/// Does `work` for each of `jobs` on all cores, showing how far it is; the results in the order of the jobs.
pub(crate) fn on_all_cores<Job: Sync, Done: Send>(
    jobs: &[Job],
    line: &mut progress::Line,
    work: impl Fn(&Job) -> Done + Sync,
) -> Vec<Done> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { break };
            let result = work(job);
            done.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut results) = results.lock() {
                results.push((at, result));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            line.show_sites(done.load(Ordering::Relaxed), jobs.len());
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

fn show(report: &Report, options: &Measure) -> ExitCode {
    let mut out = anstream::stdout().lock();
    let written = if options.json { print_json(report) } else { table(&mut out, report) };
    leave(written, options.strict && !report.warnings.is_empty())
}

pub(crate) fn table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Some(verification) = &report.verification else { return Ok(()) };
    let count = |verdict| verification.sites.iter().filter(|site| site.verdict == verdict).count();
    writeln!(
        out,
        "{}{} measured on {} tokens or more (n/d {:.1}): {} subtract the mean, {} do not, {} inconclusive{:#}",
        summary::STRONG,
        sites(verification.sites.len()),
        verification.tokens,
        verification.width_ratio,
        count(MeasuredVerdict::MeanSubtracting),
        count(MeasuredVerdict::NotMeanSubtracting),
        count(MeasuredVerdict::Inconclusive),
        summary::STRONG,
    )?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "norm site",
        "verdict",
        "depth^",
        "|cos^|",
        "depth",
        "|cos|",
        "sin ≤",
        "gap",
        "Schur",
        "null",
        "below τ",
        "predicted",
        "n/d",
    ]);
    let count = |count: Option<u32>| count.map_or("–".to_owned(), |count| count.to_string());
    let predicted = |name: &str| {
        let norm = report.norms.iter().find(|norm| norm.name == name);
        norm.and_then(|norm| norm.kernel.predicted_below_tau)
    };
    for site in &verification.sites {
        table.add_row([
            summary::printable(&site.name),
            site.verdict.words().to_owned(),
            number(site.depth_scale_free),
            cosine(site.cos_scale_free),
            number(Some(site.depth)),
            cosine(site.cos),
            number(site.sin_bound),
            number(site.gap),
            site.schur.map_or("–".to_owned(), |schur| format!("{schur:.3}")),
            format!("{:.2}", site.schur_null),
            count(site.below_tau),
            count(predicted(&site.name)),
            format!("{:.1}", site.tokens as f64 / site.width as f64),
        ]);
    }
    align_numbers(&mut table, 2..=12);
    writeln!(out, "\n{}", table.trim_fmt())?;
    writeln!(
        out,
        "\nThe verdict uses depth^ and |cos^|, which are those of the normalised input and do not depend on the scale. Below τ: directions with less than 1e-6 of the mean variance, measured and predicted from the scale alone."
    )?;
    for site in &verification.sites {
        for note in &site.notes {
            writeln!(out, "  {}: {}", summary::printable(&site.name), summary::printable(note))?;
        }
    }
    for warning in &report.warnings {
        writeln!(out, "warning: {} [{}]", summary::printable(&warning.message), warning.code)?;
    }
    writeln!(out, "{}{}{:#}", summary::QUIET, summary::printable(&report.model.sentence), summary::QUIET)
}

/// A depth, a bound or a gap.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.2e}"))
}

/// A |cos|, to the digits that tell 1 from almost.
pub(crate) fn cosine(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.6}"))
}

/// Numbers are read from the right.
pub(crate) fn align_numbers(table: &mut Table, columns: RangeInclusive<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn sites(count: usize) -> String {
    if count == 1 { "1 site".to_owned() } else { format!("{count} sites") }
}
