//! Building the worker of one release with cargo, in the cache folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use intact_format::regular;
use thiserror::Error;

use super::workspace::{Sources, WorkspaceError};
use super::{Release, log, worker_path};
use crate::files::{lock_file, write_whole};

/// Builds workers in one cache folder.
#[derive(Debug, Clone)]
pub struct Builder {
    /// The cache folder: [`super::default_home`].
    pub home: PathBuf,
    /// The checkout that the worker's sources are in.
    pub checkout: PathBuf,
    /// Compilers at a time; `None` means one for each core.
    pub jobs: Option<usize>,
}

/// A worker that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The worker.
    pub worker: PathBuf,
    /// Was anything compiled? Not where sources, packages and compiler are those of the last build.
    pub compiled: bool,
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files of llama.cpp compiled.
    pub compiled: usize,
    /// Files of llama.cpp to compile; 0 until that is known.
    pub files: usize,
}

/// Why a worker could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Its sources could not be laid out.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// Something in the cache folder could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The release's folder in the cache folder is somebody else's.
    #[error("{} is neither empty nor the folder of a release's worker: nothing in it was changed", .0.display())]
    Foreign(PathBuf),
    /// cargo did not start.
    #[error("cargo does not start: {0}; install Rust as on https://rustup.rs")]
    NoCargo(io::Error),
    /// It does not compile.
    #[error("{tag} does not compile; the whole log is {log}\n{essence}", log = .log.display())]
    Failed {
        /// The release.
        tag: String,
        /// cargo's output.
        log: PathBuf,
        /// The lines of it that matter.
        essence: String,
    },
}

/// The first `llama-cpp-sys-2` 0.1.x that does not let llama.cpp tune itself for this very processor. The ones before hear
/// of no setting but CMake's own toolchain file.
const FIRST_PORTABLE: u32 = 124;

/// Name of that file in a release's folder.
const TOOLCHAIN: &str = "portable.cmake";

/// Name of the folder in it that its worker is compiled in.
const WORKSPACE: &str = "sources";

/// Name of the file that a release's folder has from the beginning, and nothing is in.
const LOCK: &str = "lock";

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(500);

impl Builder {
    /// Builds the worker of a release, or finds that it is up to date. `progress` is called a few times a second while
    /// something is compiled.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(&self, release: &Release, progress: &mut dyn FnMut(Progress)) -> Result<Built, BuildError> {
        let (folder, _held) = self.hold(release)?;
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };

        let sources = Sources::read(&self.checkout, release)?;
        let environment = environment(release, &folder);
        let (stamp_file, stamp) = (folder.join("stamp"), stamp(&sources, &environment)?);
        let worker = worker_path(&self.home, release);
        if worker.is_file() && regular::read_text(&stamp_file).is_ok_and(|last| last == stamp) {
            return Ok(Built { worker, compiled: false });
        }

        let workspace = folder.join(WORKSPACE);
        sources.write(&workspace)?;
        self.forget_other_environment(release, &workspace, &environment)?;
        let log = folder.join("log");
        let output = File::create(&log).map_err(in_file(&log))?;
        if !self.run_cargo(release, &workspace, &environment, output, progress)? {
            let essence =
                log::essence(&String::from_utf8_lossy(&regular::read(&log).map_err(in_file(&log))?));
            return Err(BuildError::Failed { tag: release.tag.clone(), log, essence });
        }
        let fresh = self.target(release).join("debug").join(worker.file_name().unwrap_or_default());
        // Renamed over the old one, which a run may be using: it cannot be written to then.
        let beside = worker.with_extension("new");
        fs::copy(&fresh, &beside).map_err(in_file(&fresh))?;
        fs::rename(&beside, &worker).map_err(in_file(&worker))?;
        write_whole(&stamp_file, stamp).map_err(in_file(&stamp_file))?;
        Ok(Built { worker, compiled: true })
    }

    /// Lays out what a release's worker is compiled from, and compiles nothing. Gives the folder of that workspace.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn lay_out(&self, release: &Release) -> Result<PathBuf, BuildError> {
        let (folder, _held) = self.hold(release)?;
        let workspace = folder.join(WORKSPACE);
        Sources::read(&self.checkout, release)?.write(&workspace)?;
        Ok(workspace)
    }

    /// Makes the folder of a release, and keeps others out of it for as long as the file is open.
    fn hold(&self, release: &Release) -> Result<(PathBuf, File), BuildError> {
        let folder = self.home.join(&release.tag);
        let lock = folder.join(LOCK);
        let failed = |path: &Path, source| BuildError::Io { path: path.to_owned(), source };
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        if !is_ours(&folder).map_err(|error| failed(&folder, error))? {
            return Err(BuildError::Foreign(folder));
        }
        let held = lock_file(&lock).and_then(|file| file.lock().map(|()| file));
        Ok((folder, held.map_err(|error| failed(&lock, error))?))
    }

    /// Each release has its own: cargo tells the crates of two workspaces apart by their paths inside them, so in a shared
    /// one the crates of two releases would pass for each other.
    fn target(&self, release: &Release) -> PathBuf {
        self.home.join(&release.tag).join("target")
    }

    /// cargo does not notice that llama.cpp was compiled in another environment, and CMake keeps what it was told first.
    fn forget_other_environment(
        &self,
        release: &Release,
        workspace: &Path,
        environment: &[(&str, String)],
    ) -> Result<(), BuildError> {
        let (folder, target) = (self.home.join(&release.tag), self.target(release));
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };
        let toolchain = folder.join(TOOLCHAIN);
        fs::write(&toolchain, "set(GGML_NATIVE OFF CACHE BOOL \"\")\n").map_err(in_file(&toolchain))?;
        let told: String = environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let file = folder.join("environment");
        if regular::read_text(&file).is_ok_and(|last| last == told) {
            return Ok(());
        }
        if target.is_dir() {
            let mut clean = Command::new(cargo());
            clean.args(["clean", "--quiet", "--package", "llama-cpp-sys-2"]).current_dir(workspace);
            clean
                .env("CARGO_TARGET_DIR", &target)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            clean.status().map_err(BuildError::NoCargo)?;
        }
        fs::write(&file, told).map_err(in_file(&file))
    }

    fn run_cargo(
        &self,
        release: &Release,
        workspace: &Path,
        environment: &[(&'static str, String)],
        output: File,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool, BuildError> {
        let (started, target) = (SystemTime::now(), self.target(release));
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let jobs = self.jobs.unwrap_or(cores).max(1).to_string();
        let errors =
            output.try_clone().map_err(|source| BuildError::Io { path: workspace.to_owned(), source })?;
        let mut cargo = Command::new(cargo())
            .args(["build", "--package", "intact-worker", "--jobs", &jobs])
            .current_dir(workspace)
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never")
            .env("CMAKE_BUILD_PARALLEL_LEVEL", &jobs)
            .env("CCACHE_NOHASHDIR", "1")
            .env_remove("SOURCE_DATE_EPOCH")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(BuildError::NoCargo)?;
        let mut last = Instant::now();
        loop {
            match cargo.try_wait() {
                Ok(Some(status)) => return Ok(status.success()),
                Ok(None) => thread::sleep(TICK / 5),
                Err(source) => return Err(BuildError::Io { path: workspace.to_owned(), source }),
            }
            if last.elapsed() >= TICK {
                last = Instant::now();
                progress(progress_since(&target, started));
            }
        }
    }
}

/// Whether a folder is empty or was made for a release's worker.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let lock = folder.join(LOCK).symlink_metadata();
    Ok(lock.is_ok_and(|lock| lock.is_file() && lock.len() == 0) || fs::read_dir(folder)?.next().is_none())
}

/// Counts what the build of llama.cpp that was configured after `started` has compiled: cargo shows it as one step.
fn progress_since(target: &Path, started: SystemTime) -> Progress {
    let builds = fs::read_dir(target.join("debug/build")).into_iter().flatten().flatten();
    let current = builds
        .map(|entry| entry.path().join("out/build"))
        .filter_map(|build| {
            let commands = build.join("compile_commands.json");
            let configured = fs::metadata(&commands).and_then(|data| data.modified()).ok()?;
            (configured >= started).then_some((configured, build, commands))
        })
        .max_by_key(|(configured, ..)| *configured);
    let Some((_, build, commands)) = current else { return Progress { compiled: 0, files: 0 } };
    let files = regular::read_text(commands).map_or(0, |text| text.matches("\"file\":").count());
    Progress { compiled: objects_in(&build).min(files), files }
}

/// What a build depends on, as one line.
fn stamp(sources: &Sources, environment: &[(&str, String)]) -> Result<String, BuildError> {
    let compiler = Command::new(cargo()).arg("--version").output().map_err(BuildError::NoCargo)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&compiler.stdout);
    for (name, value) in environment {
        hasher.update(format!("{name}={value}\n").as_bytes());
    }
    sources.hash_into(&mut hasher);
    Ok(hasher.finalize().to_string())
}

/// What decides how llama.cpp is compiled: for every release as it is for the command's own worker, with the kernels that
/// llama.cpp's packages choose by default and not those for this very processor. Sessions would then differ by machine, or
/// by who compiled the worker, rather than by release.
fn environment(release: &Release, folder: &Path) -> Vec<(&'static str, String)> {
    let mut environment = vec![("LLAMA_LIB_PROFILE", "Release".to_owned())];
    if release.patch().is_some_and(|patch| patch < FIRST_PORTABLE) {
        environment.push(("CMAKE_TOOLCHAIN_FILE", folder.join(TOOLCHAIN).display().to_string()));
    }
    if is_on_path("ccache") {
        environment.push(("CMAKE_C_COMPILER_LAUNCHER", "ccache".to_owned()));
        environment.push(("CMAKE_CXX_COMPILER_LAUNCHER", "ccache".to_owned()));
    }
    environment
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn objects_in(folder: &Path) -> usize {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => objects_in(&entry.path()),
            _ => usize::from(entry.path().extension().is_some_and(|extension| extension == "o")),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::release::listed;
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let release = listed("b8783");
        let foreign = home.path().join("b8783/sources/engine/mine.rs");
        fs::create_dir_all(foreign.parent().expect("a folder")).expect("made");
        fs::write(&foreign, "mine").expect("written");
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let builder = Builder { home: home.path().to_owned(), checkout, jobs: Some(1) };
        let error = builder.build(release, &mut |_| {}).expect_err("somebody's");
        assert!(matches!(error, BuildError::Foreign(_)), "{error}");
        assert_eq!(fs::read(&foreign).expect("read"), b"mine");
        fs::write(home.path().join("b8783/lock"), "").expect("written");
        assert!(is_ours(&home.path().join("b8783")).expect("read"));
    }

    #[test]
    fn sources_are_laid_out_without_a_compiler() {
        let home = tempfile::tempdir().expect("a folder");
        let release = listed("b5686");
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let builder = Builder { home: home.path().to_owned(), checkout, jobs: None };
        let workspace = builder.lay_out(release).expect("laid out");
        let manifest = fs::read_to_string(workspace.join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("=0.1.109"), "{manifest}");
        assert!(workspace.join("harness/worker/src/main.rs").is_file());
        assert!(!home.path().join("b5686/target").exists());
    }

    #[test]
    fn releases_are_compiled_for_no_processor_in_particular() {
        for (tag, told) in [("b5686", true), ("b7119", false), ("0.6.0", false)] {
            let release = listed(tag);
            let environment = environment(release, Path::new("home"));
            let toolchain = environment.iter().find(|(name, _)| *name == "CMAKE_TOOLCHAIN_FILE");
            assert_eq!(toolchain.is_some(), told, "{tag}: {environment:?}");
            // With it, llama.cpp leaves out all instruction sets that a processor could lack, and not only the newest.
            assert!(environment.iter().all(|(name, _)| *name != "SOURCE_DATE_EPOCH"), "{tag}");
        }
    }
}
