//! The subjects of a run: where their workers are, and what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use intact_base::tool;
use intact_protocol::{Cage, Hello};

use super::{RunError, RunOptions};
use crate::caging;
use crate::config::{Config, SubjectConfig};
use crate::installed::{self, SubjectName};
use crate::plan::subject_of;
use crate::recipe::Place;
use crate::results::{Part, ReleaseInfo, SubjectInfo, SystemInfo};
use crate::tags::{self, Release};
use crate::trust::{Admitted, WORKER};
use crate::worker::{Limits, Worker, WorkerError};

/// The code of a system that is not installed, and need not be.
pub(super) const ABSENT: &str = "absent";

/// Why a backend does not compute here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lacks {
    /// The release's libraries are not here.
    Library(String),
    /// They are, and it is not one of them, or not for this machine.
    Backend(String),
}

/// The option of the worker behind which its program's own arguments are over.
const SUBJECT: &str = "--subject";

/// The subjects of a run.
#[derive(Debug)]
pub(super) struct Subjects {
    infos: Vec<SubjectInfo>,
    releases: Vec<ReleaseInfo>,
    /// Command lines of the releases' workers.
    workers: BTreeMap<String, Vec<String>>,
    tags: Option<PathBuf>,
    /// Systems that are not installed, and need not be.
    absent: BTreeSet<String>,
    /// What was found out of backends of releases: why one cannot be used here, if it cannot.
    backends: Mutex<BTreeMap<(String, String), Option<Lacks>>>,
    /// The command line in the place of the worker's program, where that is nowhere.
    standby: Option<Vec<String>>,
    timeout: Duration,
    limits: Limits,
    /// Variables of the environment that subjects name.
    passed: BTreeMap<String, Vec<String>>,
}

impl Subjects {
    /// The subjects as configured; no worker is started.
    pub(super) fn unasked(config: &Config, options: &RunOptions) -> Self {
        let worker = options.worker();
        let tags = options.tags.clone().or_else(tags::default_home);
        let standby = worker.is_none().then(|| standby(tags.as_deref())).flatten();
        let home = options.subjects.clone().or_else(installed::default_home);
        let absent = config.subjects.iter().flat_map(|subject| absent(subject, home.as_deref())).collect();
        let infos = config.subjects.iter().map(|subject| {
            let systems = systems(subject, home.as_deref());
            SubjectInfo {
                name: subject.name.clone(),
                command: match subject.installed {
                    Some(_) => systems
                        .iter()
                        .rev()
                        .find(|system| system.problem.is_none())
                        .map_or_else(Vec::new, |system| system.command.clone()),
                    None => command(&subject.command, worker, standby.as_deref()),
                },
                part: subject.part,
                hello: None,
                problem: None,
                systems,
            }
        });
        Self {
            infos: infos.collect(),
            passed: config
                .subjects
                .iter()
                .map(|subject| (subject.name.clone(), subject.pass_env.clone()))
                .collect(),
            releases: Vec::new(),
            workers: BTreeMap::new(),
            tags,
            absent,
            backends: Mutex::default(),
            standby: standby.clone(),
            timeout: Duration::from_secs(config.run.timeout_seconds),
            limits: Limits {
                memory: config.run.worker_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
                ..Limits::default()
            },
        }
    }

    /// Asks the built workers of these releases who they are, so that cells know which of them can take part.
    pub(super) fn reach(&mut self, wanted: &BTreeSet<&str>) {
        let own: BTreeSet<&str> = self.infos.iter().filter_map(own_release).collect();
        if wanted.is_subset(&own) {
            return;
        }
        let mut known = tags::known(self.tags.as_deref());
        known.retain(|release| wanted.contains(release.tag.as_str()));
        self.workers = known
            .iter()
            .filter_map(|release| {
                let command = tags::worker_command(self.tags.as_ref()?, release)?;
                Some((release.tag.clone(), command))
            })
            .collect();
        self.releases = known.iter().map(|release| self.reached(release)).collect();
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
        let build = release.remedy();
        let Some(command) = self.workers.get(&release.tag) else {
            let problem = format!("there is no worker for llama.cpp {}; {build}", release.tag);
            return info(None, Some(problem));
        };
        let worker = command.first().map(PathBuf::from);
        let problem = match tags::started(command, &Limits::default()) {
            Ok((started, hello)) => {
                started.leave(self.timeout);
                let other = !release.is_called(&hello.release);
                other.then(|| format!("its worker says it is of llama.cpp {}; {build}", hello.release))
            }
            Err(error) => Some(format!("its worker cannot be used: {error}; {build}")),
        };
        info(worker, problem)
    }

    /// Why a subject cannot take part in this version or with this release: a code, and a sentence.
    pub(super) fn missing(&self, subject: &str, host: &str) -> Option<(&'static str, String)> {
        if self.infos.iter().any(|info| info.systems.is_empty() && info.name == host) {
            return None;
        }
        if let Some(system) = self.all_systems().find(|system| system.name == host) {
            let code = if self.absent.contains(host) { ABSENT } else { "not-installed" };
            return system.problem.clone().map(|problem| (code, problem));
        }
        if !self.is_older(subject, host) {
            return None;
        }
        let info = self.releases.iter().find(|info| info.release == host);
        let problem = info.map_or_else(
            || Some(format!("nothing is known of llama.cpp {host}")),
            |info| info.problem.clone(),
        );
        problem.map(|problem| ("not-built", problem))
    }

    /// Whether the backend that a place names, if it names one, computes here.
    pub(super) fn backend(&self, subject: &str, place: &Place) -> Result<(), Lacks> {
        let Some(backend) = &place.backend else { return Ok(()) };
        let release = self.release_of(subject, place);
        let mut known = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks = known.entry((release.clone(), backend.clone())).or_insert_with(|| {
            let Some(command) = self.on_backend(subject, place) else {
                return Some(Lacks::Library(format!(
                    "the libraries of llama.cpp {release} are not here, and a backend is chosen from them; get them with \
                     `intact tags fetch {release}`"
                )));
            };
            match tags::started(&command, &Limits::default()) {
                Ok((worker, _)) => {
                    worker.leave(self.timeout);
                    None
                }
                Err(error) => Some(Lacks::Backend(error.to_string())),
            }
        });
        lacks.clone().map_or(Ok(()), Err)
    }

    /// The command line of the worker that computes on the backend that a place names.
    fn on_backend(&self, subject: &str, place: &Place) -> Option<Vec<String>> {
        let (backend, home) = (place.backend.as_ref()?, self.tags.as_ref()?);
        let wanted = self.release_of(subject, place);
        let release = tags::known(Some(home)).into_iter().find(|release| release.tag == wanted)?;
        tags::backend_command(home, &release, backend)
    }

    /// The release that a place of a subject is of.
    fn release_of(&self, subject: &str, place: &Place) -> String {
        let own = || self.infos.iter().find(|info| info.name == subject).and_then(own_release);
        place.release.as_deref().or_else(own).unwrap_or("unknown").to_owned()
    }

    /// The subjects, an installed one once for each version.
    pub(super) fn systems(&self) -> Vec<String> {
        let names = self.infos.iter().flat_map(|info| match info.systems.as_slice() {
            [] => vec![info.name.clone()],
            systems => systems.iter().map(|system| system.name.clone()).collect(),
        });
        names.collect()
    }

    fn all_systems(&self) -> impl Iterator<Item = &SystemInfo> {
        self.infos.iter().flat_map(|info| &info.systems)
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
        let takes_part = |release: &Release| {
            let is_here =
                || self.tags.as_ref().is_some_and(|home| tags::worker_command(home, release).is_some());
            release.tag != own && (release.telling || is_here())
        };
        let known = tags::known(self.tags.as_deref());
        let others = known.into_iter().filter(takes_part).map(|release| release.tag);
        std::iter::once(own.to_owned()).chain(others).collect()
    }

    pub(super) fn release_infos(&self) -> Vec<ReleaseInfo> {
        self.releases.clone()
    }

    /// The subjects, each having passed the compliance probe. Whatever they are may be started.
    pub(super) fn start(config: &Config, options: &RunOptions, _: &Admitted) -> Result<Self, RunError> {
        let mut subjects = Self::unasked(config, options);
        let Self { infos, passed, timeout, .. } = &mut subjects;
        for info in infos {
            let passed = passed.get(&info.name).map_or(&[][..], Vec::as_slice);
            if !info.systems.is_empty() {
                greet(info, passed, *timeout);
                continue;
            }
            let started = Worker::start_in(
                &info.command,
                &given(passed, &[], &Cage::default()),
                &Limits::default(),
                *timeout,
            );
            let (worker, hello) = started
                .map_err(|error| RunError::Subject { name: info.name.clone(), reason: error.to_string() })?;
            caging::tell(&hello);
            worker.leave(*timeout);
            info.hello = Some(hello);
        }
        Ok(subjects)
    }

    /// Starts a worker of a subject as its place says, which may touch no more than this.
    pub(super) fn worker(
        &self,
        name: &str,
        place: &Place,
        cage: &Cage,
    ) -> Result<(Worker, Hello), WorkerError> {
        let name = place.subject.as_deref().unwrap_or(name);
        let passed = self.passed.get(subject_of(name)).map_or(&[][..], Vec::as_slice);
        let info = self.infos.iter().find(|info| info.name == name).map(|info| &info.command);
        let command = info
            .or_else(|| self.all_systems().find(|system| system.name == name).map(|system| &system.command));
        let mut command = command.cloned().unwrap_or_default();
        if let Some(of_release) = place.release.as_ref().and_then(|release| self.workers.get(release))
            && !command.is_empty()
        {
            let own = self.standby.as_ref().filter(|standby| command.starts_with(standby));
            command.splice(..own.map_or(1, Vec::len), of_release.iter().cloned());
        }
        if let Some(on_backend) = self.on_backend(name, place)
            && !command.is_empty()
        {
            let program = command.iter().position(|word| word == SUBJECT).unwrap_or(1);
            command.splice(..program, on_backend);
        }
        if let Some(container) = &place.container {
            command.extend(["--container".to_owned(), container.clone()]);
        }
        let limits = Limits { cage: cage.clone(), ..self.limits.clone() };
        Worker::start_in(&command, &given(passed, &place.environment(), cage), &limits, self.timeout)
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

/// The versions of an installed subject that the configuration names, or those that there are; one that cannot take
/// part says why.
fn systems(subject: &SubjectConfig, home: Option<&Path>) -> Vec<SystemInfo> {
    let Some(versions) = &subject.installed else { return Vec::new() };
    let there = home.map(installed::all).unwrap_or_default();
    let there = there.iter().filter(|installed| installed.name.name == subject.name);
    let there: Vec<String> = there.map(|installed| installed.name.to_string()).collect();
    let named = versions.iter().map(|version| format!("{}@{version}", subject.name)).collect();
    let names: Vec<String> = match (versions.is_empty(), there.is_empty()) {
        (true, false) => there,
        (true, true) => vec![subject.name.clone()],
        (false, _) => named,
    };
    names.into_iter().map(|name| system(name, home)).collect()
}

/// The versions of an installed subject that are not here, and that nothing requires.
fn absent(subject: &SubjectConfig, home: Option<&Path>) -> Vec<String> {
    let Some(versions) = &subject.installed else { return Vec::new() };
    let named = versions.iter().filter(|version| !subject.require.contains(version));
    let named = named.map(|version| format!("{}@{version}", subject.name));
    // Where none is named, whichever there are take part: none may be there.
    let whole = std::iter::once(subject.name.clone()).filter(|_| versions.is_empty());
    let is_here = |name: &str| {
        let parsed: Option<SubjectName> = name.parse().ok();
        parsed.zip(home).is_some_and(|(name, home)| !matches!(installed::find(home, &name), Ok(None)))
    };
    named.chain(whole).filter(|name| !is_here(name)).collect()
}

fn system(name: String, home: Option<&Path>) -> SystemInfo {
    let missing = || format!("it is not installed: `intact subjects add {name}`");
    let read = || -> Result<Vec<String>, String> {
        let parsed: SubjectName = name.parse().map_err(|_| missing())?;
        let home = home.ok_or("no home folder is known")?;
        let found = installed::find(home, &parsed).map_err(|error| error.to_string())?;
        Ok(found.ok_or_else(missing)?.record.command)
    };
    let (command, problem) = match read() {
        Ok(command) => (command, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    SystemInfo { name, command, hello: None, problem }
}

/// Asks every installed version of a subject who it is. One that cannot take part does not keep the others from it.
fn greet(info: &mut SubjectInfo, passed: &[String], timeout: Duration) {
    for system in info.systems.iter_mut().filter(|system| system.problem.is_none()) {
        match Worker::start_in(
            &system.command,
            &given(passed, &[], &Cage::default()),
            &Limits::default(),
            timeout,
        ) {
            Ok((worker, hello)) => {
                worker.leave(timeout);
                info.hello = Some(hello.clone());
                system.hello = Some(hello);
            }
            Err(error) => system.problem = Some(format!("its worker cannot be used: {error}")),
        }
    }
    let problems = info.systems.iter().filter_map(|system| Some((&system.name, system.problem.as_ref()?)));
    let problems: Vec<String> = problems.map(|(name, problem)| format!("{name}: {problem}")).collect();
    info.problem = Some(problems.join("; ")).filter(|problems| !problems.is_empty());
}

/// What a worker finds in its environment besides the usual: what its place says, and the variables that its subject names.
fn given(passed: &[String], place: &[(String, String)], cage: &Cage) -> Vec<(String, String)> {
    let named = passed.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
    // Who is killed leaves what it had there; a run's folder goes, with all that is in it.
    let scratch = cage.write.first().and_then(|scratch| std::path::absolute(scratch).ok());
    let temporary = scratch.and_then(|scratch| Some(("TMPDIR".to_owned(), scratch.to_str()?.to_owned())));
    named.chain(temporary).chain(place.iter().cloned()).collect()
}

/// The release of a subject's configured worker.
fn own_release(info: &SubjectInfo) -> Option<&str> {
    info.hello.as_ref().map(|hello| hello.release.as_str())
}

/// What takes the place of the worker's program, where that is neither beside this program nor in the search path.
fn standby(tags: Option<&Path>) -> Option<Vec<String>> {
    if beside(WORKER).is_some() || tool::in_search_path(WORKER).is_some() {
        return None;
    }
    tags::standby(tags?)
}

/// A program beside this one.
fn beside(program: &str) -> Option<PathBuf> {
    if program.contains(std::path::MAIN_SEPARATOR) { None } else { tool::beside(program) }
}

/// The command line with its program found: the given worker in place of the engine's, else one beside this program, else what
/// takes its place.
fn command(configured: &[String], worker: Option<&Path>, standby: Option<&[String]>) -> Vec<String> {
    let Some((program, arguments)) = configured.split_first() else { return Vec::new() };
    let named = worker.filter(|_| program == WORKER).map(Path::to_owned).or_else(|| beside(program));
    let found = match (named, standby.filter(|_| program == WORKER)) {
        (Some(path), _) => vec![path.display().to_string()],
        (None, Some(standby)) => standby.to_vec(),
        (None, None) => vec![program.clone()],
    };
    found.into_iter().chain(arguments.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_worker_leaves_goes_with_the_run() {
        let place = [("A".to_owned(), "1".to_owned())];
        assert_eq!(given(&[], &place, &Cage::default()), place);
        let cage = Cage { read: Vec::new(), write: vec!["/out/scratch".into()] };
        let temporary = ("TMPDIR".to_owned(), "/out/scratch".to_owned());
        assert_eq!(given(&[], &place, &cage), [temporary, place[0].clone()]);
    }
}
