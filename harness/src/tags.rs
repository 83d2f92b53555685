//! Workers for many llama.cpp releases: which releases there are, and how a worker is built against one.
//!
//! A Rust program links one llama.cpp only, so every release gets a worker of its own, compiled from the same sources
//! with `llama-cpp-sys-2` pinned to the version that vendors the release. All of that lives in a cache folder outside
//! the checkout: `$INTACT_HOME/tags`.

mod compile;
mod log;
mod manifest;
mod probe;
mod release;
mod workspace;

use std::path::{Path, PathBuf};

pub use compile::{BuildError, Builder, Built, Progress};
pub use probe::{ProbeError, Probed, probe};
pub use release::{Release, UnknownTag, releases, select};
pub use workspace::WorkspaceError;

/// The folder that workers are built in unless told otherwise: `$INTACT_HOME/tags`, else `~/.cache/intact/tags`. `None`
/// where no home folder is known.
#[must_use]
pub fn default_home() -> Option<PathBuf> {
    crate::home::folder("tags")
}

/// The worker of a release under `home`, where one was built.
#[must_use]
pub fn built_worker(home: &Path, release: &Release) -> Option<PathBuf> {
    let worker = worker_path(home, release);
    worker.is_file().then_some(worker)
}

fn worker_path(home: &Path, release: &Release) -> PathBuf {
    home.join(&release.tag).join(format!("intact-worker{}", std::env::consts::EXE_SUFFIX))
}
