//! Workers for many llama.cpp releases: which releases there are, and how a worker is built against one.
//!
//! There are two ways. A worker without llama.cpp inside opens the libraries of a release that somebody else has built:
//! seconds and some megabytes; they are fetched from where others put them (`source`), or come from a folder (`added`), and what
//! nobody listed is asked how it lays out its states (`specimen`). Or a worker is compiled from the same sources with `llama-cpp-sys-2` pinned to the version
//! that vendors the release, since a Rust program links one llama.cpp only: that is the reference. All of it lives in a cache
//! folder outside the checkout: `$INTACT_HOME/tags`.

mod added;
mod archive;
mod compile;
mod library;
mod log;
mod manifest;
mod opened;
mod probe;
mod release;
mod source;
mod specimen;
mod workspace;

use std::path::{Path, PathBuf};

use intact_base::tool;

pub use added::{AddError, Addition, add, fetch_unlisted, remove};
pub use archive::ArchiveError;
pub use compile::{BuildError, Builder, Built, Progress};
pub(crate) use library::hash;
pub use library::{FetchError, Pin, fetch, fetched_library};
pub(crate) use opened::{Opening, opened};
pub(crate) use probe::carried_out_within;
pub use probe::{ProbeError, Probed, probe, started};
pub use release::{Release, UnknownTag, known, releases, select};
pub use source::OFFICIAL;
pub(crate) use specimen::{Way, written};
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

/// The command line of a release's worker, without what it is to do: the one that was built, else the one that opens the
/// libraries that were fetched. `None` where there is neither.
#[must_use]
pub fn worker_command(home: &Path, release: &Release) -> Option<Vec<String>> {
    if let Some(built) = built_worker(home, release) {
        return Some(vec![built.display().to_string()]);
    }
    loaded_command(home, release)
}

/// The command line of a worker for where none is linked: it opens the newest release whose libraries were fetched.
#[must_use]
pub fn standby(home: &Path) -> Option<Vec<String>> {
    releases().iter().rev().find_map(|release| loaded_command(home, release))
}

fn loaded_command(home: &Path, release: &Release) -> Option<Vec<String>> {
    let mut command = library_command(home, release)?;
    let library = fetched_library(home, release)?;
    command.extend(kernels(&library));
    Some(command)
}

/// The command line of a worker that computes on one backend of a release's libraries. `None` where these are not here; whether
/// the backend is, the worker says.
#[must_use]
pub fn backend_command(home: &Path, release: &Release, backend: &str) -> Option<Vec<String>> {
    let mut command = library_command(home, release)?;
    command.extend(["--backend".to_owned(), backend.to_owned()]);
    // A device computes the layers, and the processor what is left.
    if !is_processor(backend) {
        command.extend(processor(&fetched_library(home, release)?));
    }
    Some(command)
}

/// Whether a backend is one of the processor's.
fn is_processor(backend: &str) -> bool {
    backend == PLAIN || backend.starts_with("cpu-")
}

/// What chooses the processor's backend beside a device's: the one that releases are compared on, or the only one.
fn processor(library: &Path) -> Vec<String> {
    let compared = kernels(library);
    if compared.is_empty() && has_backend(library, PLAIN) {
        return vec!["--backend".to_owned(), PLAIN.to_owned()];
    }
    compared
}

/// The processor's backend in libraries that have one for all kinds of processors.
const PLAIN: &str = "cpu";

fn library_command(home: &Path, release: &Release) -> Option<Vec<String>> {
    let library = fetched_library(home, release)?;
    let worker = if release.opener.is_empty() { loading_worker()? } else { release.opener.clone() };
    let layout = (!release.is_listed()).then_some(release.layout.as_str());
    Some(opening(&worker, &library, &release.tag, layout))
}

/// Name of the layout of states that none is known of.
const UNKNOWN: &str = "unknown";

/// The command line of the worker that opens a library, which is called this here. `layout` is that of its states, where its
/// name does not say it.
fn opening(worker: &[String], library: &Path, name: &str, layout: Option<&str>) -> Vec<String> {
    let mut command = worker.to_vec();
    command.extend([
        "--libllama".to_owned(),
        library.display().to_string(),
        "--release".to_owned(),
        name.to_owned(),
    ]);
    if let Some(layout) = layout {
        command.extend(["--layout".to_owned(), layout.to_owned()]);
    }
    command
}

/// What chooses the backend that releases are compared on, where a library has it.
fn kernels(library: &Path) -> Vec<String> {
    let found = KERNELS.iter().find(|backend| has_backend(library, backend)).into_iter();
    found.flat_map(|backend| ["--backend".to_owned(), (*backend).to_owned()]).collect()
}

fn has_backend(library: &Path, backend: &str) -> bool {
    let name = format!("{}ggml-{backend}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    library.join(name).is_file()
}

/// The backends that compute as the workers do that are compiled here, best first: two releases that chose their kernels
/// themselves would differ by what they chose.
const KERNELS: &[&str] = if cfg!(target_arch = "x86_64") { &["cpu-haswell"] } else { &[] };

/// The worker that opens libraries: it lies beside this program.
fn loading_worker() -> Option<Vec<String>> {
    tool::beside("intact-worker-loaded").map(|worker| vec![worker.display().to_string()])
}

fn worker_path(home: &Path, release: &Release) -> PathBuf {
    home.join(&release.tag).join(format!("intact-worker{}", std::env::consts::EXE_SUFFIX))
}
