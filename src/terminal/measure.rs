//! `gammascope measure`: every site of a file of activations, on all cores.

use super::args::{self, Measure};
use super::grid::{self, ABSENT, Grid, text};
use super::screen::{self, Screen};
use super::{UNREADABLE, USAGE, alone, complain, explain, leave, like, open, print_json, progress, summary};
use gammascope::inspect::Inspection;
use gammascope::measure::activations::{ActivationsError, Captured};
use gammascope::measure::gram::Gridded;
use gammascope::measure::plan::{self, Plan};
use gammascope::report::measured::{Outcome, Outcomes};
use gammascope::report::{MeasuredVerdict, Report, SiteVerification, Warning, WarningCode};
use gammascope::run::device::GramDevice;
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use std::io::{self, Write};
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

/// Measures every site of `activations`, or the named one, on all cores.
pub(crate) fn measured(
    inspection: &Inspection,
    activations: &Path,
    site: Option<&str>,
    device: &GramDevice,
    line: &mut progress::Line,
) -> Result<Outcomes, String> {
    measured_in(inspection, || captured(activations), activations, site, device, line)
}

/// Measures every site of what `open` opens, or the named one, on all cores. `activations` is what messages call it.
pub(crate) fn measured_in<S: ByteSource>(
    inspection: &Inspection,
    open: impl Fn() -> Result<Captured<S>, ActivationsError> + Sync,
    activations: &Path,
    site: Option<&str>,
    device: &GramDevice,
    line: &mut progress::Line,
) -> Result<Outcomes, String> {
    let began = Instant::now();
    let plan = open().and_then(|captured| plan(inspection, &captured, site));
    let plan = plan.map_err(|error| error.to_string())?;
    let places: Vec<usize> = (0..plan.pairs.len()).collect();
    let mut outcomes = on_all_cores(&places, line, |&at| {
        // Each job opens its own handle, because only one thread may read from a file.
        match open() {
            Ok(captured) => {
                let gram = async |gridded: &Gridded| device.gram(gridded).await;
                let mut outcome = pollster::block_on(plan.measure(at, &captured, inspection, gram));
                // With several threads this may be the time of another site. The report only uses the sum.
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

/// Plans which tensors are measured at which sites.
fn plan<S: ByteSource>(
    inspection: &Inspection,
    captured: &Captured<S>,
    site: Option<&str>,
) -> Result<Plan, ActivationsError> {
    let report = &inspection.report;
    let sites: Vec<&str> = report.norms.iter().map(|norm| norm.name.as_str()).collect();
    let chosen = site.and_then(|name| explain::find(report, name).ok());
    plan::plan(&sites, &captured.names(), chosen.map(|norm| norm.name.as_str()))
}

/// The outcome if the file disappeared during the measurement.
fn failed(message: String, activations: &Path) -> Outcome {
    let warning = Warning::new(WarningCode::NotMeasured, activations.to_string_lossy(), message);
    Outcome { site: None, warnings: vec![warning], unit_roundoff: 0.0, kernel_seconds: None }
}

/// Opens the chosen device. A missing device is an error here, because the user asked for it.
pub(crate) fn device(choice: args::Device) -> Result<GramDevice, String> {
    pollster::block_on(GramDevice::of(choice.wanted())).map_err(|error| error.to_string())
}

/// Does `work` for each of `jobs` on all cores and shows the progress. Results are in the order of the jobs.
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
    let written =
        if options.json { print_json(report) } else { table(&mut screen::stdout(), report, options.all) };
    leave(written, options.strict && !report.warnings.is_empty())
}

pub(crate) fn table(out: &mut Screen<impl Write>, report: &Report, all: bool) -> io::Result<()> {
    let Some(verification) = &report.verification else { return Ok(()) };
    let found = &verification.sites;
    let count = |verdict| found.iter().filter(|site| site.verdict == verdict).count();
    writeln!(
        out,
        "{}{} measured on {} tokens or more (n/d {:.1}): {} subtract the mean, {} do not, {} inconclusive{:#}",
        summary::STRONG,
        sites(found.len()),
        verification.tokens,
        verification.width_ratio,
        count(MeasuredVerdict::MeanSubtracting),
        count(MeasuredVerdict::NotMeanSubtracting),
        count(MeasuredVerdict::Inconclusive),
        summary::STRONG,
    )?;
    let mut grid = Grid::new(
        "norm site",
        &[
            text("verdict", 0),
            grid::number("depth^", 1),
            grid::number("|cos^|", 2),
            grid::number("depth", 5),
            grid::number("|cos|", 6),
            grid::number("sin ≤", 7),
            grid::number("gap", 8),
            grid::number("Schur", 9),
            grid::number("null", 10),
            grid::number("below τ", 3),
            grid::number("predicted", 4),
            grid::number("n/d", 11),
        ],
    );
    let predicted = |name: &str| {
        let norm = report.norms.iter().find(|norm| norm.name == name);
        norm.and_then(|norm| norm.kernel.predicted_below_tau).map(u64::from)
    };
    let names: Vec<String> = found.iter().map(|site| summary::printable(&site.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for row in like::rows(&names, |at| (found[at].verdict.words(), found[at].width), all) {
        let over = |of: fn(&SiteVerification) -> Option<f64>, write: fn(f64) -> String| {
            like::range(row.places.iter().map(|&at| of(&found[at])), write)
        };
        let cells = vec![
            found[row.places[0]].verdict.words().to_owned(),
            over(|site| site.depth_scale_free, exponent),
            over(|site| site.cos_scale_free, six_places),
            over(|site| Some(site.depth), exponent),
            over(|site| site.cos, six_places),
            over(|site| site.sin_bound, exponent),
            over(|site| site.gap, exponent),
            over(|site| site.schur, |schur| format!("{schur:.3}")),
            over(|site| Some(site.schur_null), |null| format!("{null:.2}")),
            like::counts(row.places.iter().map(|&at| found[at].below_tau.map(u64::from))),
            like::counts(row.places.iter().map(|&at| predicted(&found[at].name))),
            over(|site| Some(site.tokens as f64 / site.width as f64), |ratio| format!("{ratio:.1}")),
        ];
        grid.row(row.name, cells);
    }
    grid.write(out)?;
    writeln!(
        out,
        "\nThe verdict uses depth^ and |cos^|, which are those of the normalised input and do not depend on the scale. Below τ: directions with less than 1e-6 of the mean variance, measured and predicted from the scale alone."
    )?;
    for site in found {
        for note in &site.notes {
            writeln!(out, "  {}: {}", summary::printable(&site.name), summary::printable(note))?;
        }
    }
    report.warnings.iter().try_for_each(|warning| summary::warning(out, warning))?;
    writeln!(out, "{}{}{:#}", summary::QUIET, summary::printable(&report.model.sentence), summary::QUIET)
}

/// Formats a depth, a bound or a gap.
pub(crate) fn exponent(value: f64) -> String {
    format!("{value:.1e}")
}

/// Formats a |cos| with enough digits to tell 1 from almost 1.
pub(crate) fn six_places(value: f64) -> String {
    format!("{value:.6}")
}

/// Formats a depth, a bound or a gap, if there is one.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or(ABSENT.to_owned(), |value| format!("{value:.2e}"))
}

/// Formats a |cos|, if there is one.
pub(crate) fn cosine(value: Option<f64>) -> String {
    value.map_or(ABSENT.to_owned(), six_places)
}

fn sites(count: usize) -> String {
    if count == 1 { "1 site".to_owned() } else { format!("{count} sites") }
}
