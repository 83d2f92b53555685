//! Processes whose calls are written down.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::operation::Operation;

/// Names the operation to the process that is recorded.
pub(crate) const OPERATION: &str = "CRASH_OPERATION";
/// Names the folder to it, and to the recorder.
pub(crate) const ROOT: &str = "CRASH_ROOT";

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create { file: u64, path: PathBuf },
    Write { file: u64, offset: usize, bytes: Vec<u8> },
    Truncate { file: u64, length: usize },
    Flush { file: u64 },
    FlushFolder { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Link { file: u64, to: PathBuf },
    Remove { path: PathBuf },
    MakeFolder { path: PathBuf },
}

/// The library that is preloaded.
pub(crate) struct Recorder {
    folder: TempDir,
}

/// What a recorded process did.
pub(crate) struct Recorded {
    pub(crate) steps: Vec<Step>,
    /// Calls that could have failed.
    pub(crate) calls: usize,
    pub(crate) is_success: bool,
    pub(crate) output: String,
    pub(crate) has_failed_call: bool,
    /// The call that failed was one that removes something.
    pub(crate) failed_removal: bool,
}

impl Recorder {
    /// Compiles it with the compiler that llama.cpp needs too.
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/recorder.c");
        let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let built = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("recorder.so"))
            .arg(source)
            .args(["-lpthread"])
            .output()
            .unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { folder }
    }

    /// Carries an operation out. One call fails, where that is wanted.
    pub(crate) fn record(&self, operation: &Operation, root: &Path, fails: Option<(usize, i32)>) -> Recorded {
        let log = self.folder.path().join("log");
        let _ = fs::remove_file(&log);
        let mut command = match operation.command {
            Some(arguments) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
                command.args(arguments).current_dir(root).env_remove("CI");
                command
            }
            None => {
                let mut command = Command::new(env::current_exe().expect("this test"));
                command
                    .args(["--exact", "subject", "--ignored", "--nocapture"])
                    .env(OPERATION, operation.name);
                command
            }
        };
        command
            .env(ROOT, root)
            .env("CRASH_LOG", &log)
            .env("LD_PRELOAD", self.folder.path().join("recorder.so"));
        if let Some((call, error)) = fails {
            command.env("CRASH_FAIL", call.to_string()).env("CRASH_ERRNO", error.to_string());
        }
        let done = command.output().expect("started");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let mut lines = text.lines().filter(|line| !line.starts_with("failed\t"));
        let steps: Vec<Step> = lines.by_ref().map(step).collect();
        let output = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        Recorded {
            calls: steps.len(),
            steps,
            is_success: done.status.success(),
            output,
            has_failed_call: text.lines().any(|line| line.starts_with("failed\t")),
            failed_removal: text.lines().any(|line| line.starts_with("failed\tremove")),
        }
    }
}

/// Reads a line of the log.
fn step(line: &str) -> Step {
    let fields: Vec<&str> = line.split('\t').collect();
    let path = |at: usize| PathBuf::from(fields[at]);
    let file = || fields[1].parse().expect("a number");
    let number = |at: usize| fields[at].parse().expect("a number");
    match fields[0] {
        "create" => Step::Create { file: file(), path: path(2) },
        "write" => Step::Write { file: file(), offset: number(2), bytes: bytes(fields[3]) },
        "truncate" => Step::Truncate { file: file(), length: number(2) },
        "flush" => Step::Flush { file: file() },
        "folder" => Step::FlushFolder { path: path(2) },
        "rename" => Step::Rename { from: path(2), to: path(3) },
        "link" => Step::Link { file: file(), to: path(3) },
        "remove" => Step::Remove { path: path(2) },
        "mkdir" => Step::MakeFolder { path: path(2) },
        other => panic!("no step is called {other}"),
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("digits"))
        .collect()
}
