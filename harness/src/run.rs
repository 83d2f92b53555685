//! A run: plan, write phase, read phase, judgement, results.

mod budget;
mod cell;
mod conclusion;
mod depot;
mod elsewhere;
mod inputs;
mod merge;
mod models;
mod phase;
mod pool;
mod produce;
mod references;
mod repro;
mod reproduce;
mod room;
mod saved;
mod session;
mod setup;
mod subjects;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::config::ConfigError;
use crate::environment;
use crate::exit::Exit;
use crate::filter::FilterError;
use crate::folder::{
    CONFIG, EXPECTATIONS, Event, FolderError, Kind, Manifest, Outcome, Partition, Planned, RESULTS, RunFolder,
};
use crate::interrupt;
use crate::journal::JournalError;
use crate::judge::Evidence;
use crate::parallel;
use crate::plan::PlanError;
use crate::results::{Cell, Results, ResultsError};
use crate::trust::{self, Foreign, Trust, Untrusted};
use budget::Budget;
use conclusion::Conclusion;
pub use depot::{Depot, Kept, Part};
pub use merge::{MergeOptions, merge};
pub use produce::{Produced, produce};
pub use repro::{Bundle, BundleOptions, bundle};
use session::Session;
use setup::Setup;

/// What a run is asked to do.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The folder that `results.json` is written to.
    pub out: PathBuf,
    /// GGUF files that take the place of the configured models.
    pub models: Vec<PathBuf>,
    /// Only these cells.
    pub filter: Option<String>,
    /// Workers at a time; the number of processors if not given.
    pub jobs: Option<usize>,
    /// Seed of what faults do.
    pub seed: u64,
    /// The program that takes the place of every `intact-worker`.
    pub worker: Option<PathBuf>,
    /// Where the configuration lies, if somebody else may have written it, and the worker that is named beside it.
    pub foreign: Option<Foreign>,
    /// What the user says of programs that others name.
    pub trust: Trust,
    /// The plan; the configured one if not given.
    pub plan: Option<String>,
    /// The configuration; `intact.toml` in the working folder if not given, else the built-in one.
    pub config: Option<PathBuf>,
    /// Results of an earlier run of this plan, whose cells are kept where they still fit.
    pub previous: Option<PathBuf>,
    /// The expectations; `expectations.toml` beside the configuration if not given, else the built-in ones.
    pub expectations: Option<PathBuf>,
    /// The folder with the workers of other releases; that of `intact tags build` if not given.
    pub tags: Option<PathBuf>,
    /// The folder of installed subjects; that of `intact subjects add` if not given.
    pub subjects: Option<PathBuf>,
    /// The profile of the configuration.
    pub profile: Option<String>,
    /// Only this part of the plan.
    pub partition: Option<Partition>,
    /// Folders with sessions that were saved elsewhere: none is saved here then.
    pub from: Vec<PathBuf>,
    /// A run's folder whose sessions are taken, where they are kept there, instead of being saved again.
    pub kept: Option<PathBuf>,
    /// Go on with the run that is in the folder.
    pub resume: bool,
    /// Play cells again that did not end as expected.
    pub rerun_failed: bool,
    /// Everything that is judged is noted here too.
    pub witness: Option<Arc<Mutex<Vec<Evidence>>>>,
    /// A cell that does not end as expected is not played once more.
    pub no_retry: bool,
    /// Leave out the cells that tell least where the others take so long already.
    pub budget: Option<Duration>,
    /// Where the run is going to be kept: another run than what is there already is refused before it begins.
    /// [`Depot::keep`] keeps it when it has ended.
    pub depot: Option<Depot>,
    /// The command line, for the record and for the commands that reproduce a cell.
    pub command: Vec<String>,
}

impl RunOptions {
    /// What the run in a folder was asked to do, to go on with it. A configuration that has changed since is taken as
    /// it is now, and found to be another.
    ///
    /// # Errors
    /// [`RunError::RunFolder`].
    pub fn resumed(folder: &Path) -> Result<Self, RunError> {
        let options = Self::of_folder(folder)?;
        Ok(Self { out: folder.to_owned(), resume: true, ..options })
    }

    /// What is to be loaded of what was saved into these folders.
    ///
    /// # Errors
    /// [`RunError::RunFolder`].
    pub fn consuming(folders: &[PathBuf]) -> Result<Self, RunError> {
        let Some(first) = folders.first() else { return Ok(Self::default()) };
        let there = RunFolder::open(first)?;
        let mut manifest = there.manifest()?;
        let place = manifest.kept_at.take();
        let place = place.map_or_else(|| trust::place_of(first), |address| trust::place_at(&address));
        Ok(Self {
            config: Some(there.file(CONFIG)),
            expectations: Some(there.file(EXPECTATIONS)),
            foreign: Some(Foreign { place, worker: None }),
            partition: None,
            from: folders.to_owned(),
            ..Self::of_manifest(&there, manifest)
        })
    }

    /// What the run in a folder was asked to do.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, RunError> {
        let folder = RunFolder::open(folder)?;
        let manifest = folder.manifest()?;
        Ok(Self::of_manifest(&folder, manifest))
    }

    fn of_manifest(folder: &RunFolder, manifest: Manifest) -> Self {
        let there = |path: Option<PathBuf>| path.filter(|path| path.is_file());
        let config = there(manifest.config);
        let foreign = Foreign { place: trust::place_of(folder.path()), worker: manifest.worker };
        // Beside a configuration of the user's lie expectations that may have changed since.
        let expectations = there(manifest.expectations)
            .or_else(|| there(Some(config.as_ref()?.with_file_name(EXPECTATIONS))));
        Self {
            models: manifest.models,
            filter: manifest.filter,
            seed: manifest.seed,
            foreign: Some(foreign),
            plan: Some(manifest.plan),
            config: Some(config.unwrap_or_else(|| folder.file(CONFIG))),
            expectations: Some(expectations.unwrap_or_else(|| folder.file(EXPECTATIONS))),
            profile: manifest.profile,
            partition: manifest.partition,
            from: manifest.from,
            ..Self::default()
        }
    }

    /// The program that takes the place of every `intact-worker`: the user's, else the one of the run that is gone on with.
    pub(crate) fn worker(&self) -> Option<&Path> {
        let foreign = || self.foreign.as_ref().and_then(|foreign| foreign.worker.as_deref());
        self.worker.as_deref().or_else(foreign)
    }
}

/// Told how a run goes. Called from several threads.
pub trait Progress: Sync {
    /// A part of the run begins, in which there are so many steps; 0 if not known.
    fn phase(&self, name: &str, steps: usize);
    /// A step of the part is done.
    fn step(&self);
    /// A cell is begun, by its id.
    fn begin(&self, _cell: &str) {}
    /// A cell is judged.
    fn cell(&self, cell: &Cell);
    /// Something is to be known before it goes on.
    fn note(&self, _text: &str) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _name: &str, _steps: usize) {}
    fn step(&self) {}
    fn cell(&self, _cell: &Cell) {}
}

/// Why a run could not be made at all.
#[derive(Debug, Error)]
pub enum RunError {
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// `intact.toml` or `expectations.toml` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The filter selects no cell.
    #[error(
        "the filter {filter} selects no cell of the plan `{plan}`; nothing was run, and nothing was written"
    )]
    NothingSelected {
        /// The filter.
        filter: String,
        /// The plan.
        plan: String,
    },
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A fixture model cannot be made.
    #[error(transparent)]
    Fixture(#[from] intact_fixtures::FixtureError),
    /// A model cannot be used.
    #[error("the model {path} cannot be used: {reason}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A subject cannot take part.
    #[error("the subject `{name}` cannot take part: {reason}")]
    Subject {
        /// Its name in `intact.toml`.
        name: String,
        /// Why.
        reason: String,
    },
    /// It names programs of somebody else's.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It was asked to end before anything was played.
    #[error("interrupted while the run was set up; nothing was run, and nothing was written")]
    Interrupted,
    /// The run's folder cannot be used.
    #[error(transparent)]
    RunFolder(#[from] FolderError),
    /// Runs cannot be put together.
    #[error("{0}")]
    Merge(String),
    /// The results could not be written.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// There is no room for anything more.
    #[error("the disk that {path} is on is full: {why}; what was judged so far is kept", path = path.display())]
    NoRoom {
        /// The run's folder.
        path: PathBuf,
        /// How that was found.
        why: String,
    },
    /// A folder could not be made.
    #[error("{path}: {reason}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl From<JournalError> for RunError {
    fn from(error: JournalError) -> Self {
        Self::RunFolder(error.into())
    }
}

impl RunError {
    /// The same, but where the run was asked to end: workers that were ended for it say nothing of a model.
    fn unless_interrupted(self) -> Self {
        if interrupt::requested() { Self::Interrupted } else { self }
    }

    /// How the command ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Filter(_) => Exit::BadFilter,
            Self::Untrusted(_) => Exit::Untrusted,
            Self::NothingSelected { .. } => Exit::NothingSelected,
            Self::Interrupted | Self::NoRoom { .. } => Exit::Incomplete,
            _ => Exit::SetUp,
        }
    }
}

/// The cells that a run would play, without playing any.
///
/// # Errors
/// [`RunError`].
pub fn plan(options: &RunOptions) -> Result<Planned, RunError> {
    let setup = Setup::known(options)?;
    Ok(setup.planned())
}

/// Runs a plan, or goes on with a run, and writes `results.json`.
///
/// # Errors
/// [`RunError`], when there is nothing to judge; what subjects do is in the results.
pub fn run(options: &RunOptions, progress: &dyn Progress) -> Result<Results, RunError> {
    let clock = Instant::now();
    if let Some(from) = options.from.iter().find(|from| is_same(from, &options.out)) {
        let message =
            format!("{} is where the sessions are: choose another folder with --out", from.display());
        return Err(RunError::Merge(message));
    }
    let kind = if options.from.is_empty() { Kind::Run } else { Kind::Consume };
    let mut setup = Setup::ready(options, kind, progress).map_err(RunError::unless_interrupted)?;
    if let (true, Some(filter)) = (setup.selected.is_empty(), &options.filter) {
        return Err(RunError::NothingSelected { filter: filter.clone(), plan: setup.inputs.plan.clone() });
    }
    setup.impossible(options.partition).iter().for_each(|note| progress.note(note));
    let (folder, log) = setup.folder(options)?;
    let cells = setup.cells(options.partition);
    let earlier = folder.events()?;
    let before: f64 = earlier.iter().map(Event::seconds).sum();
    let session = Session::begin(&setup, &folder, log, earlier, progress, options)?;
    let budget = options.budget.map(|time| Budget::since(clock, time));
    session.play_within(&cells, budget)?;
    if !options.no_retry {
        session.retry(&cells, budget)?;
    }
    let seconds = clock.elapsed().as_secs_f64();
    let outcomes = session.end(seconds)?;
    let left_out = cells.iter().filter(|cell| session::is_left_out(&outcomes, &cell.id));
    let left_out = left_out.map(|cell| cell.id.as_str());
    let notes = budget.and_then(|budget| budget.note(left_out)).into_iter().collect();
    let conclusion = Conclusion {
        inputs: &setup.inputs,
        manifest: &setup.manifest,
        plan: setup.info.clone(),
        whole_plan: setup.whole_plan.as_deref(),
        cells: &cells,
        outcomes: &outcomes,
        missing: Outcome::not_run("interrupted", "The run ended before this cell was run."),
        environment: environment::here(),
        seconds: before + seconds,
        jobs: setup.jobs,
        notes,
    };
    let results = conclusion.results();
    results.write(&folder.file(RESULTS))?;
    Ok(results)
}

/// Whether two paths lead to one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
