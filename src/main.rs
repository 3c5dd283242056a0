//! The meshwhy command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(meshwhy::cli::main())
}
