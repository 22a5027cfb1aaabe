//! `gammascope measure --alone`: every norm on random inputs, as a LayerNorm and as an RMSNorm.

use super::args::Measure;
use super::files::File;
use super::grid::{self, Grid, text};
use super::measure::{device, exponent, on_all_cores, six_places};
use super::screen::{self, Screen};
use super::{UNREADABLE, complain, explain, leave, like, print_json, progress, summary};
use gammascope::inspect::Opened;
use gammascope::measure::alone::alone;
use gammascope::measure::gram::Gridded;
use gammascope::measure::plan;
use gammascope::measure::site::Norm;
use gammascope::report::{NormAlone, SiteVerification};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    evidence_about_the_model: bool,
    sites: &'a [NormAlone],
}

/// Measures the named site, or all.
pub(crate) fn run(opened: &Opened<File>, options: &Measure, line: &mut progress::Line) -> ExitCode {
    let device = match device(options.device) {
        Ok(device) => device,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let (report, inspection) = (&opened.inspection.report, &opened.inspection);
    let chosen = options.site.as_deref().and_then(|name| explain::find(report, name).ok());
    let sites: Vec<(usize, Option<f64>)> = (0..report.norms.len())
        .filter(|&site| chosen.is_none_or(|chosen| chosen.name == report.norms[site].name))
        .map(|site| (site, opened.epsilon(site)))
        .collect();
    let results = on_all_cores(&sites, line, |&(site, epsilon)| {
        let name = report.norms[site].name.as_str();
        let scale = inspection.scales[site].as_ref().ok_or_else(|| plan::no_scale(name))?;
        let norm = Norm { name, scale, shift: inspection.shifts[site].as_deref() };
        let gram = async |gridded: &Gridded| device.gram(gridded).await;
        pollster::block_on(alone(norm, epsilon, gram)).map_err(|error| error.to_string())
    });
    line.clear();
    let (mut measured, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(site) => measured.push(site),
            Err(message) => failures.push(message),
        }
    }
    // The GPU failed and the CPU finished. The numbers are right, and a warning says what happened.
    failures.extend(pollster::block_on(device.warning()).map(|warning| warning.message));
    if measured.is_empty() {
        return complain(
            failures.first().map_or("there is no norm site to measure", String::as_str),
            UNREADABLE,
        );
    }
    for message in &failures {
        anstream::eprintln!("{}", screen::for_stderr(&format!("warning: {}", summary::printable(message))));
    }
    let written = if options.json {
        let document =
            Document { schema: "gammascope.norm_alone/1", evidence_about_the_model: false, sites: &measured };
        print_json(&document)
    } else {
        table(&mut screen::stdout(), &measured, options.all)
    };
    leave(written, options.strict && !failures.is_empty())
}

fn table(out: &mut Screen<impl Write>, sites: &[NormAlone], all: bool) -> io::Result<()> {
    writeln!(
        out,
        "{}The norms alone on random inputs, once as LayerNorms and once as RMSNorms: no evidence about the model{:#}",
        summary::STRONG,
        summary::STRONG,
    )?;
    let mut grid = Grid::new(
        "norm site",
        &[
            text("run as", 0),
            grid::number("depth^", 1),
            grid::number("|cos^|", 2),
            grid::number("depth", 4),
            grid::number("|cos|", 3),
            grid::number("sin ≤", 5),
            grid::number("Schur", 6),
            grid::number("null", 7),
        ],
    );
    let names: Vec<String> = sites.iter().map(|site| summary::printable(&site.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    type AsKind = fn(&NormAlone) -> &SiteVerification;
    let kinds: [(&str, AsKind); 2] =
        [("LayerNorm", |site| &site.layernorm), ("RMSNorm", |site| &site.rmsnorm)];
    for row in like::rows(&names, |at| sites[at].layernorm.width, all) {
        for (kind, measured) in kinds {
            let over = |of: fn(&SiteVerification) -> Option<f64>, write: fn(f64) -> String| {
                like::range(row.places.iter().map(|&at| of(measured(&sites[at]))), write)
            };
            let cells = vec![
                kind.to_owned(),
                over(|site| site.depth_scale_free, exponent),
                over(|site| site.cos_scale_free, six_places),
                over(|site| Some(site.depth), exponent),
                over(|site| site.cos, six_places),
                over(|site| site.sin_bound, exponent),
                over(|site| site.schur, |schur| format!("{schur:.3}")),
                over(|site| Some(site.schur_null), |null| format!("{null:.2}")),
            ];
            grid.row(row.name.clone(), cells);
        }
    }
    grid.write(out)?;
    writeln!(out)?;
    let fooled = sites.iter().filter(|site| site.rmsnorm.raw_test_fooled).count();
    match fooled {
        0 => writeln!(out, "The raw |cos| is reliable at all of them.")?,
        some => writeln!(
            out,
            "The raw |cos| misleads at {some} of {}: it is above 0.99 there for an RMSNorm too, because a scale is nearly off. depth^ is reliable.",
            sites.len()
        )?,
    }
    if let Some(site) = sites.iter().find(|site| !site.epsilon_configured) {
        writeln!(out, "No configuration names ε, so {:e} is used.", site.epsilon)?;
    }
    Ok(())
}
