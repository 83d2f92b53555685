//! Counts instead of times: what an operation allocates, reads, writes and touches. They are the same on a busy machine, so that two
//! workers are compared by one cycle each instead of by many, and a difference needs no statistics.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::measure::{Bench, MeasureError, Prepared, Setting};
use super::row::{Operation, Part, Row};

/// One thing that is counted.
struct Kind {
    name: &'static str,
    what: &'static str,
    /// By how much it differs between two runs of one program, at most: a document has times and numbers of other lengths, and
    /// threads meet in another order. A count that differs by more than this without a cause gates nothing.
    slack: Option<u64>,
}

const COUNTED: [Kind; 7] = [
    Kind { name: "allocations", what: "allocations", slack: Some(16) },
    Kind { name: "allocated-bytes", what: "bytes allocated", slack: None },
    Kind { name: "reads", what: "calls to read", slack: Some(0) },
    Kind { name: "read-bytes", what: "bytes read", slack: Some(64) },
    Kind { name: "writes", what: "calls to write", slack: Some(0) },
    Kind { name: "written-bytes", what: "bytes written", slack: Some(64) },
    Kind { name: "faults", what: "page faults", slack: None },
];

/// The counts of one operation, by name.
pub type Counts = BTreeMap<String, u64>;

/// One count that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The operation, and the session that it is of.
    pub row: String,
    /// What is counted.
    pub count: String,
    /// With the one worker.
    pub base: u64,
    /// With the other.
    pub candidate: u64,
}

/// Differences that somebody has looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Version of this file.
    pub version: u32,
    /// Each with the reason why it may be.
    #[serde(default)]
    pub accepted: Vec<Reviewed>,
}

/// One accepted difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// The operation, and the session that it is of.
    pub row: String,
    /// What is counted.
    pub count: String,
    /// What it may be.
    pub up_to: u64,
    /// Why.
    pub reason: String,
}

/// What two workers came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Counts that were compared.
    pub compared: usize,
    /// Counts that rose.
    pub more: Vec<Difference>,
    /// Counts that rose, and may.
    pub accepted: Vec<Difference>,
    /// Counts that fell.
    pub fewer: Vec<Difference>,
    /// Counts that differ, and do so between two runs of one program too: they gate nothing.
    pub unsteady: Vec<Difference>,
}

/// The least of several cycles: what is done once, such as the first growth of a buffer, is not the operation's.
#[must_use]
pub fn least(cycles: &[Counts]) -> Counts {
    let mut least = Counts::new();
    for (name, &count) in cycles.iter().flatten() {
        let known = least.entry(name.clone()).or_insert(count);
        *known = count.min(*known);
    }
    least
}

/// Has a worker carry out every operation so many times, and gives the least counts of each that the gate decides on.
///
/// # Errors
/// [`MeasureError`].
pub fn counted(
    prepared: &Prepared,
    setting: &Setting,
    cycles: u32,
) -> Result<Vec<(Row, Counts)>, MeasureError> {
    let mut bench: Bench<'_> = prepared.bench()?;
    let mut seen: BTreeMap<Operation, Vec<Counts>> = BTreeMap::new();
    for _ in 0..cycles {
        for (operation, sample) in bench.cycle()? {
            let counts = sample.map(|sample| sample.counts).unwrap_or_default();
            if operation.part() == Part::Gated && !counts.is_empty() {
                seen.entry(operation).or_default().push(counts);
            }
        }
    }
    bench.leave();
    Ok(seen.into_iter().map(|(operation, cycles)| (setting.row(operation), least(&cycles))).collect())
}

/// Compares counts, row by row. Pure.
#[must_use]
pub fn compare(base: &[(Row, Counts)], candidate: &[(Row, Counts)], accepted: &Accepted) -> Tally {
    let mut tally = Tally::default();
    for (row, counts) in candidate {
        let Some((_, before)) = base.iter().find(|(known, _)| known == row) else { continue };
        for Kind { name, what, slack } in COUNTED {
            let (Some(&base), Some(&candidate)) = (before.get(name), counts.get(name)) else { continue };
            let difference = Difference { row: row.to_string(), count: what.to_owned(), base, candidate };
            let Some(slack) = slack else {
                if base != candidate {
                    tally.unsteady.push(difference);
                }
                continue;
            };
            tally.compared += 1;
            if candidate > base.saturating_add(slack) {
                let is_accepted = accepted.accepted.iter().any(|reviewed| {
                    (&reviewed.row, &reviewed.count) == (&difference.row, &difference.count)
                        && candidate <= reviewed.up_to
                });
                if is_accepted { &mut tally.accepted } else { &mut tally.more }.push(difference);
            } else if base > candidate.saturating_add(slack) {
                tally.fewer.push(difference);
            }
        }
    }
    tally
}

impl Tally {
    /// Whether nothing rose that may not.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.more.is_empty() && self.compared > 0
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match (self.compared, self.more.len()) {
            (0, _) => {
                "Nothing was counted: the workers do not count, build them from these sources.\n".to_owned()
            }
            (all, 0) => format!("No count rose, of {all}.\n"),
            (all, some) => format!("{some} of {all} counts rose.\n"),
        };
        for (title, differences) in [
            ("More", &self.more),
            ("More, and accepted", &self.accepted),
            ("Fewer", &self.fewer),
            ("Other, as between two runs of one program", &self.unsteady),
        ] {
            for (at, Difference { row, count, base, candidate }) in differences.iter().enumerate() {
                if at == 0 {
                    let _ = writeln!(text, "\n{title}:");
                }
                let _ = writeln!(text, "  {row}: {count} {base} -> {candidate}");
            }
        }
        text
    }

    /// What rose, as entries that accept it.
    #[must_use]
    pub fn reviewed(&self, reason: &str) -> Vec<Reviewed> {
        let entry = |difference: &Difference| Reviewed {
            row: difference.row.clone(),
            count: difference.count.clone(),
            up_to: difference.candidate,
            reason: reason.to_owned(),
        };
        self.more.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(operation: Operation) -> Row {
        Row { model: "m".into(), kv: "f16".into(), tokens: 256, operation }
    }

    fn counts(allocations: u64, faults: u64) -> Vec<(Row, Counts)> {
        let counts = [("allocations".to_owned(), allocations), ("faults".to_owned(), faults)];
        vec![(row(Operation::LoadDirect), counts.into())]
    }

    #[test]
    fn more_than_the_slack_is_noticed_and_what_is_unsteady_gates_nothing() {
        for (base, candidate, more, fewer, unsteady) in [
            ((10, 1000), (10, 1000), 0, 0, 0),
            ((10, 1000), (26, 1000), 0, 0, 0),
            ((10, 1000), (27, 1000), 1, 0, 0),
            ((27, 1000), (10, 1000), 0, 1, 0),
            ((10, 1000), (10, 2000), 0, 0, 1),
            ((0, 0), (17, 1), 1, 0, 1),
        ] {
            let tally =
                compare(&counts(base.0, base.1), &counts(candidate.0, candidate.1), &Accepted::default());
            let found = (tally.more.len(), tally.fewer.len(), tally.unsteady.len());
            assert_eq!(found, (more, fewer, unsteady), "{base:?} {candidate:?}");
            assert_eq!(tally.passes(), more == 0);
        }
        assert!(!compare(&[], &counts(1, 1), &Accepted::default()).passes(), "nothing was compared");
    }

    #[test]
    fn what_is_accepted_passes_up_to_what_was_accepted() {
        let rose = compare(&counts(10, 0), &counts(40, 0), &Accepted::default());
        let accepted = Accepted { version: 1, accepted: rose.reviewed("a second hash") };
        assert!(compare(&counts(10, 0), &counts(40, 0), &accepted).passes());
        assert!(!compare(&counts(10, 0), &counts(41, 0), &accepted).passes());
        let text = toml::to_string(&accepted).expect("TOML");
        assert_eq!(toml::from_str::<Accepted>(&text).expect("an entry"), accepted);
    }

    proptest! {
        #[test]
        fn a_worker_compared_with_itself_passes(counts_of in proptest::collection::vec(any::<u32>(), 7)) {
            let counts: Counts =
                COUNTED.iter().zip(&counts_of).map(|(kind, count)| (kind.name.to_owned(), u64::from(*count))).collect();
            let rows = vec![(row(Operation::SaveFull), counts)];
            let tally = compare(&rows, &rows, &Accepted::default());
            prop_assert!(tally.passes() && tally.fewer.is_empty());
            prop_assert_eq!(tally.compared, 5);
        }
    }
}
