//! The axes on which two passports are compared.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::route::RefusalCode;

use super::compare::Consequence;
use super::rules::{RULES, Rule};

/// One thing that may differ between where a session was saved and where it shall be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table of rules says what each is and what follows from it")]
pub enum Axis {
    Engine,
    Format,
    Release,
    Layout,
    ModelRepository,
    ModelRevision,
    ModelFile,
    Architecture,
    ModelShape,
    ModelContent,
    ModelSize,
    Quantization,
    Vocabulary,
    ChatTemplate,
    KvTypeK,
    KvTypeV,
    VTransposed,
    RotationK,
    RotationV,
    KvUnified,
    Streams,
    SequencesMax,
    ContextLength,
    SlidingWindowFull,
    RopeScaling,
    RopeBase,
    RopeScale,
    Yarn,
    Adapters,
    Preset,
    Backend,
    CpuFeatures,
    Threads,
    FlashAttention,
    Migrations,
    SavedAt,
}

/// A name that no axis has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an axis of a passport")]
pub struct UnknownAxis(pub String);

impl Axis {
    /// Every axis, in the order of a report.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        RULES.iter().map(|rule| rule.axis)
    }

    /// The stable, kebab-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.rule().name
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.rule().meaning
    }

    /// The code of a refusal that this axis is to blame for.
    #[must_use]
    pub fn refusal_code(self) -> RefusalCode {
        self.rule().code
    }

    /// What can follow where it differs, each with the reason.
    pub fn effects(self) -> impl Iterator<Item = (Consequence, &'static str)> {
        self.rule().differs.outcomes()
    }

    pub(super) fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Axis {
    type Err = UnknownAxis;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = RULES.iter().find(|rule| rule.name == name);
        found.map(|rule| rule.axis).ok_or_else(|| UnknownAxis(name.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_in_the_order_of_the_axes() {
        for axis in Axis::all() {
            assert_eq!(axis.rule().axis, axis);
        }
    }
}
