//! The intact command: does a saved chat session come back intact?
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

use std::process::ExitCode;

fn main() -> ExitCode {
    intact_harness::command::main()
}
