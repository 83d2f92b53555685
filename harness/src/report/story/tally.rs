//! How many cells ended how.

use std::collections::BTreeMap;

use super::super::attempt::dim;
use super::super::called::called;
use crate::results::Cell;
use crate::style::{Style, Tone};
use crate::verdict::Verdict;

/// How many cells ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Names of the subjects counted.
    pub subjects: Vec<String>,
    /// Cells by verdict, best first.
    pub counts: BTreeMap<Verdict, usize>,
    /// Of these, the ones with an expected loss.
    pub expected_losses: usize,
}

impl Tally {
    pub(super) fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut tally = Self::default();
        for cell in cells {
            *tally.counts.entry(cell.verdict).or_default() += 1;
            tally.expected_losses += usize::from(is_expected_loss(cell));
            let subject = dim(cell, "subject");
            if !tally.subjects.contains(&subject) {
                tally.subjects.push(subject);
            }
        }
        tally
    }

    /// Cells with this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.counts.get(&verdict).copied().unwrap_or_default()
    }

    /// Cells that came back worse than they were saved, or did harm, and were not expected to.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.with(lost) - self.expected_losses
    }

    /// Cells that say something about the subject.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.with(Verdict::is_verdict)
    }

    fn with(&self, wanted: impl Fn(Verdict) -> bool) -> usize {
        self.counts.iter().filter(|(verdict, _)| wanted(**verdict)).map(|(_, count)| count).sum()
    }

    /// Who was counted, as a stranger would call them.
    #[must_use]
    pub fn called(&self) -> String {
        self.subjects.iter().map(|name| called(name)).collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn names(&self) -> String {
        self.subjects.join(" and ")
    }
}

/// What a session must not be.
const LOST: &[Tone] = &[Tone::Bad, Tone::Weak];

/// Whether it is a failure: a refusal with a reason is none, and one without is.
pub(in super::super) fn lost(verdict: Verdict) -> bool {
    verdict == Verdict::RefusedUnclear || LOST.contains(&Style::of(verdict).tone)
}

/// A loss that the repository expects of the cell, such as that of a smaller KV type that the reader asked for.
fn is_expected_loss(cell: &Cell) -> bool {
    cell.verdict == Verdict::Degraded && cell.matched && cell.expected.outcome.contains(&cell.verdict)
}

/// Whether a judged session came back worse than it was saved, or did harm, and was not expected to.
pub(in super::super) fn is_lost(cell: &Cell) -> bool {
    lost(cell.verdict) && !is_expected_loss(cell)
}
