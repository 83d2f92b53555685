//! Every way in which a worker can fail, as whoever asked it sees it.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::Request;

/// The name of a request's operation, as on the wire.
pub type Operation = &'static str;

/// Every way in which a worker can fail.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerError {
    /// Its process could not be started.
    #[error("the worker `{command}` could not be started: {reason}")]
    Spawn {
        /// The command line.
        command: String,
        /// What the system said.
        reason: String,
    },
    /// It did not answer in time and was killed, with its whole process group.
    #[error("no answer to `{op}` within {seconds} s")]
    Hung {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// The limit in seconds.
        seconds: u64,
    },
    /// It died before it answered.
    #[error("the worker died during `{op}`: {how}")]
    Crashed {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// `SIGSEGV`, `exit 3`, ...: short, for the cell's code.
        code: String,
        /// The same for a person.
        how: String,
    },
    /// It answered something that the protocol does not allow.
    #[error("the worker broke the protocol during `{op}`: {how}")]
    Protocol {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// What it did.
        how: String,
    },
    /// The request itself cannot be put into words, so it was not asked; the worker has not heard of it.
    #[error("`{op}` cannot be asked: {reason}")]
    Unwritable {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// Why.
        reason: String,
    },
    /// It did not pass the compliance probe.
    #[error("the worker is not one that can be trusted with a cell: {0}")]
    Noncompliant(String),
}

impl WorkerError {
    /// Whether the worker is as it was before it was asked.
    #[must_use]
    pub fn leaves_worker_alive(&self) -> bool {
        matches!(self, Self::Unwritable { .. })
    }
}

/// Reads the name of an operation back.
///
/// # Errors
/// Those of the deserializer.
pub fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Request::OPERATIONS.into_iter().find(|known| *known == name);
    Ok(known.unwrap_or("a request"))
}
