//! `gammascope measure`: every site of a file of activations, on all cores.

use crate::args::Measure;
use crate::{UNREADABLE, USAGE, WARNED, alone, complain, explain, files, progress, summary};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gammascope::device::Device;
use gammascope::inspect::{self, Opened};
use gammascope::report::{MeasuredVerdict, Report, SiteVerification, Warning};
use gammascope::source::disk::DiskSource;
use gammascope::verify::activations::{Activations, ActivationsError, Captured};
use gammascope::verify::gram::Gridded;
use gammascope::verify::measure::{Norm, measure};
use gammascope::verify::plan;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A site and its activations.
struct Job {
    site: usize,
    outputs: Activations,
    before_scale: Option<Activations>,
}

pub(crate) fn run(options: &Measure) -> ExitCode {
    let mut line = progress::Line::new();
    let opened = files::sources(&options.paths, &options.remote, &mut line).and_then(|sources| {
        let opening = inspect::open(sources, |progress| line.show(progress));
        pollster::block_on(opening).map_err(|error| error.to_string())
    });
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(message) => return complain(&message, UNREADABLE),
    };
    if let Some(name) = &options.site
        && let Err(message) = explain::find(&opened.inspection.report, name)
    {
        return complain(&message, USAGE);
    }
    let Some(activations) = &options.activations else { return alone::run(&opened, options, &mut line) };
    let began = Instant::now();
    let (jobs, mut warnings) = match jobs(&opened, activations, options) {
        Ok(jobs) => jobs,
        Err(error) => return complain(&error.to_string(), UNREADABLE),
    };
    let device = match device(options) {
        Ok(device) => device,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let (sites, failures) = measure_all(&opened, &jobs, &device, &mut line);
    line.clear();
    if sites.is_empty() {
        let why = failures.first().map_or("nothing was measured", |warning| warning.message.as_str());
        return complain(why, UNREADABLE);
    }
    warnings.extend(failures);
    warnings.extend(pollster::block_on(device.warning()));
    let coarsest = plan::coarsest(jobs.iter().map(|job| &job.outputs));
    let input = activations.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let verification =
        plan::verification(sites, coarsest, device.name(), input, began.elapsed().as_secs_f64());
    opened.verify(verification, warnings);
    show(&opened.inspection.report, options)
}

/// What is to be measured, and what of the file was left over.
fn jobs(
    opened: &Opened<files::Source>,
    activations: &Path,
    options: &Measure,
) -> Result<(Vec<Job>, Vec<Warning>), ActivationsError> {
    let report = &opened.inspection.report;
    let file = activations.to_string_lossy().into_owned();
    let source = DiskSource::open(activations, file.clone())?;
    let captured = pollster::block_on(Captured::open(source))?;
    let names = captured.names();
    let sites: Vec<&str> = report.norms.iter().map(|norm| norm.name.as_str()).collect();
    let chosen = options.site.as_deref().and_then(|name| explain::find(report, name).ok());
    let plan = plan::plan(&sites, &names, chosen.map(|norm| norm.name.as_str()))?;
    let mut jobs = Vec::new();
    for (site, tensor, before) in &plan.pairs {
        let outputs = pollster::block_on(captured.read(tensor))?;
        let before = before.as_deref().map(|before| pollster::block_on(captured.read(before)));
        jobs.push(Job { site: *site, outputs, before_scale: before.transpose()? });
    }
    Ok((jobs, plan.warnings()))
}

/// The device that was asked for; one that is not there is an error here, as it was asked for by name.
pub(crate) fn device(options: &Measure) -> Result<Device, String> {
    #[cfg(feature = "gpu")]
    if matches!(options.device, crate::args::Device::Gpu) {
        return pollster::block_on(Device::gpu()).map_err(|error| error.to_string());
    }
    let _ = options;
    Ok(Device::cpu())
}

/// Measures on all cores; a site that fails is a warning, and the others go on.
fn measure_all(
    opened: &Opened<files::Source>,
    jobs: &[Job],
    device: &Device,
    line: &mut progress::Line,
) -> (Vec<SiteVerification>, Vec<Warning>) {
    let inspection = &opened.inspection;
    let results = on_all_cores(jobs, line, |job| {
        let name = inspection.report.norms[job.site].name.as_str();
        let Some(scale) = &inspection.scales[job.site] else { return (job.site, Err(plan::no_scale(name))) };
        let norm = Norm { name, scale, shift: inspection.shifts[job.site].as_deref() };
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        let measured = pollster::block_on(measure(norm, &job.outputs, job.before_scale.as_ref(), gram));
        (job.site, measured.map_err(|error| error.to_string()))
    });
    let (mut sites, mut warnings) = (Vec::new(), Vec::new());
    for (site, result) in results {
        let name = &inspection.report.norms[site].name;
        match result {
            Ok(site) => sites.push(site),
            Err(message) => warnings.push(plan::not_measured(name, &message)),
        }
    }
    (sites, warnings)
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
    let written = if options.json {
        serde_json::to_string_pretty(report).map_err(io::Error::from).and_then(|json| writeln!(out, "{json}"))
    } else {
        table(&mut out, report)
    };
    if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        return ExitCode::from(UNREADABLE);
    }
    if options.strict && !report.warnings.is_empty() { ExitCode::from(WARNED) } else { ExitCode::SUCCESS }
}

fn table(out: &mut impl Write, report: &Report) -> io::Result<()> {
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
        "n/d",
    ]);
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
            format!("{:.1}", site.tokens as f64 / site.width as f64),
        ]);
    }
    align_numbers(&mut table, 2..=10);
    writeln!(out, "\n{}", table.trim_fmt())?;
    writeln!(
        out,
        "\ndepth^ and |cos^| are those of the normalised input, which no scale can fool: the verdict rests on them."
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
