//! The program `hearthkeep`: parses arguments, turns an error into a sentence and an exit code.

use std::process::ExitCode;

use clap::Parser;
use hearthkeep::cli;

fn main() -> ExitCode {
    match cli::main(cli::Arguments::parse()) {
        Ok(status) => ExitCode::from(status as u8),
        Err(failure) => {
            eprintln!("hearthkeep: {}", failure.sentence);
            ExitCode::from(failure.status as u8)
        }
    }
}
