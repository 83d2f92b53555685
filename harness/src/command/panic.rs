//! A defect of ours must look like one: a short note and an exit code of its own, never a bare panic message.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::process;

use crate::exit::Exit;
use crate::text;

/// From now on a panic on any thread ends the process with [`Exit::NoVerdict`].
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        let _ = writeln!(std::io::stderr(), "{}", text::shown(&note(&message(info), &place(info))));
        process::exit(Exit::NoVerdict.code().into());
    }));
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
        let told = note("index out of bounds", "harness/src/judge.rs:7");
        for part in ["no verdict", "index out of bounds", "judge.rs:7", "report it"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
