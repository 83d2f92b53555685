//! The event log: JSON Lines, appended to as things happen, so that a run that is killed loses what it was at and nothing
//! else.

use std::collections::BTreeMap;

use intact_protocol::{Oracle, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distance::{Distance, Measured};
use crate::journal::Journal;
use crate::judge::{Floor, Judgement};
use crate::results::{Dims, Environment};
use crate::verdict::Verdict;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A process began with the run, or went on with it.
    Started {
        /// When, RFC 3339 in UTC.
        at: String,
        /// The command line.
        command: Vec<String>,
        /// The machine.
        environment: Environment,
        /// Workers at a time.
        jobs: u32,
    },
    /// A cell was played and judged.
    Judged(Box<Judged>),
    /// What became of a cell so far no longer counts: it is to be played again.
    Discarded {
        /// The cell.
        cell: String,
        /// Why.
        reason: String,
    },
    /// The process came to the end of its cells.
    Finished {
        /// When, RFC 3339 in UTC.
        at: String,
        /// How long it was at it.
        seconds: f64,
    },
}

impl Event {
    /// How long a process was at it, where the event tells.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        if let Self::Finished { seconds, .. } = self { *seconds } else { 0.0 }
    }
}

/// A cell that was played and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The cell.
    pub cell: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a cell, before it is compared with what was expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Code of a refusal, name of a signal, or another short reason.
    pub code: Option<String>,
    /// Why, in sentences for a person.
    pub message: String,
    /// How far the loaded session is from the reference, where that could be measured.
    pub distance: Option<Measured>,
    /// How far apart two sessions are that were never saved, one with the writer's release and settings and one with the
    /// reader's.
    #[serde(default)]
    pub floor: Option<Measured>,
    /// How far sessions are apart that were never saved: what the distance was held against.
    #[serde(default)]
    pub noise: Option<Floor>,
    /// What was compared with the reference: logits, or what a subject shows in their place.
    #[serde(default)]
    pub oracle: Option<Oracle>,
    /// Normalised mean square error token by token; empty where all is bit for bit the same, or nothing was compared.
    #[serde(default)]
    pub distances: Vec<Option<f64>>,
    /// The receipt of the load, where it was carried out.
    pub receipt: Option<Receipt>,
    /// Bytes of the files that the session was saved to.
    #[serde(default)]
    pub saved_bytes: Option<u64>,
    /// Seconds from the request to load to its answer.
    #[serde(default)]
    pub load_seconds: Option<f64>,
    /// The last lines that the worker wrote on standard error, for verdicts that need explaining.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// Dimensions that turned out otherwise than planned: the releases, where the session was saved elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dims: Dims,
}

impl Outcome {
    /// An outcome that is nothing but a judgement.
    #[must_use]
    pub fn plain(judgement: Judgement) -> Self {
        Self {
            verdict: judgement.verdict,
            code: judgement.code,
            message: judgement.message,
            distance: judgement.distance.map(Measured::from),
            floor: None,
            noise: judgement.floor,
            oracle: judgement.oracle,
            distances: Vec::new(),
            receipt: None,
            saved_bytes: None,
            load_seconds: None,
            log: Vec::new(),
            seconds: 0.0,
            dims: Dims::new(),
        }
    }

    /// A cell that was not played.
    #[must_use]
    pub fn not_run(code: &str, message: impl Into<String>) -> Self {
        Self::plain(Judgement::plain(Verdict::NotRun, Some(code), message))
    }

    /// The judgement alone.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        Judgement {
            verdict: self.verdict,
            code: self.code.clone(),
            message: self.message.clone(),
            distance: self.distance.map(Distance::from),
            oracle: self.oracle,
            floor: self.noise,
        }
    }
}

/// What became of each cell so far, in the order of attempts.
#[must_use]
pub(crate) fn outcomes(events: Vec<Event>) -> BTreeMap<String, Vec<Outcome>> {
    let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for event in events {
        match event {
            Event::Judged(judged) => outcomes.entry(judged.cell).or_default().push(judged.outcome),
            Event::Discarded { cell, .. } => {
                outcomes.remove(&cell);
            }
            Event::Started { .. } | Event::Finished { .. } => {}
        }
    }
    outcomes
}

/// The event log of a run, open for appending.
pub type EventLog = Journal<Event>;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::FolderError;
    use super::*;

    fn judged(cell: &str, verdict: Verdict) -> Event {
        let distance =
            Distance { bit_equal: false, nmse: f64::NAN, kl: 0.25, top1_agreement: 0.5, largest: 2.0 };
        let judgement = Judgement { distance: Some(distance), ..Judgement::plain(verdict, Some("c"), "why") };
        Event::Judged(Box::new(Judged { cell: cell.into(), outcome: Outcome::plain(judgement) }))
    }

    fn folder() -> (tempfile::TempDir, super::super::RunFolder) {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, _) = super::super::RunFolder::begin(dir.path()).expect("begun");
        (dir, folder)
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let (_dir, folder) = folder();
        let events = [judged("a", Verdict::Corrupt), Event::Finished { at: "now".into(), seconds: 1.5 }];
        let mut log = folder.log().expect("a log");
        events.iter().for_each(|event| log.append(event).expect("appended"));
        assert_eq!(folder.events().expect("read"), events);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_then_cut_off() {
        let (_dir, folder) = folder();
        folder.log().expect("a log").append(&judged("a", Verdict::Exact)).expect("appended");
        let path = folder.file("events.jsonl");
        let whole = fs::read(&path).expect("read");
        for torn in 1..whole.len() {
            let text = [&whole[..], &whole[..torn]].concat();
            fs::write(&path, if torn == whole.len() { whole.clone() } else { text }).expect("written");
            let before = folder.events().expect("read");
            assert_eq!(before[0], judged("a", Verdict::Exact));
            folder.log().expect("a log").append(&judged("b", Verdict::Exact)).expect("appended");
            let after = folder.events().expect("read");
            assert_eq!(after, [judged("a", Verdict::Exact), judged("b", Verdict::Exact)], "torn at {torn}");
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let (_dir, folder) = folder();
        fs::write(folder.file("events.jsonl"), "{\"event\":\n{}\n").expect("written");
        assert!(folder.events().expect_err("broken").to_string().contains("line 1"));
    }

    #[test]
    fn two_processes_cannot_both_go_on_with_a_run() {
        let (_dir, folder) = folder();
        let first = folder.log().expect("a log");
        assert!(matches!(folder.log(), Err(FolderError::Busy { .. })));
        drop(first);
        assert!(folder.log().is_ok());
    }

    #[test]
    fn what_was_discarded_no_longer_counts() {
        let discarded = Event::Discarded { cell: "a".into(), reason: "it failed".into() };
        let events = vec![
            judged("a", Verdict::Corrupt),
            judged("b", Verdict::Exact),
            discarded,
            judged("a", Verdict::Exact),
        ];
        let outcomes = outcomes(events);
        let verdicts = |cell: &str| outcomes[cell].iter().map(|outcome| outcome.verdict).collect::<Vec<_>>();
        assert_eq!((verdicts("a"), verdicts("b")), (vec![Verdict::Exact], vec![Verdict::Exact]));
    }
}
