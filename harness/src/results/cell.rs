//! Cells: what became of each, and what was expected.

use std::collections::BTreeMap;

use intact_protocol::{Oracle, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Dims, Expected, Part, SubjectInfo};
use crate::distance::Measured;
use crate::filter::Change;
use crate::judge::Floor;
use crate::verdict::Verdict;

/// One writer × one reader × one scenario, and what became of the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Stable, readable, unique in the run.
    pub id: String,
    /// The dimensions, with `subject`, `model`, `family`, `scenario`, `fault`, `writer` and `reader`.
    pub dims: Dims,
    /// What became of the session.
    pub verdict: Verdict,
    /// Code of a refusal, name of a signal, or another short reason.
    pub code: Option<String>,
    /// Why, in sentences for a person.
    pub message: String,
    /// Route of the load, where it was carried out.
    pub route: Option<String>,
    /// Tokens whose KV came from the file.
    pub tokens_restored: Option<u32>,
    /// Tokens evaluated during the load.
    pub tokens_evaluated: Option<u32>,
    /// Normalised mean square error against the reference, over all rows. `None` where not comparable or not a number.
    pub nmse: Option<f64>,
    /// Mean Kullback-Leibler divergence from the reference, in nats. `None` where not comparable or not a number.
    pub kl: Option<f64>,
    /// Share of rows with the reference's greedy token, or where the reference's two likeliest ones are a near-tie: no farther
    /// apart than logits of sessions that were never saved.
    pub top1_agreement: Option<f64>,
    /// How far apart two sessions are that were never saved, one with the writer's release and settings and one with the
    /// reader's: what the change costs by itself. `None` where nothing changes, or where one of them could not be held.
    #[serde(default)]
    pub floor: Option<Measured>,
    /// What the distances were held against: how far sessions are apart that were never saved, in another batch shape on
    /// either side, and from side to side where the settings that differ lose nothing by themselves. `None` where that
    /// could not be measured: the thresholds' own numbers counted alone then.
    #[serde(default)]
    pub noise: Option<Floor>,
    /// What was compared with the reference: logits, or what a subject shows in their place.
    #[serde(default)]
    pub oracle: Option<Oracle>,
    /// Bytes of the files that the session was saved to.
    #[serde(default)]
    pub saved_bytes: Option<u64>,
    /// Seconds from the request to load to its answer.
    #[serde(default)]
    pub load_seconds: Option<f64>,
    /// What the repository says that the verdict should be.
    pub expected: Expected,
    /// Whether the verdict is the expected one; always true for the unprotected subject, which is not judged.
    pub matched: bool,
    /// The receipt of the load, where it was carried out.
    pub receipt: Option<Receipt>,
    /// The last lines that the worker wrote on standard error, for verdicts that need explaining.
    pub log: Vec<String>,
    /// How long the cell took.
    pub seconds: f64,
    /// A command line that runs this cell alone.
    pub reproduce: String,
    /// Every time that it was played, in order; empty where once. A cell that is not as expected is played once more, by
    /// fresh processes.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// Whether the attempts came to different verdicts. A flaky cell fails, whatever was expected: the verdict is the
    /// worst one.
    #[serde(default)]
    pub flaky: bool,
    /// Normalised mean square error of the logits token by token after the restored session; `None` among them where one
    /// is not a number. Empty where nothing was compared, or all of it is bit for bit the same.
    #[serde(default)]
    pub distances: Vec<Option<f64>>,
}

impl Cell {
    /// How it differs from the same cell of an earlier run, if it does.
    #[must_use]
    pub fn change_since(&self, before: Option<&Self>) -> Option<Change> {
        let Some(before) = before else { return Some(Change::New) };
        if before.verdict.is_verdict() && self.verdict.is_verdict() && before.verdict != self.verdict {
            return Some(if self.verdict > before.verdict { Change::Worse } else { Change::Better });
        }
        let same = (before.verdict, &before.code, &before.route) == (self.verdict, &self.code, &self.route);
        (!same).then_some(Change::Other)
    }
}

/// What one attempt at a cell came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The verdict.
    pub verdict: Verdict,
    /// Code of a refusal, name of a signal, or another short reason.
    pub code: Option<String>,
    /// Why, in sentences for a person.
    pub message: String,
}

/// Whether a cell belongs to a subject without protection, which is not judged.
#[must_use]
pub fn is_unprotected(cell: &Cell, subjects: &[SubjectInfo]) -> bool {
    let name = cell.dims.get("subject");
    subjects.iter().any(|info| info.part == Part::Control && Some(&info.name) == name)
}

/// The verdicts of the cells that are judged.
#[must_use]
pub fn judged_verdicts(cells: &[Cell], subjects: &[SubjectInfo]) -> Vec<Verdict> {
    cells.iter().filter(|cell| !is_unprotected(cell, subjects)).map(|cell| cell.verdict).collect()
}

/// How many cells ended how, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Cells with a verdict: subject → verdict → cells.
    pub verdicts: BTreeMap<String, BTreeMap<Verdict, u32>>,
    /// Cells without one: subject → why → cells.
    pub non_verdicts: BTreeMap<String, BTreeMap<Verdict, u32>>,
}

impl Counts {
    /// Counts cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut counts = Self::default();
        for cell in cells {
            let subject = cell.dims.get("subject").cloned().unwrap_or_default();
            let side =
                if cell.verdict.is_verdict() { &mut counts.verdicts } else { &mut counts.non_verdicts };
            *side.entry(subject).or_default().entry(cell.verdict).or_default() += 1;
        }
        counts
    }
}

/// A cell for tests.
#[cfg(test)]
pub(crate) fn sample_cell(id: &str) -> Cell {
    Cell {
        id: id.to_owned(),
        dims: Dims::new(),
        verdict: Verdict::Exact,
        code: None,
        message: String::new(),
        route: None,
        tokens_restored: None,
        tokens_evaluated: None,
        nmse: None,
        kl: None,
        top1_agreement: None,
        floor: None,
        noise: None,
        oracle: None,
        saved_bytes: None,
        load_seconds: None,
        expected: Expected::default(),
        matched: true,
        receipt: None,
        log: Vec::new(),
        seconds: 0.0,
        reproduce: String::new(),
        attempts: Vec::new(),
        flaky: false,
        distances: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_verdict_then_by_code_and_route() {
        let cell = |verdict, code: &str, route: &str| Cell {
            verdict,
            code: Some(code.to_owned()),
            route: Some(route.to_owned()),
            ..sample_cell("a")
        };
        let exact = cell(Verdict::Exact, "", "direct");
        for (now, expected) in [
            (cell(Verdict::Exact, "", "direct"), None),
            (cell(Verdict::Exact, "", "transcoded"), Some(Change::Other)),
            (cell(Verdict::Corrupt, "", "direct"), Some(Change::Worse)),
            (cell(Verdict::NotRun, "", "direct"), Some(Change::Other)),
        ] {
            assert_eq!(now.change_since(Some(&exact)), expected, "{:?}", now.verdict);
        }
        let refused = cell(Verdict::Refused, "kv-type", "");
        assert_eq!(exact.change_since(Some(&refused)), Some(Change::Better));
        assert_eq!(cell(Verdict::Refused, "digest", "").change_since(Some(&refused)), Some(Change::Other));
        assert_eq!(exact.change_since(None), Some(Change::New));
    }
}
