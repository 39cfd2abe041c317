//! Builds all memory once, starts the tasks, waits.
//!
//! One function per command, each ending in an exit code: 0 done, 1 done and something was found
//! (`check`), 2 refused for a reason that a person can mend, which stands in one line on standard
//! error.

pub mod budget;
pub mod check;
pub mod cli;
pub mod offline;
pub mod relay;
pub mod supervisor;

use budget::Budget;
use cli::{CliError, Command};
use offline::Complaint;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Runs the program with `args` (without the program's own name).
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match Command::parse(args) {
        Ok(command) => command,
        Err(error) => return refused(&error),
    };
    match command {
        Command::Help(page) => print(format_args!("{page}")),
        Command::Version => print(format_args!("rillcast {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Budget { config } => print(format_args!("{}", Budget::of(&config))),
        Command::Serve { config, testcard } => match supervisor::serve(&config, testcard) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refused(&error),
        },
        Command::Segment { input, folder, config } => {
            match offline::segment(&input, &folder, &config) {
                Ok(report) => print(format_args!("{report}\n")),
                Err(fault) => refused(&Complaint { input: &input, fault: &fault }),
            }
        }
        Command::Push { input, target, fast } => match relay::push(&input, target, fast) {
            Ok(report) => print(format_args!("{report}\n")),
            Err(fault) => refused(&fault),
        },
        Command::Pull { target, output, seconds } => match relay::pull(target, output, seconds) {
            Ok(report) => print(format_args!("{report}\n")),
            Err(fault) => refused(&fault),
        },
        Command::Check { url, seconds } => {
            match check::check(&url, seconds, &mut io::stdout().lock()) {
                Ok(watched) if watched.is_clean() => ExitCode::SUCCESS,
                Ok(_) => ExitCode::FAILURE,
                Err(fault) => refused(&fault),
            }
        }
        Command::Testcard { output, seconds } => match offline::testcard(&output, seconds) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refused(&format_args!(
                "{}: {error}; choose another place for the file",
                output.display()
            )),
        },
    }
}

/// Prints to standard output.
fn print(text: core::fmt::Arguments<'_>) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says in one line why the program does not go on.
fn refused(reason: &dyn core::fmt::Display) -> ExitCode {
    // Nobody is left to tell when standard error is closed too.
    let _told = writeln!(io::stderr(), "rillcast: {reason}");
    ExitCode::from(CliError::EXIT_CODE)
}
