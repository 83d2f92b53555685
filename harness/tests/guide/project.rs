//! The project of the user guide, in a folder of its own: a stand-in for a chat system, judged in seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where the guide is.
pub(crate) const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

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

/// A copy of the project.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["intact.toml", "expectations.toml"] {
            fs::copy(Path::new(DOCS).join("example").join(file), folder.path().join(file)).expect("copied");
        }
        fs::create_dir(folder.path().join("models")).expect("a folder");
        for model in ["small", "large"] {
            fs::write(folder.path().join(format!("models/{model}.gguf")), model).expect("written");
        }
        let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/exec/example.py");
        fs::copy(adapter, folder.path().join("adapter.py")).expect("copied");
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
