//! A defect of ours must look like one: a short note and an exit code of its own, never a bare panic message.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::process;

use crate::exit::Exit;

/// How the standard library begins when `println!` cannot write.
const UNPRINTED: &str = "failed printing to";

/// From now on a panic on any thread ends the process with [`Exit::NoVerdict`].
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        let (told, exit) = verdict(&message(info), &place(info));
        if let Some(told) = told {
            let _ = writeln!(std::io::stderr(), "{told}");
        }
        process::exit(exit.code().into());
    }));
}

/// What a panic means. Output that nobody takes is no defect: a reader that closed the pipe has seen enough.
fn verdict(message: &str, place: &str) -> (Option<String>, Exit) {
    match message.strip_prefix(UNPRINTED) {
        Some(why) if why.contains("Broken pipe") => (None, Exit::Fine),
        Some(why) => (Some(format!("the output could not be written:{why}")), Exit::SetUp),
        None => (Some(note(message, place)), Exit::NoVerdict),
    }
}

fn note(message: &str, place: &str) -> String {
    format!(
        "intact stopped on a defect of its own, so there is no verdict.\n  \
         what:  {message}\n  where: {place}, intact {}\n  \
         please report it with these lines and the command that you ran",
        env!("CARGO_PKG_VERSION")
    )
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").lines().next().unwrap_or_default().to_owned()
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_is_told_with_what_where_and_what_to_do() {
        let (told, exit) = verdict("index out of bounds", "harness/src/judge.rs:7");
        let told = told.expect("a note");
        for part in ["no verdict", "index out of bounds", "judge.rs:7", "report it"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(exit, Exit::NoVerdict);
    }

    #[test]
    fn output_that_cannot_be_written_is_no_defect() {
        let closed = verdict("failed printing to stdout: Broken pipe (os error 32)", "");
        assert_eq!(closed, (None, Exit::Fine));
        let (told, exit) = verdict("failed printing to stdout: No space left on device (os error 28)", "");
        assert_eq!(
            told.as_deref(),
            Some("the output could not be written: stdout: No space left on device (os error 28)")
        );
        assert_eq!(exit, Exit::SetUp);
    }
}
