//! The subjects of a run: where their workers are, and what they say of themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use intact_protocol::Hello;

use super::RunError;
use crate::config::Config;
use crate::results::{Part, SubjectInfo};
use crate::worker::{Worker, WorkerError};

/// Name of the engine's worker program.
const WORKER: &str = "intact-worker";

/// The subjects of a run.
#[derive(Debug)]
pub(super) struct Subjects {
    infos: Vec<SubjectInfo>,
    timeout: Duration,
}

impl Subjects {
    /// The subjects as configured; no worker is started.
    pub(super) fn unasked(config: &Config, worker: Option<&Path>) -> Self {
        let infos = config.subjects.iter().map(|subject| SubjectInfo {
            name: subject.name.clone(),
            command: command(&subject.command, worker),
            part: subject.part,
            hello: None,
            problem: None,
        });
        Self { infos: infos.collect(), timeout: Duration::from_secs(config.run.timeout_seconds) }
    }

    /// The subjects, each having passed the compliance probe.
    pub(super) fn start(config: &Config, worker: Option<&Path>) -> Result<Self, RunError> {
        let mut subjects = Self::unasked(config, worker);
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

    /// Starts a worker of a subject with these environment variables.
    pub(super) fn worker(
        &self,
        name: &str,
        environment: &[(String, String)],
    ) -> Result<(Worker, Hello), WorkerError> {
        let command = self.infos.iter().find(|info| info.name == name).map(|info| info.command.as_slice());
        Worker::start_in(command.unwrap_or_default(), environment, self.timeout)
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
