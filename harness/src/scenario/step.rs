//! Why a step did not give what was asked for.

use intact_protocol::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use intact_protocol::{Operation, WorkerError, operation};

/// Why a step did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Error, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepError {
    /// The subject decided against it.
    #[error("{op} was refused ({code}): {message}", code = refusal.code, message = refusal.message)]
    Refused {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// What the subject said.
        refusal: Refusal,
    },
    /// The subject cannot do it.
    #[error("{op} is not supported: {message}")]
    Unsupported {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// What the subject said.
        message: String,
    },
    /// It failed.
    #[error("{op} failed: {message}")]
    Failed {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// What the subject said.
        message: String,
    },
    /// There is no room on the disk for it: that says nothing of the subject.
    #[error("{op} failed for lack of room: {message}")]
    NoRoom {
        /// The request.
        #[serde(deserialize_with = "operation")]
        op: Operation,
        /// What the subject said.
        message: String,
    },
    /// The worker failed.
    #[error(transparent)]
    Worker {
        /// How.
        #[from]
        error: WorkerError,
    },
}

impl StepError {
    /// Whether the subject itself says that it does not do this. Anything else says nothing of what it can do.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unsupported { .. })
    }

    /// Whether more time or room might have helped: that says nothing of what a subject can do, of any release.
    #[must_use]
    pub fn is_for_lack_of_time_or_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::Worker { error: WorkerError::Hung { .. } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_too_long_or_had_no_room_is_nothing_that_a_subject_cannot_do() {
        let hung = WorkerError::Hung { op: "open", seconds: 60 };
        let crashed = WorkerError::Crashed { op: "open", code: "SIGSEGV".into(), how: "it crashed".into() };
        for (error, lacks) in [
            (StepError::from(hung), true),
            (StepError::NoRoom { op: "save", message: "No space left on device".into() }, true),
            (StepError::from(crashed), false),
            (StepError::Unsupported { op: "open", message: "no such architecture".into() }, false),
        ] {
            assert_eq!(error.is_for_lack_of_time_or_room(), lacks, "{error}");
        }
    }
}
