//! The order in which the two sides take their turns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two workers of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// What is compared with.
    Base,
    /// What is asked about.
    Candidate,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Base, Self::Candidate];

    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Candidate => "candidate",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Base => Self::Candidate,
            Self::Candidate => Self::Base,
        }
    }
}

/// The turns of one block: A B B A, mirrored in every other round and block.
///
/// A machine that becomes steadily slower or faster meets both sides alike in each round, and neither side is always
/// the one that begins.
pub fn turns(block: usize, rounds: usize) -> impl Iterator<Item = Side> {
    (0..rounds).flat_map(move |round| {
        let first = if (block + round).is_multiple_of(2) { Side::Base } else { Side::Candidate };
        [first, first.other(), first.other(), first]
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_are_abba_and_baab_in_turn() {
        let letters = |block, rounds| -> String {
            turns(block, rounds).map(|side| if side == Side::Base { 'A' } else { 'B' }).collect()
        };
        let table = [((0, 1), "ABBA"), ((1, 1), "BAAB"), ((0, 2), "ABBABAAB"), ((3, 2), "BAABABBA")];
        for ((block, rounds), expected) in table {
            assert_eq!(letters(block, rounds), expected);
        }
    }

    proptest! {
        /// A drift that is linear in time adds the same to both sides of every round.
        #[test]
        fn a_linear_drift_cancels(block in 0_usize..50, rounds in 1_usize..6, slope in -1.0..1.0_f64) {
            let drift = |wanted: Side| -> f64 {
                let turns = turns(block, rounds).enumerate().filter(|(_, side)| *side == wanted);
                turns.map(|(time, _)| slope * time as f64).sum()
            };
            prop_assert!((drift(Side::Base) - drift(Side::Candidate)).abs() < 1e-9);
        }
    }
}
