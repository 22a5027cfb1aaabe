//! `gammascope share`: a link that holds the report, or one HTML file.

use super::args::Share;
use super::{UNREADABLE, USAGE, complain, leave, open, output, progress, summary};
use gammascope::inspect::Inspection;
use gammascope::share::{Choice, ShareError, Shared, html};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

pub(crate) fn run(options: &Share) -> ExitCode {
    let refusal = |output: &Path| output::refusal(output, html::MARK, "earlier report");
    if let Some(message) = options.html.as_deref().and_then(refusal) {
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
    let made = now();
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

/// The time, as RFC 3339.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn link(inspection: &Inspection, choice: Choice, made: &str, options: &Share) -> Result<String, ShareError> {
    let fragment = Shared::new(inspection, choice, made)?.fragment()?;
    // The link's fragment replaces any fragment of the page's address.
    let page = options.page.split('#').next().unwrap_or_default();
    Ok(format!("{page}{fragment}"))
}

fn write_html(inspection: &Inspection, choice: Choice, made: &str, output: &Path) -> Result<String, String> {
    let page = html::document(inspection, choice, made).map_err(|error| error.to_string())?;
    output::write(output, page.as_bytes())?;
    Ok(format!("{}: {} kB", summary::printable(&output.to_string_lossy()), page.len().div_ceil(1000)))
}
