//! A program of the user's that says whether a release works.

use std::io;
use std::process::Command;

use super::{Answer, Candidate};
use crate::bisect::Tried;
use crate::command::Failure;

/// The exit code that says that nothing can be said, as `git bisect run` has it.
const CANNOT_TELL: i32 = 125;

/// Runs the program for a release.
pub(super) fn ask(program: &str, candidate: &Candidate<'_>) -> Result<Answer, Failure> {
    let worker: Vec<String> = candidate.command.iter().map(|word| quoted(word)).collect();
    let status = shell(program)
        .env("INTACT_RELEASE", &candidate.release.tag)
        .env("INTACT_RELEASE_WORKER", worker.join(" "))
        .status()
        .map_err(no_shell)?;
    let (tried, evidence) = match status.code() {
        Some(0) => (Tried::Good, "exit code 0".to_owned()),
        Some(CANNOT_TELL) => (Tried::Skipped, "exit code 125".to_owned()),
        Some(code) if code < 128 => (Tried::Bad, format!("exit code {code}")),
        // As git has it: what is killed says nothing of a release.
        _ => return Err(Failure::setup(format!("the command was ended: {status}"))),
    };
    Ok(Answer { tried, evidence })
}

/// What the system's shell makes of a line.
pub(super) fn shell(line: &str) -> Command {
    let (program, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(program);
    shell.args([option, line]);
    shell
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn no_shell(error: io::Error) -> Failure {
    Failure::setup(format!("no shell could be started: {error}"))
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:@,+".contains(character);
    if word.chars().all(is_plain) && !word.is_empty() {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
