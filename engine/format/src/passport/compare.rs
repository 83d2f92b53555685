//! Two passports, axis by axis.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Passport;
use super::axis::Axis;
use super::rules::RULES;
use crate::canary::CanaryRule;

/// What follows from one axis for the saved KV, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// Nothing differs.
    Same,
    /// It differs, and the KV means the same.
    Harmless,
    /// The KV means the same once it is encoded for this context.
    Transcode,
    /// The KV is of no use; the tokens are.
    Reprefill,
    /// The tokens are of no use; the text is.
    Replay,
    /// The session cannot come back.
    Refuse,
}

/// One axis of two passports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The axis.
    pub axis: Axis,
    /// The saved value.
    pub saved: String,
    /// The value here.
    pub here: String,
    /// What follows.
    pub consequence: Consequence,
    /// Why, in a sentence that a user understands; empty where nothing differs.
    pub reason: String,
    /// How close the canary can be with this difference.
    pub canary: CanaryRule,
}

/// Compares two passports: every axis in the order of the table, those that are the same too. Pure.
#[must_use]
pub fn compare(saved: &Passport, here: &Passport) -> Vec<Difference> {
    RULES
        .iter()
        .map(|rule| {
            let (left, right) = ((rule.value)(saved, here), (rule.value)(here, saved));
            let ((consequence, reason), canary) = if left == right {
                ((Consequence::Same, ""), CanaryRule::Exact)
            } else {
                (rule.outcome(saved, here), (rule.canary)(saved, here))
            };
            let reason = reason.to_owned();
            Difference { axis: rule.axis, saved: left, here: right, consequence, reason, canary }
        })
        .collect()
}

/// The gravest consequence; [`Consequence::Same`] of nothing.
#[must_use]
pub fn worst(differences: &[Difference]) -> Consequence {
    differences.iter().map(|difference| difference.consequence).max().unwrap_or(Consequence::Same)
}

impl Consequence {
    /// Every consequence, from least to most.
    pub const ALL: [Self; 6] =
        [Self::Same, Self::Harmless, Self::Transcode, Self::Reprefill, Self::Replay, Self::Refuse];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Harmless => "harmless",
            Self::Transcode => "transcode",
            Self::Reprefill => "reprefill",
            Self::Replay => "replay",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for Consequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One line: the axis, both values, what follows and why.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis, saved, here, consequence, reason, .. } = self;
        match consequence {
            Consequence::Same => write!(f, "{axis}: {saved}"),
            _ => write!(f, "{axis}: saved {saved}, here {here}: {consequence}, because {reason}"),
        }
    }
}
