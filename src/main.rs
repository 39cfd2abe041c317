//! The program: hands the arguments to `app` and turns its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    rillcast::app::run(std::env::args_os().skip(1))
}
