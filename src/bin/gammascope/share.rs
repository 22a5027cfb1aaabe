//! `gammascope share`: a link that holds the report, or one HTML file.

use crate::args::Share;
use crate::{UNREADABLE, USAGE, complain, leave, open, progress, summary};
use gammascope::inspect::Inspection;
use gammascope::share::{Choice, ShareError, Shared, html};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

/// Our own files say so within this many bytes.
const BEGINS: u64 = 4096;

pub(crate) fn run(options: &Share) -> ExitCode {
    if let Some(output) = options.html.as_deref().filter(|output| is_precious(output)) {
        let message = format!(
            "`{}` is there already and is no page of ours, so it is not overwritten; choose another name, or remove it first",
            output.display()
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
    let choice = Choice { names: !options.no_names };
    let made = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let done = match &options.html {
        Some(output) => write_html(&inspection, choice, &made, output),
        None => link(&inspection, choice, &made, options).map_err(|error| error.to_string()),
    };
    match done {
        Ok(text) => {
            let written = writeln!(anstream::stdout().lock(), "{text}");
            leave(written, options.strict && !inspection.report.warnings.is_empty())
        }
        Err(message) => complain(&message, UNREADABLE),
    }
}

fn link(inspection: &Inspection, choice: Choice, made: &str, options: &Share) -> Result<String, ShareError> {
    let fragment = Shared::new(inspection, choice, made)?.fragment()?;
    // Whatever fragment the page's address has gives way.
    let page = options.page.split('#').next().unwrap_or_default();
    Ok(format!("{page}{fragment}"))
}

fn write_html(inspection: &Inspection, choice: Choice, made: &str, output: &Path) -> Result<String, String> {
    let page = html::document(inspection, choice, made).map_err(|error| error.to_string())?;
    std::fs::write(output, &page)
        .map_err(|error| format!("`{}` cannot be written: {error}; check the folder", output.display()))?;
    Ok(format!("{}: {} kB", summary::printable(&output.to_string_lossy()), page.len().div_ceil(1000)))
}

/// Whether a file is there that is not one of ours: a slip must not cost anything.
fn is_precious(output: &Path) -> bool {
    let Ok(file) = File::open(output) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return false;
    }
    let mut first = Vec::new();
    let read = file.take(BEGINS).read_to_end(&mut first);
    read.is_err() || !String::from_utf8_lossy(&first).contains(html::GENERATOR)
}
