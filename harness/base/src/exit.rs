//! Exit codes: what a run says to the shell that started it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended. The first that applies, in this order, is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Every cell is as expected.
    Fine,
    /// The filter selected no cell.
    NothingSelected,
    /// Some selected cells were not run.
    Incomplete,
    /// The filter could not be read.
    BadFilter,
    /// Somebody else's configuration names programs that are not trusted.
    Untrusted,
    /// Configuration, models or workers could not be set up.
    SetUp,
    /// At least one cell is worse than expected.
    GateFailed,
    /// No verdict could be given; a panic of the command gives this too.
    NoVerdict,
    /// At least one expectation is stale: a cell is better than expected.
    Stale,
    /// The restore path became slower.
    Regression,
    /// Whether the restore path became slower could not be decided.
    Unproven,
}

impl Exit {
    /// Every exit, in order of its code.
    pub const ALL: [Self; 11] = [
        Self::Fine,
        Self::NothingSelected,
        Self::Incomplete,
        Self::BadFilter,
        Self::Untrusted,
        Self::SetUp,
        Self::GateFailed,
        Self::NoVerdict,
        Self::Stale,
        Self::Regression,
        Self::Unproven,
    ];

    /// The code for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::NothingSelected => 4,
            Self::Incomplete => 5,
            Self::BadFilter => 94,
            Self::Untrusted => 95,
            Self::SetUp => 96,
            Self::GateFailed => 100,
            Self::NoVerdict => 101,
            Self::Stale => 102,
            Self::Regression => 103,
            Self::Unproven => 104,
        }
    }

    /// What it means, in one line.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "every cell is as expected",
            Self::NothingSelected => "the filter selected no cell",
            Self::Incomplete => "some selected cells were not run",
            Self::BadFilter => "the filter could not be read",
            Self::Untrusted => "somebody else's configuration names programs that are not trusted",
            Self::SetUp => "configuration, models or workers could not be set up",
            Self::GateFailed => "at least one cell is worse than expected",
            Self::NoVerdict => "no verdict could be given",
            Self::Stale => "at least one expectation is out of date: a cell is better than expected",
            Self::Regression => "the restore path became slower",
            Self::Unproven => "whether the restore path became slower could not be decided",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_in_order_and_only_fine_is_zero() {
        let codes: Vec<_> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 4, 5, 94, 95, 96, 100, 101, 102, 103, 104]);
    }
}
