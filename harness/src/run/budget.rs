//! A time budget: cells are played in batches, those first that tell most, and what there is no time for is left out.
//!
//! The clock decides: nothing is begun when the time is over, and what is under way then is finished. A run so takes as much
//! longer than its budget as one save, one reference, or one cell. The most telling cell alone is played however long that takes:
//! without it nothing would be known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::folder::Outcome;
use crate::judge::Judgement;
use crate::plan::PlannedCell;
use crate::recipe::INAPPLICABLE;
use crate::results::{LEFT_OUT, Part};
use crate::verdict::Verdict;

/// Judged cells of a batch, with their unprotected ones. Workers are started anew for each batch, and a model is opened in
/// each, so few of them would cost more than they spare; the first ones are smaller, so that little time does for something.
const BATCH: usize = 12;
/// Judged cells of the first batches.
const FIRST: [usize; 2] = [1, 4];

/// How long a run may take, from when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    began: Instant,
    time: Duration,
}

impl Budget {
    /// So much time from a moment on.
    pub(super) fn since(began: Instant, time: Duration) -> Self {
        Self { began, time }
    }

    /// Whether the time is over.
    pub(super) fn is_over(self) -> bool {
        self.began.elapsed() >= self.time
    }

    /// What becomes of a cell that there is no time for: it is filtered, and nothing is known of it.
    pub(super) fn left_out(self) -> Outcome {
        let message = format!(
            "Left out to stay within the budget of {}: other cells tell more. Nothing is known of it",
            told(self.time)
        );
        Outcome::plain(Judgement::plain(Verdict::Filtered, Some(LEFT_OUT), message))
    }

    /// What is said of cells that were left out, if any were.
    pub(super) fn note<'c>(self, cells: impl Iterator<Item = &'c str>) -> Option<String> {
        let cells: Vec<&str> = cells.collect();
        let count = cells.len();
        let (were, names) = (if count == 1 { "cell was" } else { "cells were" }, cells.join(", "));
        let note =
            format!("{count} {were} left out to stay within the budget of {}: {names}", told(self.time));
        (count > 0).then_some(note)
    }

    /// What is said of the time that the rest takes.
    pub(super) fn forecast(self, rest: Duration) -> String {
        format!("about {} more for the whole plan, of a budget of {}", told(rest), told(self.time))
    }
}

/// Cells in the batches in which they are played, the most telling first.
pub(super) fn batches(cells: &[PlannedCell]) -> Vec<Vec<PlannedCell>> {
    let mut groups = by_telling(cells).into_iter();
    let sizes = FIRST.into_iter().chain(std::iter::repeat(BATCH));
    let batches = sizes.map(|size| groups.by_ref().take(size).flatten().collect::<Vec<_>>());
    batches.take_while(|batch| !batch.is_empty()).collect()
}

/// What so many cells take, where so many took some time.
pub(super) fn estimate(cells: usize, played: usize, took: Duration) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "numbers of cells")]
    took.mul_f64(cells as f64 / played.max(1) as f64)
}

/// Cells in groups, the most telling first: a judged cell with the unprotected ones in its place. Plans name first what
/// tells most.
fn by_telling(cells: &[PlannedCell]) -> Vec<Vec<PlannedCell>> {
    let place = |cell: &PlannedCell, left_out: &BTreeSet<&str>| -> Place {
        let dims = cell
            .dims
            .iter()
            .filter(|(name, _)| !WHO.contains(&name.as_str()) && !left_out.contains(name.as_str()));
        dims.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let judged: Vec<&PlannedCell> = cells.iter().filter(|cell| cell.part == Part::Judged).collect();
    let mut groups: Vec<Vec<PlannedCell>> = judged.iter().map(|cell| vec![(*cell).clone()]).collect();
    let mut places: BTreeMap<BTreeSet<&str>, BTreeMap<Place, usize>> = BTreeMap::new();
    let mut alone = Vec::new();
    for cell in cells.iter().filter(|cell| cell.part == Part::Control) {
        let missing = cell.dims.iter().filter(|(_, value)| *value == INAPPLICABLE);
        let missing: BTreeSet<&str> = missing.map(|(name, _)| name.as_str()).collect();
        let known = places.entry(missing.clone()).or_insert_with(|| {
            // The first of equals.
            let all = judged.iter().enumerate().rev();
            all.map(|(index, cell)| (place(cell, &missing), index)).collect()
        });
        match known.get(&place(cell, &missing)) {
            Some(index) => groups[*index].push(cell.clone()),
            None => alone.push(vec![cell.clone()]),
        }
    }
    groups.extend(alone);
    groups
}

/// The values of a cell's dimensions, by name.
type Place = Vec<(String, String)>;

/// Dimensions that say who plays a cell.
const WHO: [&str; 3] = ["subject", "writer", "reader"];

/// A time for a person.
fn told(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 90.0 {
        return format!("{seconds:.0} s");
    }
    let minutes = seconds / 60.0;
    if minutes < 10.0 && (minutes - minutes.round()).abs() > 0.05 {
        format!("{minutes:.1} minutes")
    } else {
        format!("{minutes:.0} minutes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A budget of a minute of which so many seconds are gone. A moment before this machine was started cannot be told.
    fn after(gone: u64) -> Option<Budget> {
        let began = Instant::now().checked_sub(Duration::from_secs(gone))?;
        Some(Budget::since(began, Duration::from_secs(60)))
    }

    #[test]
    fn a_budget_is_over_when_its_time_is() {
        assert!(!after(0).expect("a moment").is_over());
        assert!(after(60).is_none_or(Budget::is_over));
        assert!(Budget::since(Instant::now(), Duration::ZERO).is_over());
    }

    #[test]
    fn batches_hold_every_cell_once_and_in_order() {
        let cells: Vec<PlannedCell> = (0..40)
            .map(|at| PlannedCell {
                id: at.to_string(),
                dims: [("subject".to_owned(), "engine".to_owned()), ("n".to_owned(), at.to_string())].into(),
                part: Part::Judged,
                filtered: None,
            })
            .collect();
        let batches = batches(&cells);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1, 4, 12, 12, 11]);
        let ids: Vec<&str> = batches.iter().flatten().map(|cell| cell.id.as_str()).collect();
        assert_eq!(ids, cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_left_out_is_named() {
        let minute = after(0).expect("a moment");
        assert_eq!(minute.note([].into_iter()), None);
        let told = minute.note(["a", "b"].into_iter()).expect("a note");
        assert_eq!(told, "2 cells were left out to stay within the budget of 60 s: a, b");
    }

    #[test]
    fn an_unprotected_cell_goes_with_the_first_judged_one_in_its_place() {
        let cell = |id: &str, part, dims: &[(&str, &str)]| PlannedCell {
            id: id.to_owned(),
            dims: dims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            part,
            filtered: None,
        };
        let cells = [
            cell("a", Part::Judged, &[("subject", "engine"), ("kv", "f16"), ("format", "2.0")]),
            cell("b", Part::Judged, &[("subject", "engine"), ("kv", "q8_0"), ("format", "2.0")]),
            cell("c", Part::Judged, &[("subject", "engine"), ("kv", "f16"), ("format", "1.0")]),
            cell("x", Part::Control, &[("subject", "blind"), ("kv", "f16"), ("format", "-")]),
            cell("y", Part::Control, &[("subject", "blind"), ("kv", "q8_0"), ("format", "-")]),
            cell("z", Part::Control, &[("subject", "blind"), ("kv", "q4_0"), ("format", "-")]),
        ];
        let groups = by_telling(&cells);
        let ids = |group: &Vec<PlannedCell>| group.iter().map(|cell| cell.id.clone()).collect::<String>();
        assert_eq!(groups.iter().map(ids).collect::<Vec<_>>(), ["ax", "by", "c", "z"]);
    }

    #[test]
    fn times_are_told_as_a_person_would() {
        let told =
            [4.4, 89.0, 90.0, 150.0, 600.0, 4000.0].map(|seconds| told(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["4 s", "89 s", "1.5 minutes", "2.5 minutes", "10 minutes", "67 minutes"]);
    }
}
