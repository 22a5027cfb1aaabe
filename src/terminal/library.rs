//! Commands as functions, for programs that contain the terminal. They take the same arguments and do the same, and return the
//! inspection instead of printing it. An error is the sentence that the terminal prints.

use super::args::{self, Command, Device};
use super::{measure, open, progress, share};
use gammascope::inspect::Inspection;
use gammascope::measure::activations::{ActivationsError, Captured};
use gammascope::report::{NormReport, Report};
use gammascope::share::{Choice, html};
use gammascope::source::ByteSource;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Inspects a checkpoint. `arguments` are those of `gammascope inspect`, without these two words.
pub fn inspect(arguments: Vec<OsString>) -> Result<Inspection, String> {
    let words = ["gammascope", "inspect"].map(OsString::from);
    let parsed = args::parse(words.into_iter().chain(arguments).collect());
    match parsed.map_err(|error| error.to_string())?.command {
        Command::Inspect(options) => {
            let opened = open::at(&options.paths, &options.reading, &mut progress::Line::silent())?;
            Ok(opened.inspection)
        }
        _ => Err("these are not the arguments of `gammascope inspect`".to_owned()),
    }
}

/// Inspects the files of one checkpoint, wherever they are. Samples the weights too if they are `sampled`.
pub fn inspect_sources<S: ByteSource>(sources: Vec<S>, sampled: bool) -> Result<Inspection, String> {
    let mut line = progress::Line::silent();
    Ok(pollster::block_on(open::read(sources, sampled, &mut line))?.inspection)
}

/// Measures the norms of one checkpoint, on all cores, on the outputs that `captured` opens. It is called by several threads, as each
/// reads through its own handle. `name` is what the report calls the outputs.
pub fn measure_sources<S: ByteSource, C: ByteSource>(
    sources: Vec<S>,
    captured: impl Fn() -> Result<Captured<C>, ActivationsError> + Sync,
    name: &str,
) -> Result<Inspection, String> {
    let mut line = progress::Line::silent();
    let mut opened = open::inspected(sources, &mut line)?;
    let device = measure::device(Device::Cpu)?;
    let measured =
        measure::measured_in(&opened.inspection, captured, Path::new(name), None, &device, &mut line)?;
    let (verification, warnings) = measured.verification()?;
    opened.verify(verification, warnings);
    Ok(opened.inspection)
}

/// The site of this name, or the only one whose name ends with it.
pub fn site<'a>(report: &'a Report, name: &str) -> Result<&'a NormReport, String> {
    super::explain::find(report, name)
}

/// The report as `--json` prints it, with the line end.
pub fn json(report: &Report) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    super::write_json(&mut json, report)?;
    Ok(json)
}

/// The report as one HTML file. Without `names`, numbers replace the names of files, tensors and sites.
pub fn html(inspection: &Inspection, names: bool) -> Result<String, String> {
    html::document(inspection, Choice { names }, &share::now()).map_err(|error| error.to_string())
}
