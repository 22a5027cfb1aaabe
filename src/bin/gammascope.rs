//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    gammascope::terminal::main(std::env::args_os().collect())
}
