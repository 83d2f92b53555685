//! What a model's own noise is, and what parts it from a restore that is wrong.
//!
//! A study holds the same conversation under many settings, and with models and images that are wrong on purpose, and measures
//! by each candidate measure how far what is restored is from what the reader gives by itself. For every route there are
//! then two distributions, *right* and *wrong*, and the measure with the widest gap between them is the one to judge by.
//! Restoring is done by llama.cpp's own loader, unprotected, so that nothing is refused before it is measured; states are
//! converted and spoilt outside of llama.cpp.

mod cases;
mod conversation;
mod desk;
mod image;
mod measure;
mod study;
mod table;

use std::io;
use std::path::PathBuf;

use intact_format::foreign::ForeignError;
use intact_format::gguf::GgufError;
use intact_format::layout::{ConvertError, LayoutError};
use intact_protocol::LogitsError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use measure::Measure;
pub use study::{Options, Watch, study};
pub use table::{Gap, gaps, markdown, overview, weakest};

use crate::change::ChangeError;
use crate::worker::WorkerError;

/// Everything that a study of one model found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What the model is called.
    pub model: String,
    /// How most of its weights are stored.
    pub weights: String,
    /// The llama.cpp release that was asked.
    pub release: String,
    /// Every case, route by route.
    pub findings: Vec<Finding>,
    /// What could not be measured here, and why.
    pub left_out: Vec<String>,
}

/// One case on one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The route: what differs between writer and reader.
    pub route: String,
    /// What it is.
    pub kind: Kind,
    /// What the case is.
    pub case: String,
    /// What catches it besides, where it is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_by: Option<String>,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// Whether a restore is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same session, under settings that change nothing but the last bits, or what quantizing costs.
    Right,
    /// Another model, another session, another meaning of the bytes.
    Wrong,
    /// The right bytes but for a few.
    Damage,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What was looked at.
    pub view: View,
    /// The measure.
    pub measure: Measure,
    /// How far.
    pub value: f64,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The restored cells beside those that the reader computes for the same tokens.
    Cells,
    /// What the writer said beside what the reader says over the restored cells.
    Restored,
    /// What the writer said beside what the reader says when it evaluates all tokens again.
    Again,
}

/// Why a study cannot be made.
#[derive(Debug, Error)]
pub enum StudyError {
    /// A worker did not do what it was asked for.
    #[error("the worker did not carry out `{op}`: {said}")]
    Worker {
        /// The operation.
        op: &'static str,
        /// What it said.
        said: String,
    },
    /// A worker failed.
    #[error(transparent)]
    Died(#[from] WorkerError),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No route is called so.
    #[error("no route has `{only}` in its name, so nothing would be measured; there are: {known}")]
    NoRoute {
        /// What was asked for.
        only: String,
        /// Names of the routes.
        known: String,
    },
    /// The state of this release is not understood.
    #[error("the states of this worker are not understood ({0}), so its cells cannot be compared")]
    Opaque(String),
    /// The state file is none.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// The state cannot be read or written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The state cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Logits could not be read.
    #[error(transparent)]
    Logits(#[from] LogitsError),
    /// A negative control could not be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The model is no GGUF file.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The quantizer failed.
    #[error("weights of another type could not be made: {0}")]
    Quantize(String),
}

impl StudyError {
    fn other(op: &'static str) -> Self {
        Self::Worker { op, said: "it answered another question than the one asked".into() }
    }
}
