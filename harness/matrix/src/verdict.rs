//! Verdicts: what became of the session in a cell.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the session in a cell; the last four say why there is no verdict.
///
/// The order is from best to worst among verdicts and is what "better" and "worse than expected" mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Logits bit-identical to the reference.
    Exact,
    /// Inside the noise floor, and the same greedy tokens.
    Equivalent,
    /// Right, but the KV was not reused.
    Recomputed,
    /// A typed refusal whose message says what differed; the live session is unharmed.
    Refused,
    /// Usable but outside the noise floor.
    Degraded,
    /// Reported success and restored nothing.
    Inert,
    /// Failed without giving a reason.
    RefusedUnclear,
    /// Failed and harmed the live session.
    RefusedDestructive,
    /// No answer in time.
    Hung,
    /// The worker died.
    Crashed,
    /// Reported success, and the output is wrong.
    Corrupt,
    /// Not a verdict: the subject cannot do what the cell asks.
    Unsupported,
    /// Not a verdict: a constraint says that the cell is impossible.
    Filtered,
    /// Not a verdict: planned, but the run ended before.
    NotRun,
    /// Not a verdict: the harness or the set-up failed.
    HarnessError,
}

impl Verdict {
    /// Every verdict and non-verdict, in order.
    pub const ALL: [Self; 15] = [
        Self::Exact,
        Self::Equivalent,
        Self::Recomputed,
        Self::Refused,
        Self::Degraded,
        Self::Inert,
        Self::RefusedUnclear,
        Self::RefusedDestructive,
        Self::Hung,
        Self::Crashed,
        Self::Corrupt,
        Self::Unsupported,
        Self::Filtered,
        Self::NotRun,
        Self::HarnessError,
    ];

    /// The name in every file, filter and report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Equivalent => "equivalent",
            Self::Recomputed => "recomputed",
            Self::Refused => "refused",
            Self::Degraded => "degraded",
            Self::Inert => "inert",
            Self::RefusedUnclear => "refused-unclear",
            Self::RefusedDestructive => "refused-destructive",
            Self::Hung => "hung",
            Self::Crashed => "crashed",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Filtered => "filtered",
            Self::NotRun => "not-run",
            Self::HarnessError => "harness-error",
        }
    }

    /// What it means, in one sentence for a reader of the report.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Exact => "The session came back: its logits are bit-identical to the uninterrupted one's.",
            Self::Equivalent => "The session came back inside the noise floor, with the same greedy tokens.",
            Self::Recomputed => {
                "The session is right, but its KV was not reused: tokens were evaluated again."
            }
            Self::Refused => "The load was refused with a reason, and the live session is unharmed.",
            Self::Degraded => "The session is usable, but outside the noise floor.",
            Self::Inert => "The load reported success and restored nothing.",
            Self::RefusedUnclear => "The load failed without saying what differed.",
            Self::RefusedDestructive => "The load failed and harmed a live session.",
            Self::Hung => "The subject did not answer in time.",
            Self::Crashed => "The subject's process died.",
            Self::Corrupt => "The load reported success, and what came back is wrong.",
            Self::Unsupported => "The subject cannot do what this cell asks.",
            Self::Filtered => "A constraint says that this combination is impossible.",
            Self::NotRun => "Planned, and not run: the run ended before, or what it needs is not here.",
            Self::HarnessError => "The harness or its set-up failed; nothing is known about the subject.",
        }
    }

    /// Whether this says something about the subject.
    #[must_use]
    pub const fn is_verdict(self) -> bool {
        !matches!(self, Self::Unsupported | Self::Filtered | Self::NotRun | Self::HarnessError)
    }

    /// Whether a cell passes with this verdict where no expectation speaks of it.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Exact | Self::Equivalent)
    }

    /// Whether an expectation of this verdict must name an issue.
    #[must_use]
    pub const fn needs_issue(self) -> bool {
        matches!(self, Self::RefusedUnclear | Self::RefusedDestructive) || self.needs_expiry()
    }

    /// Whether an expectation of this verdict must name an issue and a day on which it lapses.
    #[must_use]
    pub const fn needs_expiry(self) -> bool {
        matches!(self, Self::Crashed | Self::Hung | Self::Corrupt)
    }

    /// Whether a subject without protection that ends here has shown that the cell is a real test.
    #[must_use]
    pub const fn catches(self) -> bool {
        matches!(
            self,
            Self::Corrupt
                | Self::Crashed
                | Self::Hung
                | Self::RefusedDestructive
                | Self::RefusedUnclear
                | Self::Inert
                | Self::Degraded
                | Self::Refused
        )
    }

    /// The verdict of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_serde_writes_and_reads() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).expect("json"), verdict.name());
            assert_eq!(Verdict::from_name(verdict.name()), Some(verdict));
        }
    }

    #[test]
    fn only_exact_and_equivalent_pass_by_default() {
        let passing: Vec<_> = Verdict::ALL.into_iter().filter(|verdict| verdict.passes()).collect();
        assert_eq!(passing, [Verdict::Exact, Verdict::Equivalent]);
    }

    #[test]
    fn what_needs_an_expiry_needs_an_issue() {
        assert!(Verdict::ALL.into_iter().filter(|verdict| verdict.needs_expiry()).all(Verdict::needs_issue));
    }
}
