//! `gammascope export`: kernel directions in a file.

use crate::args::{Export, ExportFormat};
use crate::{UNREADABLE, USAGE, complain, explain, leave, open, progress, summary};
use gammascope::export::{ExportError, json, kernels, safetensors};
use gammascope::inspect::Inspection;
use gammascope::report::KernelForm;
use gammascope::report::kernels::{KernelExport, SCHEMA};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Both formats name their schema within this many bytes.
const EXPORT_BEGINS: u64 = 4096;

pub(crate) fn run(options: &Export) -> ExitCode {
    if is_precious(&options.output) {
        let message = format!(
            "`{}` is there already and is no earlier export, so it is not overwritten; choose another name, or remove it first",
            options.output.display()
        );
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
        Ok((bytes, export)) => match std::fs::write(&options.output, bytes) {
            Ok(()) => show(&inspection, &export, options),
            Err(error) => complain(
                &format!("`{}` cannot be written: {error}; check the folder", options.output.display()),
                UNREADABLE,
            ),
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

/// Whether a file is there that is not one of ours: a slip must not cost a checkpoint.
fn is_precious(output: &Path) -> bool {
    let Ok(file) = File::open(output) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return false;
    }
    let mut first = Vec::new();
    let read = file.take(EXPORT_BEGINS).read_to_end(&mut first);
    read.is_err() || !String::from_utf8_lossy(&first).contains(SCHEMA)
}

fn show(inspection: &Inspection, export: &KernelExport, options: &Export) -> ExitCode {
    let report = &inspection.report;
    let count = |form| export.sites.iter().filter(|site| site.form == form).count();
    let mut out = anstream::stdout().lock();
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
