//! Runs the command.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

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

/// The worker beside the command. It is there where the whole workspace is tested; else it is built.
pub(crate) fn worker() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let beside = beside("intact-worker");
        if beside.is_file() { beside } else { built("intact-worker") }
    })
}

/// The worker that opens libraries. No test of a workspace builds it: it is the twin of another one.
pub(crate) fn loaded_worker() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("intact-worker-loaded"))
}

/// The fake worker, built where the command was.
pub(crate) fn fake_worker() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("intact-fake-worker"))
}

fn beside(program: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
    folder.join(format!("{program}{}", env::consts::EXE_SUFFIX))
}

fn built(program: &str) -> PathBuf {
    let there = beside(program);
    let target = there.parent().and_then(Path::parent).expect("a target folder");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", program, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    there
}

/// Copies a session file of a release, with its image, into a folder under this name; gives the session file.
pub(crate) fn golden_session(folder: &Path, name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases/b5686/q8_0");
    let session = folder.join(name).with_extension("json");
    for extension in ["json", "kv"] {
        let copied = fs::copy(golden.with_extension(extension), session.with_extension(extension));
        copied.expect("copied");
    }
    session
}

/// What was said, without the marks of its lines.
pub(crate) fn line(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}
