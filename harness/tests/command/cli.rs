//! Runs the command.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// What the command said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `intact` with these arguments.
pub(crate) fn intact<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Said {
    let command = Command::new(env!("CARGO_BIN_EXE_intact")).args(arguments).env("NO_COLOR", "1").output();
    said(&command.expect("the command runs"))
}

/// What a process said that has ended.
pub(crate) fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the command speaks UTF-8");
    let code = output.status.code().expect("the command ends by itself");
    Said { code, out: text(&output.stdout), err: text(&output.stderr) }
}
