//! The subjects of a run: where their workers are, and what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use intact_protocol::Hello;

use super::{RunError, RunOptions};
use crate::config::Config;
use crate::recipe::Place;
use crate::results::{Part, ReleaseInfo, SubjectInfo};
use crate::tags::{self, Release};
use crate::worker::{Worker, WorkerError};

/// Name of the engine's worker program.
const WORKER: &str = "intact-worker";

/// The subjects of a run.
#[derive(Debug)]
pub(super) struct Subjects {
    infos: Vec<SubjectInfo>,
    releases: Vec<ReleaseInfo>,
    tags: Option<PathBuf>,
    timeout: Duration,
}

impl Subjects {
    /// The subjects as configured; no worker is started.
    pub(super) fn unasked(config: &Config, options: &RunOptions) -> Self {
        let worker = options.worker.as_deref();
        let infos = config.subjects.iter().map(|subject| SubjectInfo {
            name: subject.name.clone(),
            command: command(&subject.command, worker),
            part: subject.part,
            hello: None,
            problem: None,
        });
        Self {
            infos: infos.collect(),
            releases: Vec::new(),
            tags: options.tags.clone().or_else(tags::default_home),
            timeout: Duration::from_secs(config.run.timeout_seconds),
        }
    }

    /// Asks the built workers of these releases who they are, so that cells know which of them can take part.
    pub(super) fn reach(&mut self, wanted: &BTreeSet<&str>) {
        let known = tags::releases().iter().filter(|release| wanted.contains(release.tag.as_str()));
        self.releases = known.map(|release| self.reached(release)).collect();
    }

    fn reached(&self, release: &Release) -> ReleaseInfo {
        let info = |worker: Option<PathBuf>, problem| ReleaseInfo {
            release: release.tag.clone(),
            published: release.published.to_string(),
            layout: release.layout.clone(),
            note: release.note.clone(),
            worker,
            problem,
        };
        if self.infos.iter().any(|info| own_release(info) == Some(release.tag.as_str())) {
            return info(None, None);
        }
        let build = format!("build it with `intact tags build {}`", release.tag);
        let Some(worker) = self.tags.as_ref().and_then(|home| tags::built_worker(home, release)) else {
            let problem = format!("no worker is built for llama.cpp {}; {build}", release.tag);
            return info(None, Some(problem));
        };
        let problem = match Worker::start(&[worker.display().to_string()], self.timeout) {
            Ok((started, hello)) => {
                started.leave(self.timeout);
                let other = !release.is_called(&hello.release);
                other.then(|| format!("its worker says it is of llama.cpp {}; {build}", hello.release))
            }
            Err(error) => Some(format!("its worker cannot be used: {error}; {build}")),
        };
        info(Some(worker), problem)
    }

    /// Why a subject cannot take part with this release.
    pub(super) fn missing(&self, subject: &str, release: &str) -> Option<String> {
        if !self.is_older(subject, release) {
            return None;
        }
        let info = self.releases.iter().find(|info| info.release == release);
        info.map_or_else(
            || Some(format!("nothing is known of llama.cpp {release}")),
            |info| info.problem.clone(),
        )
    }

    /// Whether this release is another than that of the subject's configured worker.
    pub(super) fn is_older(&self, subject: &str, release: &str) -> bool {
        let info = self.infos.iter().find(|info| info.name == subject);
        info.and_then(own_release).is_some_and(|own| own != release)
    }

    /// The releases that sessions cross between: that of the configured workers, those in which something changed, and
    /// every other one that a worker is built for.
    pub(super) fn crossed(&self) -> Vec<String> {
        let newest = tags::releases().last().map(|release| release.tag.as_str());
        let own = self.infos.iter().find_map(own_release).or(newest).unwrap_or("unknown");
        let takes_part = |release: &&Release| {
            let is_built =
                || self.tags.as_ref().is_some_and(|home| tags::built_worker(home, release).is_some());
            release.tag != own && (release.telling || is_built())
        };
        let others = tags::releases().iter().filter(takes_part).map(|release| release.tag.clone());
        std::iter::once(own.to_owned()).chain(others).collect()
    }

    pub(super) fn release_infos(&self) -> Vec<ReleaseInfo> {
        self.releases.clone()
    }

    /// The subjects, each having passed the compliance probe.
    pub(super) fn start(config: &Config, options: &RunOptions) -> Result<Self, RunError> {
        let mut subjects = Self::unasked(config, options);
        for info in &mut subjects.infos {
            let (worker, hello) = Worker::start(&info.command, subjects.timeout).map_err(|error| {
                let reason = match error {
                    WorkerError::Spawn { .. } => format!(
                        "{error}. Build the worker with `cargo build -p {WORKER}`, or say where it is with `--worker`"
                    ),
                    _ => error.to_string(),
                };
                RunError::Subject { name: info.name.clone(), reason }
            })?;
            worker.leave(subjects.timeout);
            info.hello = Some(hello);
        }
        Ok(subjects)
    }

    /// Starts a worker of a subject as its place says.
    pub(super) fn worker(&self, name: &str, place: &Place) -> Result<(Worker, Hello), WorkerError> {
        let info = self.infos.iter().find(|info| info.name == name);
        let mut command = info.map(|info| info.command.clone()).unwrap_or_default();
        let release = self.releases.iter().find(|info| Some(&info.release) == place.release.as_ref());
        if let (Some(program), Some(built)) =
            (command.first_mut(), release.and_then(|info| info.worker.as_ref()))
        {
            *program = built.display().to_string();
        }
        if let Some(container) = &place.container {
            command.extend(["--container".to_owned(), container.clone()]);
        }
        Worker::start_in(&command, &place.environment(), self.timeout)
    }

    /// The subject that models are probed with.
    pub(super) fn first_judged(&self) -> Option<&str> {
        self.infos.iter().find(|info| info.part == Part::Judged).map(|info| info.name.as_str())
    }

    pub(super) fn releases(&self) -> BTreeMap<String, String> {
        let release = |info: &SubjectInfo| Some((info.name.clone(), info.hello.as_ref()?.release.clone()));
        self.infos.iter().filter_map(release).collect()
    }

    pub(super) fn infos(&self) -> Vec<SubjectInfo> {
        self.infos.clone()
    }
}

/// The release of a subject's configured worker.
fn own_release(info: &SubjectInfo) -> Option<&str> {
    info.hello.as_ref().map(|hello| hello.release.as_str())
}

/// The command line with its program found: the given worker in place of the engine's, else one beside this program.
fn command(configured: &[String], worker: Option<&Path>) -> Vec<String> {
    let Some((program, arguments)) = configured.split_first() else { return Vec::new() };
    let named = worker.filter(|_| program == WORKER).map(Path::to_owned);
    let beside = || {
        let own = std::env::current_exe().ok()?;
        let candidate = own.with_file_name(format!("{program}{}", std::env::consts::EXE_SUFFIX));
        (!program.contains(std::path::MAIN_SEPARATOR) && candidate.is_file()).then_some(candidate)
    };
    let found = named.or_else(beside).map_or_else(|| program.clone(), |path| path.display().to_string());
    std::iter::once(found).chain(arguments.iter().cloned()).collect()
}
