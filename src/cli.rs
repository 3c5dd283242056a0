//! Flags and subcommands.

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::outputs::{Output, ndjson::Ndjson, text::Text};

#[derive(Parser)]
#[command(name = "meshwhy", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read saved logs and name the root causes.
    Replay {
        /// Output format.
        #[arg(long, value_enum, default_value = "text")]
        output: Format,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Ndjson,
}

/// Runs the program; returns its exit code.
pub fn main() -> u8 {
    let Command::Replay { output, paths } = Cli::parse().command;
    let mut output: Box<dyn Output> = match output {
        Format::Text => Box::new(Text),
        Format::Ndjson => Box::new(Ndjson),
    };
    match crate::run::replay(&paths, &mut *output, &mut io::stdout().lock()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("meshwhy: {error:#}");
            2
        }
    }
}
