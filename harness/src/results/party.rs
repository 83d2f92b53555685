//! Who took part: subjects, llama.cpp releases, models.

use std::path::PathBuf;

use intact_protocol::Hello;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Part;

/// A system under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectInfo {
    /// Its name in `intact.toml`.
    pub name: String,
    /// The command line of its worker.
    pub command: Vec<String>,
    /// What it is in the run: judged by the gate, or the negative control.
    pub part: Part,
    /// What its worker said of itself; `None` where it did not pass the compliance probe.
    pub hello: Option<Hello>,
    /// Why it could not take part.
    pub problem: Option<String>,
    /// Of a subject that is installed in several versions: each of them.
    #[serde(default)]
    pub systems: Vec<SystemInfo>,
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemInfo {
    /// Its name, `subject@version`: a value of the dimensions `writer` and `reader`.
    pub name: String,
    /// The command line of its worker; empty where it is not installed.
    pub command: Vec<String>,
    /// What its worker said of itself; `None` where it did not take part.
    pub hello: Option<Hello>,
    /// Why it could not take part.
    pub problem: Option<String>,
}

/// A llama.cpp release that sessions crossed to or from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseInfo {
    /// Its name, a value of the dimensions `writer` and `reader`.
    pub release: String,
    /// Day on which the package with it was published.
    pub published: String,
    /// Id of its state layout.
    pub layout: String,
    /// What changed in it.
    pub note: String,
    /// Its worker; `None` where the configured ones are of this release, or none is built.
    pub worker: Option<PathBuf>,
    /// Why it could not take part.
    pub problem: Option<String>,
}

/// A model that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// The value of the `model` dimension.
    pub name: String,
    /// The value of the `family` dimension.
    pub family: String,
    /// The file.
    pub path: PathBuf,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// What a reader should know of it, such as that its template has no place for a system prompt.
    #[serde(default)]
    pub notes: Vec<String>,
}
