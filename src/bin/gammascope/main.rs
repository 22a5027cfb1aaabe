//! The command line: the same library, a terminal instead of a page.

mod args;
mod files;
mod progress;
mod summary;

use args::{Arguments, Command, Inspect};
use clap::Parser;
use gammascope::inspect::{self, Inspection};
use std::io::Write;
use std::process::ExitCode;

/// Exit codes of the contract; 1 is clap's business.
const UNREADABLE: u8 = 2;
const WARNED: u8 = 3;
const USAGE: u8 = 1;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // A terminal that went away cannot be told anything.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match arguments.command {
        Command::Inspect(options) => inspect(&options),
    }
}

fn inspect(options: &Inspect) -> ExitCode {
    let mut line = progress::Line::new();
    let outcome = files::sources(&options.paths).and_then(|sources| {
        pollster::block_on(inspect::inspect(sources, |progress| line.show(progress)))
            .map_err(|error| error.to_string())
    });
    line.clear();
    match outcome {
        Ok(inspection) => show(&inspection, options),
        Err(message) => {
            anstream::eprintln!(
                "{}error:{} {}",
                summary::ERROR.render(),
                summary::ERROR.render_reset(),
                summary::printable(&message)
            );
            ExitCode::from(UNREADABLE)
        }
    }
}

fn show(inspection: &Inspection, options: &Inspect) -> ExitCode {
    let report = &inspection.report;
    let mut out = anstream::stdout().lock();
    let written = if options.json {
        serde_json::to_string_pretty(report)
            .map_err(std::io::Error::from)
            .and_then(|json| writeln!(out, "{json}"))
    } else {
        summary::write(&mut out, report, options.all)
    };
    // A reader that closes early (`| head`) has seen what it wanted.
    if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
        return ExitCode::from(UNREADABLE);
    }
    if options.strict && !report.warnings.is_empty() { ExitCode::from(WARNED) } else { ExitCode::SUCCESS }
}
