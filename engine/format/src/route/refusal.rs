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

    /// What was found, without what to do about it.
    #[must_use]
    pub fn finding(&self) -> &str {
        let advice = format!("; {}", self.code.next_step());
        self.message.strip_suffix(advice.as_str()).unwrap_or(&self.message)
    }

    /// A refusal that `axes` are to blame for: each is named with both values and what that means.
    #[must_use]
    pub fn of_axes(code: RefusalCode, axes: Vec<Difference>) -> Self {
        Self::of_differences(code, axes, Vec::new())
    }

    /// A refusal that `blamed` are to blame for. The `harmless` axes differ too: a person may recognise the name of a
    /// model sooner than its hash.
    pub(super) fn of_differences(
        code: RefusalCode,
        blamed: Vec<Difference>,
        harmless: Vec<Difference>,
    ) -> Self {
        let mut message = code.summary().to_owned();
        for difference in &blamed {
            message.push_str(&format!("\n  {difference}"));
        }
        if !harmless.is_empty() {
            let named = harmless
                .iter()
                .map(|Difference { axis, saved, here, .. }| format!("{axis} ({saved}; {here})"));
            message.push_str(&format!(
                "\n  also different, and harmless: {}",
                named.collect::<Vec<_>>().join(", ")
            ));
        }
        message.push_str(&format!("\n{}", code.next_step()));
        Self { code, message, axes: [blamed, harmless].concat() }
    }
}
