//! A run: plan, write phase, read phase, judgement, results.

mod cell;
mod models;
mod parallel;
mod phase;
mod seat;
mod subjects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

use crate::claims;
use crate::config::{Config, ConfigError, DEFAULT_CONFIG, ModelChoice};
use crate::control::controls;
use crate::environment;
use crate::exit::Exit;
use crate::expectation::{Comparison, DEFAULT_EXPECTATIONS, Expectations};
use crate::filter::{Filter, FilterError, Subject};
use crate::gate;
use crate::plan::{Plan, PlanError, PlannedCell, Setting};
use crate::predictions;
use crate::results::{Cell, Counts, Dims, Finding, Part, RESULTS_VERSION, Results, ResultsError, RunInfo};
use crate::suspects::suspects;
use cell::CellOutcome;
use models::Models;
use subjects::Subjects;

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
    /// The command line, for the record and for the commands that reproduce a cell.
    pub command: Vec<String>,
}

/// Told how a run goes. Called from several threads.
pub trait Progress: Sync {
    /// A part of the run begins, in which there are so many steps; 0 if not known.
    fn phase(&self, name: &str, steps: usize);
    /// A step of the part is done.
    fn step(&self);
    /// A cell is judged.
    fn cell(&self, cell: &Cell);
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
    /// The results could not be written.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A folder could not be made.
    #[error("{path}: {reason}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl RunError {
    /// How the command ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Filter(_) => Exit::BadFilter,
            _ => Exit::SetUp,
        }
    }
}

/// The cells that a run would make, without running any. Workers are started only for models named by file.
///
/// # Errors
/// [`RunError`].
pub fn plan(options: &RunOptions) -> Result<Vec<PlannedCell>, RunError> {
    let inputs = Inputs::read(options)?;
    let subjects = if options.models.is_empty() {
        Subjects::unasked(&inputs.config, options)
    } else {
        Subjects::start(&inputs.config, options)?
    };
    let models = Models::known(&inputs.config, inputs.choice(), options, &subjects)?;
    let plan = inputs.plan(&subjects, &models)?;
    Ok(inputs.selected(&plan))
}

/// Runs a plan and writes `results.json`.
///
/// # Errors
/// [`RunError`], when there is nothing to judge; what subjects do is in the results.
pub fn run(options: &RunOptions, progress: &dyn Progress) -> Result<Results, RunError> {
    let started = Timestamp::now();
    let clock = Instant::now();
    let inputs = Inputs::read(options)?;
    let folder_error = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| RunError::Folder { path, reason: error.to_string() }
    };
    std::fs::create_dir_all(&options.out).map_err(folder_error(&options.out))?;
    let scratch = tempfile::Builder::new()
        .prefix("work-")
        .tempdir_in(&options.out)
        .map_err(folder_error(&options.out))?;
    progress.phase("starting workers", inputs.config.subjects.len());
    let mut subjects = Subjects::start(&inputs.config, options)?;
    progress.phase("preparing models", 0);
    let models = Models::ready(&inputs.config, inputs.choice(), options, &subjects)?;
    let mut plan = inputs.plan(&subjects, &models)?;
    let selected = inputs.selected(&plan);
    plan.info.selected = u32::try_from(selected.len()).unwrap_or(u32::MAX);
    subjects.reach(&crossed(&inputs.config, &selected));

    let jobs = options.jobs.unwrap_or_else(environment::cores).max(1);
    let scene = phase::Scene {
        config: &inputs.config,
        subjects: &subjects,
        models: &models,
        dir: scratch.path(),
        jobs,
        threads: u32::try_from((environment::cores() / jobs).max(1)).unwrap_or(1),
        timeout: Duration::from_secs(inputs.config.run.timeout_seconds),
        seed: options.seed,
        progress,
    };
    let today = started.to_zoned(TimeZone::UTC).date();
    let mut findings = if options.models.is_empty() {
        inputs.expectations.findings(&plan.cells, &inputs.plan, today)
    } else {
        Vec::new()
    };
    let finish = |planned: &PlannedCell, outcome: CellOutcome| {
        let comparison = match planned.part {
            Part::Judged => inputs.expectations.compare(planned, &outcome.judgement),
            Part::Control => Comparison::default(),
        };
        let cell = cell::assemble(planned, outcome, &comparison, reproduce(planned, options));
        progress.cell(&cell);
        (cell, comparison.finding)
    };
    let (cells, found): (Vec<Cell>, Vec<Option<Finding>>) =
        scene.play(&selected, &finish).into_iter().unzip();
    findings.extend(found.into_iter().flatten());
    let results = Results {
        version: RESULTS_VERSION,
        run: RunInfo {
            harness: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.to_string(),
            seconds: clock.elapsed().as_secs_f64(),
            command: options.command.clone(),
            filter: options.filter.clone(),
            seed: options.seed,
            jobs: u32::try_from(jobs).unwrap_or(u32::MAX),
        },
        environment: environment::here(),
        subjects: subjects.infos(),
        releases: subjects.release_infos(),
        predictions: predictions::judge(&cells),
        models: models.infos(),
        counts: Counts::of(&cells),
        gate: gate::decide(&cells, findings),
        suspects: suspects(&plan.info.axes, &judged(&cells, &inputs.config)),
        controls: controls(&inputs.config, &plan.info.axes, &cells),
        claims: claims::judge(&cells),
        plan: plan.info,
        cells,
    };
    results.write(&options.out.join("results.json"))?;
    Ok(results)
}

/// The cells of subjects that the gate judges.
fn judged<'a>(cells: &'a [Cell], config: &Config) -> Vec<&'a Cell> {
    let part = |cell: &Cell| {
        let name = cell.dims.get("subject")?;
        config.subjects.iter().find(|subject| subject.name == *name).map(|subject| subject.part)
    };
    cells.iter().filter(|cell| part(cell) == Some(Part::Judged)).collect()
}

/// What a run reads before it starts anything.
struct Inputs {
    config: Config,
    expectations: Expectations,
    filter: Option<Filter>,
    plan: String,
    previous: Vec<Dims>,
}

impl Inputs {
    fn read(options: &RunOptions) -> Result<Self, RunError> {
        let beside = Path::new("intact.toml");
        let found = options.config.as_deref().or_else(|| beside.is_file().then_some(beside));
        let config = match found {
            Some(path) => Config::read(path)?,
            None => Config::parse(DEFAULT_CONFIG, Path::new("the built-in intact.toml"))?,
        };
        let filter = options.filter.as_deref().map(|text| read_filter(text, &config)).transpose()?;
        let neighbour =
            found.map(|path| path.with_file_name("expectations.toml")).filter(|path| path.is_file());
        let expectations = match options.expectations.as_deref().or(neighbour.as_deref()) {
            Some(path) => Expectations::read(path, &config)?,
            None => Expectations::parse(
                DEFAULT_EXPECTATIONS,
                Path::new("the built-in expectations.toml"),
                &config,
            )?,
        };
        let plan = options.plan.clone().unwrap_or_else(|| config.run.plan.clone());
        let previous = options.previous.as_deref().map(Results::read).transpose()?;
        let previous = previous.into_iter().flat_map(|results| results.cells).map(|cell| cell.dims).collect();
        Ok(Self { config, expectations, filter, plan, previous })
    }

    fn plan(&self, subjects: &Subjects, models: &Models) -> Result<Plan, RunError> {
        let setting = Setting {
            models: models.values(),
            variants: models.variants(),
            releases: subjects.releases(),
            crossed: subjects.crossed(),
        };
        Ok(Plan::grown(&self.config, &self.plan, &setting, &self.previous)?)
    }

    /// The models that the plan takes.
    fn choice(&self) -> ModelChoice {
        self.config.plans.get(&self.plan).map_or_else(ModelChoice::default, |plan| plan.models)
    }

    fn selected(&self, plan: &Plan) -> Vec<PlannedCell> {
        let selects = |cell: &&PlannedCell| {
            self.filter.as_ref().is_none_or(|filter| {
                filter.selects(Subject { id: &cell.id, dims: &cell.dims, verdict: None })
            })
        };
        plan.cells.iter().filter(selects).cloned().collect()
    }
}

/// The releases that cells are written or read with, where the plan has an axis for them.
fn crossed<'a>(config: &Config, cells: &'a [PlannedCell]) -> BTreeSet<&'a str> {
    let axes = config.axes.iter().filter(|axis| axis.releases);
    let values = axes.flat_map(|axis| cells.iter().filter_map(|cell| cell.dims.get(&axis.name)));
    let releases: BTreeSet<&str> = values.map(String::as_str).collect();
    if releases.len() > 1 { releases } else { BTreeSet::new() }
}

fn read_filter(text: &str, config: &Config) -> Result<Filter, FilterError> {
    let filter: Filter = text.parse()?;
    filter.check_names(text, &config.dimensions())?;
    if filter.names().contains(&"verdict") {
        return Err(FilterError {
            text: text.to_owned(),
            position: text.find("verdict").unwrap_or(0),
            message: "verdicts are not known before the run; use this filter on the report".into(),
        });
    }
    Ok(filter)
}

/// The command line that runs this cell alone.
fn reproduce(cell: &PlannedCell, options: &RunOptions) -> String {
    let matcher = crate::filter::Matcher::Exact(cell.id.clone());
    let mut words = vec!["intact run".to_owned()];
    let mut option = |name: &str, value: &str| words.push(format!("{name} {}", quoted(value)));
    for model in &options.models {
        option("--model", &model.display().to_string());
    }
    for (name, path) in [("--worker", &options.worker), ("--config", &options.config)] {
        if let Some(path) = path {
            option(name, &path.display().to_string());
        }
    }
    if let Some(plan) = &options.plan {
        option("--plan", plan);
    }
    if options.seed != 0 {
        option("--seed", &options.seed.to_string());
    }
    option("-E", &format!("id({matcher})"));
    words.join(" ")
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
