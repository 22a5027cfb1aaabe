//! `gammascope measure --alone`: every norm on random inputs, as a LayerNorm and as an RMSNorm.

use crate::args::Measure;
use crate::files::File;
use crate::measure::{align_numbers, cosine, device, number, on_all_cores};
use crate::{UNREADABLE, complain, explain, leave, print_json, progress, summary};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
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

/// Measures the site that was named, or all.
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
    // The CPU went on without the GPU: the numbers stand, and it is said.
    failures.extend(pollster::block_on(device.warning()).map(|warning| warning.message));
    if measured.is_empty() {
        return complain(
            failures.first().map_or("there is no norm site to measure", String::as_str),
            UNREADABLE,
        );
    }
    for message in &failures {
        anstream::eprintln!("warning: {}", summary::printable(message));
    }
    let mut out = anstream::stdout().lock();
    let written = if options.json {
        let document =
            Document { schema: "gammascope.norm_alone/1", evidence_about_the_model: false, sites: &measured };
        print_json(&document)
    } else {
        table(&mut out, &measured)
    };
    leave(written, options.strict && !failures.is_empty())
}

fn table(out: &mut impl Write, sites: &[NormAlone]) -> io::Result<()> {
    writeln!(
        out,
        "{}The norms alone on random inputs, once as LayerNorms and once as RMSNorms: no evidence about the model{:#}",
        summary::STRONG,
        summary::STRONG,
    )?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "norm site",
        "run as",
        "depth^",
        "|cos^|",
        "depth",
        "|cos|",
        "sin ≤",
        "Schur",
        "null",
    ]);
    for site in sites {
        let kinds: [(&str, &SiteVerification); 2] =
            [("LayerNorm", &site.layernorm), ("RMSNorm", &site.rmsnorm)];
        for (kind, measured) in kinds {
            table.add_row([
                summary::printable(&site.name),
                kind.to_owned(),
                number(measured.depth_scale_free),
                cosine(measured.cos_scale_free),
                number(Some(measured.depth)),
                cosine(measured.cos),
                number(measured.sin_bound),
                measured.schur.map_or("–".to_owned(), |schur| format!("{schur:.3}")),
                format!("{:.2}", measured.schur_null),
            ]);
        }
    }
    align_numbers(&mut table, 2..=8);
    writeln!(out, "\n{}\n", table.trim_fmt())?;
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
