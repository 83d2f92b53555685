//! The project of the user guide, in a folder of its own: a stand-in for a chat system, judged in seconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Variables that change what the command does.
const VARIABLES: [&str; 7] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITHUB_STEP_SUMMARY",
    "INTACT_ARTIFACTS",
    "INTACT_PLAN",
    "INTACT_PROFILE",
    "INTACT_WORKER",
];

/// The project, as `intact init --example` makes it.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Command::new(env!("CARGO_BIN_EXE_intact"))
            .args(["init", "--example"])
            .arg(folder.path())
            .output()
            .expect("the command runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in the project's folder, with `intact` in its search path.
    pub(crate) fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
        let search = std::env::var("PATH").expect("a search path");
        let mut command = Command::new(program);
        VARIABLES.iter().for_each(|variable| {
            command.env_remove(variable);
        });
        command.current_dir(self.folder.path()).env("PATH", format!("{}:{search}", own.display()));
        command.env("NO_COLOR", "1").env("INTACT_HOME", self.path("home"));
        command
    }
}
