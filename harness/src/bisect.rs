//! The search for the first of many releases that fails: which one to try next, and what has been found.
//!
//! Releases stand in order, oldest first. The first is said to work and the last to fail; both are tried, because neither is
//! believed. Between them a search halves what is left. A release that cannot be tried is passed over, and where the break lies
//! among such releases, that is said.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What became of one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tried {
    /// It works.
    Good,
    /// It fails.
    Bad,
    /// Nothing can be said of it.
    Skipped,
}

/// A search over releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    tried: Vec<Option<Tried>>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// This one has to be tried.
    Try(usize),
    /// The search is over.
    Found {
        /// The last that works.
        last_good: usize,
        /// The first that is known to fail.
        first_bad: usize,
    },
}

/// Why nothing can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NothingToFind {
    /// The one that is said to work does not.
    #[error("the one that is said to work fails too")]
    FirstFails,
    /// The one that is said to fail does not.
    #[error("the one that is said to fail works")]
    LastWorks,
    /// One of both cannot be tried.
    #[error("one of the two ends cannot be tried")]
    Untried,
}

impl Search {
    /// A search over so many releases, two at least.
    pub(crate) fn over(count: usize) -> Self {
        Self { tried: vec![None; count.max(2)] }
    }

    /// Notes what became of one.
    pub(crate) fn note(&mut self, at: usize, tried: Tried) {
        if let Some(place) = self.tried.get_mut(at) {
            *place = Some(tried);
        }
    }

    /// How many were tried.
    pub(crate) fn steps(&self) -> usize {
        self.tried.iter().flatten().count()
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`NothingToFind`] where the ends are not what they are said to be.
    pub(crate) fn next(&self) -> Result<Step, NothingToFind> {
        let last = self.tried.len() - 1;
        match self.tried[0] {
            None => return Ok(Step::Try(0)),
            Some(Tried::Good) => {}
            Some(Tried::Bad) => return Err(NothingToFind::FirstFails),
            Some(Tried::Skipped) => return Err(NothingToFind::Untried),
        }
        match self.tried[last] {
            None => return Ok(Step::Try(last)),
            Some(Tried::Bad) => {}
            Some(Tried::Good) => return Err(NothingToFind::LastWorks),
            Some(Tried::Skipped) => return Err(NothingToFind::Untried),
        }
        let is = |at: usize, what: Tried| self.tried[at] == Some(what);
        // What was noted in an earlier search may be more than one halving asks for.
        let first_bad = (1..=last).find(|&at| is(at, Tried::Bad)).unwrap_or(last);
        let last_good = (0..first_bad).rev().find(|&at| is(at, Tried::Good)).unwrap_or(0);
        let middle = last_good.midpoint(first_bad);
        let left = (last_good + 1..first_bad).filter(|&at| self.tried[at].is_none());
        Ok(left.min_by_key(|at| at.abs_diff(middle)).map_or(Step::Found { last_good, first_bad }, Step::Try))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches where everything from `break_at` on fails and these cannot be tried. Gives what was found, and the steps.
    fn found(count: usize, break_at: usize, skipped: &[usize]) -> (usize, usize, usize) {
        let mut search = Search::over(count);
        loop {
            match search.next().expect("the ends are what they are said to be") {
                Step::Found { last_good, first_bad } => return (last_good, first_bad, search.steps()),
                Step::Try(at) => {
                    let tried = match at {
                        at if skipped.contains(&at) => Tried::Skipped,
                        at if at >= break_at => Tried::Bad,
                        _ => Tried::Good,
                    };
                    search.note(at, tried);
                }
            }
        }
    }

    #[test]
    fn the_break_is_found_in_few_steps() {
        for (count, break_at) in [(2, 1), (3, 1), (3, 2), (33, 1), (33, 17), (33, 32), (42, 29)] {
            let (good, bad, steps) = found(count, break_at, &[]);
            assert_eq!((good, bad), (break_at - 1, break_at));
            assert!(steps < 9, "{count}: {steps}");
        }
        assert_eq!(found(9, 5, &[4, 5]), (3, 6, 6), "the break lies among those that cannot be tried");
    }

    #[test]
    fn ends_that_are_not_what_they_are_said_to_be_are_found_out() {
        for (first, last, expected) in [
            (Tried::Bad, Tried::Bad, NothingToFind::FirstFails),
            (Tried::Good, Tried::Good, NothingToFind::LastWorks),
            (Tried::Skipped, Tried::Bad, NothingToFind::Untried),
            (Tried::Good, Tried::Skipped, NothingToFind::Untried),
        ] {
            let mut search = Search::over(5);
            search.note(0, first);
            search.note(4, last);
            assert_eq!(search.next(), Err(expected));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_skipped_the_break_lies_between_what_is_found(
            count in 2_usize..200,
            at in any::<prop::sample::Index>(),
            skipped in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let break_at = 1 + at.index(count - 1);
            let skipped: Vec<usize> =
                skipped.iter().map(|one| one.index(count)).filter(|&one| one > 0 && one < count - 1).collect();
            let (good, bad, steps) = found(count, break_at, &skipped);
            prop_assert!(good < break_at && break_at <= bad);
            prop_assert!((good + 1..bad).all(|between| skipped.contains(&between)));
            let halvings = usize::BITS - count.leading_zeros();
            // One that is skipped costs its own step, and the halving that its neighbour, off the middle, does not do.
            prop_assert!(steps <= 2 + halvings as usize + 2 * skipped.len());
        }
    }
}
