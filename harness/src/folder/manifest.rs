//! `run.json` and `plan.json`: what was asked for, who took part, and which cells there are.

use std::io;
use std::path::{Path, PathBuf};

use intact_format::regular;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FolderError, Partition, PlanDigest, at};
use crate::files::write_whole;
use crate::plan::PlannedCell;
use crate::results::{Environment, ModelInfo, PlanInfo, ReleaseInfo, SubjectInfo};

/// The version of `run.json` and `plan.json` that this crate writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// What was asked for, and who took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// What the process does.
    pub kind: Kind,
    /// Version of the harness.
    pub harness: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// What makes this a part of the same run as another.
    pub digest: PlanDigest,
    /// The plan's name.
    pub plan: String,
    /// The filter.
    pub filter: Option<String>,
    /// Seed of what faults do.
    pub seed: u64,
    /// Which part of the plan this is, if not all of it.
    pub partition: Option<Partition>,
    /// GGUF files that take the place of the configured models.
    pub models: Vec<PathBuf>,
    /// The program that takes the place of every `intact-worker`.
    pub worker: Option<PathBuf>,
    /// The configuration file, if not the built-in one.
    pub config: Option<PathBuf>,
    /// The expectations, where another file than the one beside the configuration was named.
    pub expectations: Option<PathBuf>,
    /// The profile of the configuration.
    pub profile: Option<String>,
    /// Folders with artifacts that others wrote.
    pub from: Vec<PathBuf>,
    /// Where its artifacts are, if this is a copy of a folder without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<String>,
    /// The machine.
    pub environment: Environment,
    /// The subjects.
    pub subjects: Vec<SubjectInfo>,
    /// The llama.cpp releases that sessions cross between.
    pub releases: Vec<ReleaseInfo>,
    /// The models.
    pub model_infos: Vec<ModelInfo>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Sessions are saved and loaded here.
    Run,
    /// Sessions are saved here, to be loaded elsewhere.
    Produce,
    /// Sessions that were saved elsewhere are loaded here.
    Consume,
    /// Other runs are put together.
    Merge,
}

/// Every cell of a plan that was selected, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// What it is the plan of.
    pub digest: PlanDigest,
    /// The plan's name, axes and certificate.
    pub info: PlanInfo,
    /// The cells that the filter selects.
    pub cells: Vec<PlannedCell>,
}

impl Manifest {
    /// A manifest from the bytes of `run.json` at a place.
    pub(crate) fn parse(bytes: &[u8], place: &Path) -> Result<Self, FolderError> {
        parse(bytes, place)
    }
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    parse(&regular::read(path).map_err(at(path))?, path)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, FolderError> {
    let malformed = |reason: String| FolderError::Malformed { path: path.to_owned(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version != u64::from(MANIFEST_VERSION) => {
            Err(malformed(format!("it has version {version}; this harness reads version {MANIFEST_VERSION}")))
        }
        _ => serde_json::from_value(value).map_err(|error| malformed(error.to_string())),
    }
}

/// Written so that it is whole or not there.
pub(super) fn write(path: &Path, value: &impl Serialize, pretty: bool) -> Result<(), FolderError> {
    let json = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let written = json.map_err(io::Error::from).and_then(|json| write_whole(path, json + "\n"));
    written.map_err(at(path))
}
