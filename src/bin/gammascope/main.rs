//! The command line: the same library, a terminal instead of a page.

mod alone;
mod args;
mod explain;
mod files;
mod measure;
mod progress;
mod summary;

use args::{Arguments, Command, Inspect};
use clap::Parser;
use gammascope::inspect::{self, Inspection};
use gammascope::source::ByteSource;
use gammascope::writer::sample::BUDGET;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;

/// Exit codes of the contract; 1 is clap's business.
pub(crate) const UNREADABLE: u8 = 2;
pub(crate) const WARNED: u8 = 3;
pub(crate) const USAGE: u8 = 1;

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
        Command::Measure(options) => measure::run(&options),
    }
}

fn inspect(options: &Inspect) -> ExitCode {
    let mut line = progress::Line::new();
    let outcome = files::sources(&options.paths, &options.remote, &mut line)
        .and_then(|sources| pollster::block_on(read(sources, options, &mut line)));
    line.clear();
    match outcome {
        Ok(inspection) => show(&inspection, options),
        Err(message) => complain(&message, UNREADABLE),
    }
}

/// Headers and norm tensors, then a sample of the weights unless that is refused.
async fn read(
    sources: Vec<files::Source>,
    options: &Inspect,
    line: &mut progress::Line,
) -> Result<Inspection, String> {
    // Behind an address the sample would take thousands of requests.
    let remote = sources.iter().any(|source| source.transfer().is_some());
    let mut opened =
        inspect::open(sources, |progress| line.show(progress)).await.map_err(|error| error.to_string())?;
    if !options.no_weights && !remote {
        let sampling = |progress| {
            line.show(progress);
            ControlFlow::Continue(())
        };
        let weights = opened.weigh(BUDGET, sampling).await;
        opened.take(weights);
    }
    Ok(opened.inspection)
}

pub(crate) fn complain(message: &str, code: u8) -> ExitCode {
    let (mark, plain) = (summary::ERROR.render(), summary::ERROR.render_reset());
    anstream::eprintln!("{mark}error:{plain} {}", summary::printable(message));
    ExitCode::from(code)
}

fn show(inspection: &Inspection, options: &Inspect) -> ExitCode {
    let report = &inspection.report;
    let mut out = anstream::stdout().lock();
    let written = if let Some(name) = &options.explain {
        match explain::find(report, name) {
            Ok(norm) => explain::write(&mut out, report, norm),
            Err(message) => return complain(&message, USAGE),
        }
    } else if options.json {
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
