//! `intact.toml`: subjects, models, the axes of the matrix, its constraints, plans and thresholds, all as data.

mod check;
mod contexts;
mod error;
mod layer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use intact_format::regular;
use intact_protocol::Sampling;

pub use crate::axes::{AxisConfig, BlockConfig, Forbid, ModelChoice, PlanConfig, Policy, Vary};
use crate::recipe::{Names, Recipe};
use crate::{Dims, Part, Thresholds};
pub use contexts::Contexts;
pub use error::{ConfigError, Wrong};
use layer::layered;
pub use layer::{OVERRIDES, Origin, PROFILE_VARIABLE};

/// The `intact.toml` of this version of the harness, used where there is no other.
pub const DEFAULT_CONFIG: &str = include_str!("../../../intact.toml");
/// What stands for its path in messages.
const BUILT_IN: &str = "the built-in intact.toml";

/// A run's configuration.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this document: 1.
    pub version: u32,
    /// What applies to every run unless the command line says otherwise.
    pub run: RunConfig,
    /// Other values of `run`, by the name of a profile.
    #[serde(default)]
    pub profiles: BTreeMap<String, ProfileConfig>,
    /// The systems under test.
    pub subjects: Vec<SubjectConfig>,
    /// The models, unless the command line names others.
    pub models: Vec<ModelConfig>,
    /// What is said in every cell.
    pub conversation: Conversation,
    /// The axes of the matrix.
    pub axes: Vec<AxisConfig>,
    /// Load policies by name: the routes that each allows, or none for the subject's own default.
    pub policies: BTreeMap<String, Policy>,
    /// Ways to sample by name; the one with nothing in it forces replies and samples none.
    #[serde(default)]
    pub samplings: BTreeMap<String, Sampling>,
    /// Combinations that are impossible.
    #[serde(default)]
    pub forbid: Vec<Forbid>,
    /// What is run, by name.
    pub plans: BTreeMap<String, PlanConfig>,
    /// When two sets of logits count as the same.
    pub thresholds: Thresholds,
}

/// What applies to every run unless the command line says otherwise.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The plan that is run.
    pub plan: String,
    /// Seconds after which a worker that has not answered counts as hung.
    pub timeout_seconds: u64,
    /// Seconds after which a cell as a whole counts as hung; five times as many as an answer may take if not given.
    #[serde(default)]
    pub cell_timeout_seconds: Option<u64>,
    /// Tokens that are forced after the load and compared with the reference.
    pub scored_tokens: u32,
    /// Tokens that are sampled after the load, where a cell samples, and compared with the reference.
    #[serde(default = "default_sampled_tokens")]
    pub sampled_tokens: u32,
    /// Memory of its own that a worker may take, in MiB; any number if not given. Models that are mapped from their file do
    /// not count. A worker that wants more dies, and its cell is judged by that. Linux has such a limit; elsewhere there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_memory_mib: Option<u64>,
}

/// Values of `run` that a profile sets; what it does not say stays.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// The plan that is run.
    pub plan: Option<String>,
    /// Seconds after which a worker that has not answered counts as hung.
    pub timeout_seconds: Option<u64>,
    /// Seconds after which a cell as a whole counts as hung.
    pub cell_timeout_seconds: Option<u64>,
    /// Tokens that are forced after the load and compared with the reference.
    pub scored_tokens: Option<u32>,
    /// Tokens that are sampled after the load, where a cell samples, and compared with the reference.
    pub sampled_tokens: Option<u32>,
    /// Memory of its own that a worker may take, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_memory_mib: Option<u64>,
}

/// A configuration as it is in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The values.
    pub config: Config,
    /// Where those come from that the file does not set, by path, such as `run.plan`.
    pub origins: BTreeMap<String, Origin>,
}

impl RunConfig {
    /// Seconds after which a cell as a whole counts as hung.
    #[must_use]
    pub fn cell_timeout_seconds(&self) -> u64 {
        self.cell_timeout_seconds.unwrap_or(self.timeout_seconds.saturating_mul(5))
    }
}

fn default_sampled_tokens() -> u32 {
    64
}

/// A system under test.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectConfig {
    /// Its name, the value of the `subject` dimension.
    pub name: String,
    /// The command line of its worker. A program without a folder is looked for beside the `intact` command first.
    #[serde(default)]
    pub command: Vec<String>,
    /// Instead of a command line: it is one that `intact subjects add` installs, in these versions, or in whichever
    /// there are if none is named.
    #[serde(default)]
    pub installed: Option<Vec<String>>,
    /// Those of these versions without which a run is incomplete. The cells of others that are not installed are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Names of variables of the environment that its worker is given besides the usual ones. Tokens and other secrets are
    /// given to no worker that does not name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
    /// Judged by the gate, or a control.
    pub part: Part,
    /// The subject whose uninterrupted sessions this one is compared with too, because both run a session in the same way:
    /// the same program, which only saves and loads otherwise. Without it, its own.
    #[serde(default)]
    pub controls_of: Option<String>,
    /// Axes that mean nothing to this subject.
    #[serde(default)]
    pub inapplicable: Vec<String>,
}

/// A model and its variants.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Its name, a value of the `model` dimension.
    pub name: String,
    /// Id of a fixture model, or
    #[serde(default)]
    pub fixture: Option<String>,
    /// a GGUF file.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Other models that a reader may open instead, by the name that axes use: ids of fixtures, or GGUF files where the
    /// model is a file.
    #[serde(default)]
    pub variants: BTreeMap<String, String>,
    /// Adapters that may be applied together, by the name that axes use for them.
    #[serde(default)]
    pub adapters: BTreeMap<String, Vec<AdapterConfig>>,
}

/// A LoRA adapter or a control vector that may be applied to a model.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Id of a fixture adapter.
    pub fixture: String,
    /// How strongly it is applied.
    pub scale: f32,
}

/// What is said in every cell. Replies are forced, so that every subject holds the same tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The system prompt.
    pub system: String,
    /// The session that is saved and loaded.
    pub session: Vec<Turn>,
    /// Another session, whose files take the place of the first one's where a fault swaps them.
    pub other: Vec<Turn>,
    /// The session that is live in the reader while it loads, and must come to no harm.
    pub bystander: Vec<Turn>,
    /// What is forced after a load, and scored.
    pub continuation: String,
    /// What is said after a load where the reply is sampled.
    #[serde(default = "default_question")]
    pub question: String,
    /// Turns that a model of the user's is told over and over, until its session is longer than the smallest context and
    /// than its window: tokenizers make very different numbers of tokens of one text.
    #[serde(default)]
    pub more: Vec<Turn>,
}

fn default_question() -> String {
    "And then?".to_owned()
}

/// One message and its forced reply.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// What the user says.
    pub user: String,
    /// What the assistant is made to answer.
    pub reply: String,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], pointing at the line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = regular::read_text(path)
            .map_err(|source| ConfigError::Io { path: path.to_owned(), reason: source.to_string() })?;
        Self::parse(&text, path)
    }

    /// Reads text; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`], pointing at the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::toml(&error, text, path))?;
        check::check(&config).map_err(|fault| ConfigError::at(fault.span, fault.message, text, path))?;
        Ok(config)
    }

    /// The built-in one, as it is.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn built_in() -> Result<Self, ConfigError> {
        Self::parse(DEFAULT_CONFIG, Path::new(BUILT_IN))
    }

    /// The configuration as it is in force: a file, or the built-in one, with a profile and the environment's INTACT_*.
    ///
    /// # Errors
    /// [`ConfigError`], pointing at the line.
    pub fn in_force(path: Option<&Path>, profile: Option<&str>) -> Result<InForce, ConfigError> {
        let (text, path) = match path {
            Some(path) => {
                let text = regular::read_text(path).map_err(|source| ConfigError::Io {
                    path: path.to_owned(),
                    reason: source.to_string(),
                })?;
                (text, path.to_owned())
            }
            None => (DEFAULT_CONFIG.to_owned(), PathBuf::from(BUILT_IN)),
        };
        // The file itself must be sound, whatever is laid over it.
        let own = Self::parse(&text, &path)?;
        let layered = layered(&text, &path, profile, &|name| std::env::var(name).ok())?;
        let config = layered.text.map_or(Ok(own), |text| Self::parse(&text, &path))?;
        Ok(InForce { config, origins: layered.origins })
    }

    /// The axis of this name.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<&AxisConfig> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// What a cell with these dimensions does.
    ///
    /// # Errors
    /// A value that its axis cannot have; a checked configuration has none.
    pub fn recipe(&self, dims: &Dims) -> Result<Recipe, String> {
        Recipe::of(dims, &self.axes, self.names())
    }

    /// What the values of axes may name.
    fn names(&self) -> Names<'_> {
        Names { samplings: &self.samplings, policies: &self.policies }
    }

    /// Names that a filter may use: every axis, and what the harness adds.
    #[must_use]
    pub fn dimensions(&self) -> Vec<&str> {
        self.axes.iter().map(|axis| axis.name.as_str()).chain(ADDED_DIMENSIONS).collect()
    }
}

/// Dimensions that every cell has without an axis for them.
pub const ADDED_DIMENSIONS: [&str; 5] = ["subject", "family", "writer", "reader", "crossing"];

#[cfg(test)]
mod tests;
