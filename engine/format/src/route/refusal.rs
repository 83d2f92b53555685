//! A refusal: what differed, what that means, what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RefusalCode;
use crate::passport::Difference;

/// Why a load is not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable name of the reason.
    pub code: RefusalCode,
    /// For a person: what differed, what that means, what to do.
    pub message: String,
    /// The axes to blame.
    pub axes: Vec<Difference>,
}

impl Refusal {
    /// A refusal that no axis is to blame for. `detail` says what was found, in a sentence without its full stop; the
    /// next step of the code is added.
    #[must_use]
    pub fn new(code: RefusalCode, detail: impl std::fmt::Display) -> Self {
        Self { code, message: format!("{detail}; {}", code.next_step()), axes: Vec::new() }
    }

    /// A refusal that `axes` are to blame for: each is named with both values and what that means.
    #[must_use]
    pub fn of_axes(code: RefusalCode, axes: Vec<Difference>) -> Self {
        let mut message = code.summary().to_owned();
        for difference in &axes {
            message.push_str(&format!("\n  {difference}"));
        }
        message.push_str(&format!("\n{}", code.next_step()));
        Self { code, message, axes }
    }
}
