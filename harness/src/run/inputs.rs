//! What a run reads before it starts anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::models::Models;
use super::subjects::Subjects;
use super::{RunError, RunOptions};
use crate::config::{Config, InForce, ModelChoice};
use crate::expectation::{DEFAULT_EXPECTATIONS, Expectations};
use crate::filter::{EXTRA_NAMES, Filter, FilterError, Subject};
use crate::nearest;
use crate::plan::{Plan, PlanError, PlannedCell, Setting};
use crate::results::{Dims, Results};
use crate::trust::{self, Admitted, Foreign, Programs, Untrusted};

/// The plan for models of the user's, where there is one and none is named.
const REAL: &str = "real";

/// Expectations that excuse nothing.
const NONE: &str = "version = 1\n";

/// What a run reads before it starts anything.
pub(super) struct Inputs {
    pub config: Config,
    /// The file that it was read from, if it is not the built-in one.
    pub config_path: Option<PathBuf>,
    pub expectations: Expectations,
    pub expectations_text: String,
    pub filter: Option<Filter>,
    pub plan: String,
    /// What is to be said where a configuration has no expectations beside it.
    pub unexcused: Option<String>,
    previous: Vec<Dims>,
    /// Where the configuration comes from, if not from the user.
    foreign: Option<Foreign>,
}

impl Inputs {
    pub(super) fn read(options: &RunOptions) -> Result<Self, RunError> {
        let beside = Path::new("intact.toml");
        let found = options.config.as_deref().or_else(|| beside.is_file().then_some(beside));
        let InForce { config, origins } = Config::in_force(found, options.profile.as_deref())?;
        let filter = options.filter.as_deref().map(|text| read_filter(text, &config)).transpose()?;
        let neighbour =
            found.map(|path| path.with_file_name("expectations.toml")).filter(|path| path.is_file());
        let (expectations_text, path) = match options.expectations.as_deref().or(neighbour.as_deref()) {
            Some(path) => (Expectations::text(path)?, path.to_owned()),
            // What the built-in ones excuse is about the built-in plans.
            None if found.is_some() => (NONE.to_owned(), PathBuf::from("no expectations.toml")),
            None => (DEFAULT_EXPECTATIONS.to_owned(), PathBuf::from("the built-in expectations.toml")),
        };
        let unexcused = found.filter(|_| options.expectations.is_none() && neighbour.is_none());
        let unexcused = unexcused.map(|path| {
            format!("there is no expectations.toml beside {}, so nothing is excused", path.display())
        });
        let expectations = Expectations::parse(&expectations_text, &path, &config)?;
        let plan = options.plan.clone().unwrap_or_else(|| {
            // What a profile or the environment says is said of this run.
            let for_models = !options.models.is_empty() && !origins.contains_key("run.plan");
            let real = config.plans.contains_key(REAL).then_some(REAL).filter(|_| for_models);
            real.unwrap_or(&config.run.plan).to_owned()
        });
        // Before anything is started.
        if !config.plans.contains_key(&plan) {
            let known: Vec<&str> = config.plans.keys().map(String::as_str).collect();
            let hint = nearest::hint(&plan, &known);
            return Err(PlanError::Unknown { name: plan, hint }.into());
        }
        let previous = options.previous.as_deref().map(Results::read).transpose()?;
        let previous = previous.into_iter().flat_map(|results| results.cells).map(|cell| cell.dims).collect();
        let config_path = found.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let foreign = match &options.foreign {
            // Of a run that lies elsewhere too, the configuration of the working folder is the user's.
            Some(foreign)
                if foreign.worker.is_none() && found.is_some_and(trust::is_of_the_working_folder) =>
            {
                None
            }
            Some(foreign) => Some(foreign.clone()),
            None => found.and_then(|path| trust::foreign(path, options.config.is_some())),
        };
        Ok(Self {
            config,
            config_path,
            expectations,
            expectations_text,
            unexcused,
            filter,
            plan,
            previous,
            foreign,
        })
    }

    /// Makes sure that the programs which the configuration names may be started.
    pub(super) fn admitted(&self, options: &RunOptions) -> Result<Admitted, Untrusted> {
        // The worker that the user names is the user's.
        let worker = options.worker().filter(|_| options.worker.is_none());
        trust::admit(&options.trust, self.foreign.as_ref(), &Programs::of(&self.config, worker))
    }

    pub(super) fn plan(&self, subjects: &Subjects, models: &Models) -> Result<Plan, RunError> {
        let setting = Setting {
            models: models.values(),
            variants: models.variants(),
            releases: subjects.releases(),
            crossed: subjects.crossed(),
            systems: subjects.systems(),
        };
        Ok(Plan::grown(&self.config, &self.plan, &setting, &self.previous)?)
    }

    /// Makes sure that the filter's values are some that a cell of the plan has, or of another plan, as far as the
    /// configuration tells.
    pub(super) fn check_filter(&self, text: Option<&str>, plan: &Plan) -> Result<(), FilterError> {
        let (Some(filter), Some(text)) = (&self.filter, text) else { return Ok(()) };
        let values = |name: &str| -> Option<BTreeSet<&str>> {
            if EXTRA_NAMES.contains(&name) {
                return None;
            }
            let planned = plan.cells.iter().filter_map(|cell| cell.dims.get(name)).map(String::as_str);
            let axis = self.config.axes.iter().find(|axis| axis.name == name);
            let configured = axis.iter().flat_map(|axis| &axis.values).map(|value| value.get_ref().as_str());
            Some(planned.chain(configured).collect())
        };
        filter.check_values(text, &values)
    }

    /// The models that the plan takes.
    pub(super) fn choice(&self) -> ModelChoice {
        self.config.plans.get(&self.plan).map_or_else(ModelChoice::default, |plan| plan.models)
    }

    /// The cells that the filter selects.
    pub(super) fn selected(&self, plan: &Plan) -> Vec<PlannedCell> {
        let selects = |cell: &&PlannedCell| {
            let subject = Subject::planned(&cell.id, &cell.dims).in_plan(&self.plan);
            self.filter.as_ref().is_none_or(|filter| filter.selects(subject))
        };
        plan.cells.iter().filter(selects).cloned().collect()
    }
}

/// The releases that cells are written or read with, where the plan has an axis for them.
pub(super) fn crossed<'a>(config: &Config, cells: &'a [PlannedCell]) -> BTreeSet<&'a str> {
    let axes = config.axes.iter().filter(|axis| axis.releases);
    let values = axes.flat_map(|axis| cells.iter().filter_map(|cell| cell.dims.get(&axis.name)));
    values.map(String::as_str).collect()
}

fn read_filter(text: &str, config: &Config) -> Result<Filter, FilterError> {
    let filter: Filter = text.parse()?;
    filter.check_names(text, &config.dimensions())?;
    filter.check_planned(text)?;
    Ok(filter)
}
