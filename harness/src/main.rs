//! The intact command: does a saved chat session come back intact?

use std::process::ExitCode;

fn main() -> ExitCode {
    intact_harness::command::main()
}
