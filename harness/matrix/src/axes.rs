//! The matrix: its axes, what is impossible, and the plans over it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// An axis of the matrix.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AxisConfig {
    /// Its name, that of a dimension.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// What its value sets, such as `writer.type_k`: see [`crate::recipe::Target`].
    #[schemars(with = "Vec<String>")]
    pub sets: Vec<Spanned<String>>,
    /// Its values; the first is the base value.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub values: Vec<Spanned<String>>,
    /// Its values are the llama.cpp releases instead: the one that the configured workers have first, then those in
    /// which something changed, and every other one that a worker is built for.
    #[serde(default)]
    pub releases: bool,
    /// Its values are, after those that are given, the subjects: an installed one once for each version, as
    /// `name@version`. A cell belongs to the subject that reads.
    #[serde(default)]
    pub subjects: bool,
    /// It takes part only in blocks that name it.
    #[serde(default)]
    pub on_demand: bool,
    /// Every value but the base one is a fault: at most one axis of a cell may have such a value.
    #[serde(default)]
    pub negative: bool,
    /// The axis of the writer that `same` refers to.
    #[serde(default)]
    pub mirrors: Option<String>,
    /// The unprotected subject's cells that are the negative control of this axis: a filter. Without it, the cells
    /// in which only this axis is not at its base value.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub control: Option<Spanned<String>>,
    /// The axis whose negative control is this one's too.
    #[serde(default)]
    pub controlled_by: Option<String>,
    /// Why the unprotected subject comes through where only this axis differs, if it does.
    #[serde(default)]
    pub uncontrolled: Option<String>,
}

/// Routes that a load may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The routes; none for the subject's own default.
    #[serde(default)]
    pub routes: Option<Vec<String>>,
}

/// A combination that is impossible.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forbid {
    /// Which cells: a filter.
    #[schemars(with = "String")]
    pub when: Spanned<String>,
    /// Why.
    pub reason: String,
}

/// What is run.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanConfig {
    /// What it is for, in a sentence.
    pub about: String,
    /// The plan whose cells are part of this one, and whose covering arrays this one's grow from.
    #[serde(default)]
    pub builds_on: Option<String>,
    /// Which models take part.
    #[serde(default)]
    pub models: ModelChoice,
    /// Sets of cells; a cell that is in several is run once.
    pub blocks: Vec<BlockConfig>,
}

/// Which models take part in a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelChoice {
    /// Those that are configured.
    #[default]
    Configured,
    /// One of every architecture that fixtures have.
    Zoo,
}

/// A set of cells.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockConfig {
    /// How the axes vary.
    pub vary: Vary,
    /// The axes that vary; all others stay at their base value. Empty means every axis.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub axes: Vec<Spanned<String>>,
    /// The block is repeated for every combination of values of these axes.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub each: Vec<Spanned<String>>,
    /// Of a block of pairs: the axes of which every triple of values occurs too.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub strengthen: Vec<Spanned<String>>,
    /// Only these cells: a filter.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub only: Option<Spanned<String>>,
}

/// How the axes of a block vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Vary {
    /// One at a time: the base cell, and a cell for each other value.
    One,
    /// Every pair of values in at least one cell.
    Pairs,
    /// Every three values in at least one cell.
    Triples,
    /// Every combination.
    All,
}

impl AxisConfig {
    /// The base value.
    #[must_use]
    pub fn base(&self) -> &str {
        self.values.first().map_or("", |value| value.get_ref())
    }

    /// The values as text.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| value.get_ref().as_str())
    }
}
