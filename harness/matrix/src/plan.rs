//! Plans: from the matrix as data to the list of cells, each with a stable id.

mod block;
mod constraint;
mod info;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use intact_base::nearest::hint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{AxisConfig, Config};
use crate::filter::{Filter, FilterError, compare_versions};
use crate::recipe::{INAPPLICABLE, NONE, SAME};
use crate::{Dims, Part};
use block::Expander;
pub use info::{AxisInfo, Coverage, PlanInfo};

/// A cell that is to be run, or that a constraint takes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedCell {
    /// Stable, readable, unique in the plan: subject, model and every value that is not its axis' base value.
    pub id: String,
    /// Its dimensions.
    pub dims: Dims,
    /// Whether the gate judges it.
    pub part: Part,
    /// Why it is impossible, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered: Option<String>,
}

/// All cells of a plan, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<PlannedCell>,
    /// The plan's name, axes and certificate.
    pub info: PlanInfo,
}

/// Why no plan could be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No plan of this name.
    #[error("there is no plan `{name}`; {hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The one that was probably meant, or all.
        hint: String,
    },
    /// It has more combinations than anybody plays.
    #[error(
        "a block of the plan `{plan}` has {count} combinations to begin with, more than {MOST}: they were counted and not made. \
         Name fewer axes in its `axes` and `each`, or vary them in pairs"
    )]
    TooMany {
        /// The plan.
        plan: String,
        /// How many; so many at least, where they are more than can be counted.
        count: u128,
    },
    /// A filter of the configuration cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Combinations that a block may begin with, before its filter and what is impossible take some away: twice what pairs of all
/// known releases make.
pub const MOST: u128 = 500_000;

/// What is known of subjects and models before anything is planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// The models, with their family: the values of the model axis.
    pub models: Vec<(String, String)>,
    /// Variants and adapters that each model has.
    pub variants: BTreeMap<String, BTreeSet<String>>,
    /// The release of each subject's configured worker.
    pub releases: BTreeMap<String, String>,
    /// The releases that sessions cross between, that of the configured workers first.
    pub crossed: Vec<String>,
    /// The subjects, an installed one once for each version: `name` or `name@version`.
    pub systems: Vec<String>,
}

/// Name of the axis whose values are the models.
pub const MODEL_AXIS: &str = "model";
/// What axes set that each model has values of its own for: variants and adapters.
const OF_THE_MODEL: [&str; 5] =
    ["reader.model", "writer.adapter", "reader.adapter", "writer.control_vector", "reader.control_vector"];
/// Name of the dimension that follows from the model.
const FAMILY: &str = "family";

impl Plan {
    /// Makes the plan of this name.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn make(config: &Config, name: &str, setting: &Setting) -> Result<Self, PlanError> {
        Self::grown(config, name, setting, &[])
    }

    /// Makes the plan of this name so that it keeps what it can of the cells of an earlier run, given by their
    /// dimensions.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn grown(
        config: &Config,
        name: &str,
        setting: &Setting,
        previous: &[Dims],
    ) -> Result<Self, PlanError> {
        let plan = config.plans.get(name).ok_or_else(|| PlanError::Unknown {
            name: name.to_owned(),
            hint: hint(name, &config.plans.keys().map(String::as_str).collect::<Vec<_>>()),
        })?;
        let planner = Planner::new(config, setting)?;
        let mut expander = Expander::new(&planner, planner.seeds(previous));
        let mut coverage = Vec::new();
        let mut assignments = Vec::new();
        let below = plan.builds_on.as_ref().and_then(|name| config.plans.get(name));
        for block in below.iter().flat_map(|plan| &plan.blocks).chain(&plan.blocks) {
            let count = expander.count(block);
            if count > MOST {
                return Err(PlanError::TooMany { plan: name.to_owned(), count });
            }
        }
        for block in below.iter().flat_map(|plan| &plan.blocks) {
            let expanded = expander.expand(block)?;
            expander.keep(&expanded.cells);
            assignments.extend(expanded.cells);
        }
        for block in &plan.blocks {
            let mut expanded = expander.expand(block)?;
            assignments.append(&mut expanded.cells);
            coverage.append(&mut expanded.coverage);
        }
        let cells = planner.cells(&assignments);
        let planned = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        let info = PlanInfo {
            name: name.to_owned(),
            axes: planner.axis_infos(),
            digest: None,
            planned,
            selected: planned,
            coverage,
        };
        Ok(Self { cells, info })
    }
}

/// A value for each axis of the matrix, by the axis' name.
type Assignment = Dims;

/// What all blocks of a plan share.
#[derive(Debug)]
struct Planner<'a> {
    config: &'a Config,
    setting: &'a Setting,
    forbidden: Vec<(Filter, &'a str)>,
}

impl<'a> Planner<'a> {
    fn new(config: &'a Config, setting: &'a Setting) -> Result<Self, PlanError> {
        let read = |forbid: &'a crate::config::Forbid| {
            Ok((forbid.when.get_ref().parse::<Filter>()?, forbid.reason.as_str()))
        };
        let forbidden = config.forbid.iter().map(read).collect::<Result<_, FilterError>>()?;
        Ok(Self { config, setting, forbidden })
    }

    fn values(&self, axis: &AxisConfig) -> Vec<String> {
        if axis.name == MODEL_AXIS {
            return self.setting.models.iter().map(|(name, _)| name.clone()).collect();
        }
        if axis.releases {
            return self.setting.crossed.clone();
        }
        let systems = self.setting.systems.iter().filter(|_| axis.subjects);
        axis.values().map(str::to_owned).chain(systems.cloned()).collect()
    }

    fn base<'b>(&'b self, axis: &'b AxisConfig) -> &'b str {
        if axis.name == MODEL_AXIS {
            return self.setting.models.first().map_or("", |(name, _)| name);
        }
        if axis.releases {
            return self.setting.crossed.first().map_or("", String::as_str);
        }
        let system = self.setting.systems.first().filter(|_| axis.subjects);
        axis.values().next().or_else(|| system.map(String::as_str)).unwrap_or("")
    }

    fn axis_infos(&self) -> Vec<AxisInfo> {
        let info = |axis: &AxisConfig| AxisInfo {
            name: axis.name.clone(),
            about: axis.about.clone(),
            values: self.values(axis),
        };
        self.config.axes.iter().map(info).collect()
    }

    /// The cells of an earlier run as assignments, those of one subject only, which has every axis.
    fn seeds(&self, previous: &[Dims]) -> Vec<Assignment> {
        let subject = previous.first().and_then(|dims| dims.get("subject"));
        let whole = |dims: &&Dims| {
            dims.get("subject") == subject
                && self
                    .config
                    .axes
                    .iter()
                    .all(|axis| dims.get(&axis.name).is_none_or(|value| value != INAPPLICABLE))
        };
        let assignment = |dims: &Dims| {
            let axes = self.config.axes.iter();
            axes.filter_map(|axis| Some((axis.name.clone(), dims.get(&axis.name)?.clone()))).collect()
        };
        previous.iter().filter(whole).map(assignment).collect()
    }

    /// The assignment with values that say the same as another made that other.
    fn normal(&self, mut assignment: Assignment) -> Assignment {
        for axis in &self.config.axes {
            let mirrored = axis.mirrors.as_ref().and_then(|mirrored| assignment.get(mirrored)).cloned();
            if mirrored.is_some() && mirrored.as_ref() == assignment.get(&axis.name) {
                assignment.insert(axis.name.clone(), SAME.to_owned());
            }
        }
        assignment
    }

    /// The dimensions of a cell: the assignment, and what follows from subject and model.
    fn dims(&self, assignment: &Assignment, subject: &str) -> Dims {
        let mut dims = assignment.clone();
        let model = dims.get(MODEL_AXIS).cloned().unwrap_or_default();
        let family =
            self.setting.models.iter().find(|(name, _)| *name == model).map(|(_, family)| family.clone());
        let release = self.setting.releases.get(subject).cloned().unwrap_or_else(|| "unknown".to_owned());
        dims.insert("subject".into(), subject.to_owned());
        dims.insert(FAMILY.into(), family.unwrap_or_else(|| "unknown".to_owned()));
        for axis in self.config.axes.iter().filter(|axis| axis.subjects) {
            // The other side by its name, so that the cell and its place in a grid say who it is.
            let same = dims.get(&axis.name).is_some_and(|value| value == SAME);
            let other = axis.mirrors.as_ref().filter(|_| same).and_then(|other| dims.get(other)).cloned();
            dims.extend(other.map(|other| (axis.name.clone(), other)));
        }
        for side in ["writer", "reader"] {
            let crosses = dims.get(side).is_some_and(|value| value != INAPPLICABLE);
            if !crosses {
                dims.insert(side.into(), release.clone());
            }
        }
        let crossing = crossing(&dims["writer"], &dims["reader"]);
        dims.insert("crossing".into(), crossing.to_owned());
        dims
    }

    /// Why a cell is impossible.
    fn obstacle(&self, dims: &Dims) -> Option<String> {
        let forbidden = self.forbidden.iter().find(|(filter, _)| filter.selects_dims(dims));
        forbidden.map(|(_, reason)| (*reason).to_owned()).or_else(|| self.missing_variant(dims)).or_else(
            || {
                let faults =
                    self.config.axes.iter().filter(|axis| axis.negative && !self.is_base(axis, dims)).count();
                (faults > 1)
                    .then(|| "a cell has at most one fault, so that it is known what was caught".to_owned())
            },
        )
    }

    fn missing_variant(&self, dims: &Dims) -> Option<String> {
        let model = dims.get(MODEL_AXIS)?;
        self.config.axes.iter().find_map(|axis| {
            let value = dims.get(&axis.name)?;
            self.lacks_variant(model, axis, value)
                .then(|| format!("there is no variant `{value}` of the model `{model}`"))
        })
    }

    /// Whether the axis' value names a variant that the model does not have.
    fn lacks_variant(&self, model: &str, axis: &AxisConfig, value: &str) -> bool {
        axis.sets.iter().any(|target| OF_THE_MODEL.contains(&target.get_ref().as_str()))
            && ![SAME, NONE, INAPPLICABLE].contains(&value)
            && !self.setting.variants.get(model).is_some_and(|variants| variants.contains(value))
    }

    fn is_base(&self, axis: &AxisConfig, dims: &Dims) -> bool {
        dims.get(&axis.name).is_none_or(|value| value == INAPPLICABLE || value == self.base(axis))
    }

    /// Every assignment for every subject, each cell once, in order.
    fn cells(&self, assignments: &[Assignment]) -> Vec<PlannedCell> {
        let mut seen = BTreeSet::new();
        let mut cells = Vec::new();
        for subject in &self.config.subjects {
            for assignment in assignments {
                let mut applicable = assignment.clone();
                for axis in &subject.inapplicable {
                    applicable.insert(axis.clone(), INAPPLICABLE.to_owned());
                }
                let dims = self.dims(&applicable, &subject.name);
                if !self.reads(&dims, &subject.name) {
                    continue;
                }
                let id = self.id(&dims, &subject.name);
                if seen.insert(id.clone()) {
                    let filtered = self.obstacle(&dims);
                    cells.push(PlannedCell { id, dims, part: subject.part, filtered });
                }
            }
        }
        cells
    }

    /// Whether it is this subject that reads, where the cell says which one does.
    fn reads(&self, dims: &Dims, subject: &str) -> bool {
        let reader = |axis: &&AxisConfig| {
            axis.subjects && axis.sets.iter().any(|target| target.get_ref() == READING_SUBJECT)
        };
        let named = self.config.axes.iter().find(reader).and_then(|axis| dims.get(&axis.name));
        named.is_none_or(|system| subject_of(system) == subject)
    }

    fn id(&self, dims: &Dims, subject: &str) -> String {
        let model = dims.get(MODEL_AXIS).map_or("", String::as_str);
        let differing: Vec<String> = self
            .config
            .axes
            .iter()
            .filter(|axis| axis.name != MODEL_AXIS && !self.is_base(axis, dims))
            .map(|axis| format!("{}={}", axis.name, dims[&axis.name]))
            .collect();
        let tail = if differing.is_empty() { "base".to_owned() } else { differing.join(",") };
        format!("{subject}/{model}/{tail}")
    }
}

/// What an axis sets whose value is the subject that reads.
const READING_SUBJECT: &str = "reader.subject";

/// The subject of `name@version`.
#[must_use]
pub fn subject_of(system: &str) -> &str {
    system.split_once('@').map_or(system, |(subject, _)| subject)
}

/// Whether a session goes to a newer release, to an older one, to another subject, or stays.
/// The order is that of releases as a filter compares them.
#[must_use]
pub fn crossing(writer: &str, reader: &str) -> &'static str {
    let parts = |system: &str| {
        let (subject, version) = system.split_once('@').unwrap_or(("", system));
        (subject.to_owned(), version.to_owned())
    };
    let ((from, old), (to, new)) = (parts(writer), parts(reader));
    match compare_versions(&old, &new).filter(|_| from == to) {
        Some(Ordering::Less) => "upgrade",
        Some(Ordering::Greater) => "rollback",
        None if writer != reader => "handover",
        _ => "none",
    }
}

#[cfg(test)]
mod tests;
