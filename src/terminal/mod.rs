//! The command line: the same library as the page's, for a terminal. The program and the Python package run [`main`]. [`library`] has
//! what the package calls besides.

mod adapter;
mod alone;
mod args;
mod check;
mod compare;
mod examples;
mod explain;
mod export;
mod files;
mod findings;
mod fold;
mod grid;
pub mod library;
mod like;
mod measure;
mod memory;
mod modulo_dead;
mod open;
mod output;
mod part_folder;
mod plan;
mod preservation;
mod progress;
mod prune;
mod random_init;
mod repair;
mod scan;
mod screen;
mod share;
mod shell;
mod summary;
mod table;
mod verify;

use args::{Command, Inspect};
use gammascope::inspect::Inspection;
use gammascope::report::words::plain_json;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Exit codes that users may rely on. clap uses 1.
pub(crate) const UNREADABLE: u8 = 2;
pub(crate) const WARNED: u8 = 3;
pub(crate) const DIFFERS: u8 = 4;
pub(crate) const BROKEN: u8 = 5;
pub(crate) const USAGE: u8 = 1;

/// Runs the program. `arguments` begins with its name, as the system gives them.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let code = run(arguments);
    // A process that is not Rust's own does not do it at its end. If the reader is gone, nobody misses the rest.
    let _ = io::stdout().flush();
    code
}

fn run(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match args::parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // If the terminal is gone, nobody can read the message.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    screen::set_wide(arguments.wide);
    match arguments.command {
        Command::Inspect(options) => inspect(&options),
        Command::Measure(options) => measure::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Fold(options) => fold::run(&options),
        Command::Adapter(options) => adapter::run(&options),
        Command::Scan(options) => scan::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Share(options) => share::run(&options),
        Command::Completions(options) => shell::completions(&options),
        Command::Man(options) => shell::man(&options),
    }
}

fn inspect(options: &Inspect) -> ExitCode {
    let mut line = progress::Line::new();
    let outcome = open::at(&options.paths, &options.reading, &mut line);
    line.clear();
    match outcome {
        Ok(opened) => show(&opened.inspection, options),
        Err(message) => complain(&message, UNREADABLE),
    }
}

pub(crate) fn complain(message: &str, code: u8) -> ExitCode {
    let (mark, plain) = (summary::ERROR.render(), summary::ERROR.render_reset());
    let message = screen::for_stderr(&format!("error: {}", summary::printable(message)));
    let message = message.trim_start_matches("error:");
    anstream::eprintln!("{mark}error:{plain}{message}");
    ExitCode::from(code)
}

fn show(inspection: &Inspection, options: &Inspect) -> ExitCode {
    let report = &inspection.report;
    let mut out = screen::stdout();
    let written = if let Some(name) = &options.explain {
        match explain::find(report, name) {
            Ok(norm) => explain::write(&mut out, report, norm),
            Err(message) => return complain(&message, USAGE),
        }
    } else if options.json {
        print_json(report)
    } else {
        summary::write(&mut out, report, options.all)
    };
    leave(written, options.strict && !report.warnings.is_empty())
}

/// Prints a value as indented JSON and a line end. `Plain` escapes terminal commands, so the output needs no filter for colours. It is
/// written in large pieces: the filter and a call per line took almost half the time of a large report.
pub(crate) fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    write_json(BufWriter::with_capacity(1 << 16, io::stdout().lock()), value)
}

fn write_json(out: impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let mut out = Plain(out);
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}

/// Takes JSON in pieces that end between characters, and escapes invisible characters.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(json) {
            Ok(text) if !json.is_ascii() || json.contains(&0x7f) => {
                self.0.write_all(plain_json(text).as_bytes())?;
            }
            _ => self.0.write_all(json)?,
        }
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The exit code after all output.
pub(crate) fn leave(written: io::Result<()>, warned: bool) -> ExitCode {
    // A reader that closes early (`| head`) has seen what it wanted.
    if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        return ExitCode::from(UNREADABLE);
    }
    if warned { ExitCode::from(WARNED) } else { ExitCode::SUCCESS }
}
