//! `gammascope export`: kernel directions in a file.

use super::args::{Export, ExportFormat};
use super::{UNREADABLE, USAGE, complain, explain, leave, open, output, progress, screen, summary};
use gammascope::export::{ExportError, json, kernels, safetensors};
use gammascope::inspect::Inspection;
use gammascope::report::KernelForm;
use gammascope::report::kernels::{KernelExport, SCHEMA};
use std::io::Write;
use std::process::ExitCode;

pub(crate) fn run(options: &Export) -> ExitCode {
    // Both formats name their schema.
    if let Some(message) = output::refusal(&options.output, SCHEMA, "earlier export") {
        return complain(&message, USAGE);
    }
    let mut line = progress::Line::new();
    let opened = open::at(&options.paths, &options.reading, &mut line);
    line.clear();
    let inspection = match opened {
        Ok(opened) => opened.inspection,
        Err(message) => return complain(&message, UNREADABLE),
    };
    let mut names = Vec::new();
    for site in &options.sites {
        match explain::find(&inspection.report, site) {
            Ok(norm) => names.push(norm.name.as_str()),
            Err(message) => return complain(&message, USAGE),
        }
    }
    let chosen = (!names.is_empty()).then_some(names.as_slice());
    let written = kernels(&inspection, chosen).and_then(|export| Ok((bytes(&export, options)?, export)));
    match written {
        Ok((bytes, export)) => match output::write(&options.output, &bytes) {
            Ok(()) => show(&inspection, &export, options),
            Err(message) => complain(&message, UNREADABLE),
        },
        Err(error) => complain(&error.to_string(), UNREADABLE),
    }
}

fn bytes(export: &KernelExport, options: &Export) -> Result<Vec<u8>, ExportError> {
    let is_json = options.output.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    match options.format.unwrap_or(if is_json { ExportFormat::Json } else { ExportFormat::Safetensors }) {
        ExportFormat::Safetensors => safetensors(export),
        ExportFormat::Json => json(export),
    }
}

fn show(inspection: &Inspection, export: &KernelExport, options: &Export) -> ExitCode {
    let report = &inspection.report;
    let count = |form| export.sites.iter().filter(|site| site.form == form).count();
    let mut out = screen::stdout();
    let mut write = || {
        writeln!(
            out,
            "{}: {} kernel directions, {} sites with zero channels, of the {} norm sites of {}",
            summary::printable(&options.output.to_string_lossy()),
            count(KernelForm::InverseScale),
            count(KernelForm::Coordinates),
            report.norms.len(),
            summary::printable(&export.checkpoint)
        )?;
        report.warnings.iter().try_for_each(|warning| summary::warning(&mut out, warning))
    };
    leave(write(), options.strict && !report.warnings.is_empty())
}
