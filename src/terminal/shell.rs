//! `gammascope completions` and `gammascope man`: completion scripts and manual pages, made from the options themselves.

use super::args::{Arguments, Completions, Man};
use super::{USAGE, complain, leave};
use clap::CommandFactory;
use std::io::{self, Write};
use std::process::ExitCode;

/// Name of the program.
const NAME: &str = "gammascope";

/// Writes a completion script.
pub(crate) fn completions(options: &Completions) -> ExitCode {
    // The writer of clap_complete panics if the pipe is closed early.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), NAME, &mut script);
    leave(io::stdout().lock().write_all(&script), false)
}

/// Writes the manual page of the program, or of one of its commands.
pub(crate) fn man(options: &Man) -> ExitCode {
    let mut program = Arguments::command();
    program.build();
    let command = match &options.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                return complain(
                    &format!("there is no command `{name}`; `gammascope --help` lists them"),
                    USAGE,
                );
            }
        },
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    leave(rendered.and_then(|()| io::stdout().lock().write_all(&page)), false)
}
