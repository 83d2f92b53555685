//! What was predicted of the ways across llama.cpp releases, from its sources alone, and whether it held.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::filter::{Filter, Subject};
use crate::results::{Cell, PredictionOutcome, PredictionResult};
use crate::tags;
use crate::verdict::Verdict;

/// One prediction, as `fixtures/predictions.toml` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prediction {
    /// Its name.
    name: String,
    /// What it says, in a sentence.
    says: String,
    /// The cells that it speaks of: a filter.
    when: String,
    /// The releases with which something changes.
    #[serde(default)]
    changes: Vec<String>,
    /// What becomes of sessions where nothing changes between writer and reader.
    #[serde(default)]
    within: Vec<Verdict>,
    /// What becomes of those where something does.
    #[serde(default)]
    across: Vec<Verdict>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Predictions {
    prediction: Vec<Prediction>,
}

static PREDICTIONS: LazyLock<Vec<(Prediction, Filter)>> = LazyLock::new(|| {
    let table: Predictions = toml::from_str(include_str!("../../fixtures/predictions.toml"))
        .expect("the embedded table of predictions is TOML");
    let readable = |prediction: Prediction| {
        let filter = prediction.when.parse().expect("the embedded table's filters can be read");
        (prediction, filter)
    };
    table.prediction.into_iter().map(readable).collect()
});

/// What became of the predictions, those that speak of a cell of this run. Where no session goes from one release to
/// another there is nothing to say: what else differs in such a run was not thought of.
#[must_use]
pub(crate) fn judge(cells: &[Cell]) -> Vec<PredictionResult> {
    if !cells.iter().any(crosses) {
        return Vec::new();
    }
    PREDICTIONS.iter().filter_map(|(prediction, filter)| prediction.judge(filter, cells)).collect()
}

/// Does a session go from one release to another?
fn crosses(cell: &Cell) -> bool {
    let release = |name: &str| {
        cell.dims.get(name).filter(|side| tags::releases().iter().any(|release| release.tag == **side))
    };
    matches!((release("writer"), release("reader")), (Some(writer), Some(reader)) if writer != reader)
}

impl Prediction {
    fn judge(&self, filter: &Filter, cells: &[Cell]) -> Option<PredictionResult> {
        let spoken_of = cells
            .iter()
            .filter(|cell| filter.selects(Subject::planned(&cell.id, &cell.dims)))
            .filter(|cell| cell.verdict != Verdict::Filtered)
            .filter_map(|cell| Some((cell, self.of(cell)?)));
        let all: Vec<(&Cell, &[Verdict])> = spoken_of.collect();
        let judged = || all.iter().filter(|(cell, _)| cell.verdict.is_verdict());
        let against: Vec<String> = judged()
            .filter(|(cell, predicted)| !predicted.contains(&cell.verdict))
            .map(|(cell, _)| cell.id.clone())
            .collect();
        let outcome = match (judged().count(), against.is_empty()) {
            (0, _) => PredictionOutcome::NotTested,
            (_, true) => PredictionOutcome::Held,
            (_, false) => PredictionOutcome::Refuted,
        };
        (!all.is_empty()).then(|| PredictionResult {
            name: self.name.clone(),
            says: self.says.clone(),
            outcome,
            cells: u32::try_from(judged().count()).unwrap_or(u32::MAX),
            against,
        })
    }

    /// What is predicted of a cell, if anything is.
    fn of(&self, cell: &Cell) -> Option<&[Verdict]> {
        let side = |name: &str| cell.dims.get(name).and_then(|release| self.group(release));
        let predicted = if side("writer")? == side("reader")? { &self.within } else { &self.across };
        (!predicted.is_empty()).then_some(predicted.as_slice())
    }

    /// How many of the changes a release has.
    fn group(&self, release: &str) -> Option<usize> {
        let place = |name: &str| tags::releases().iter().position(|release| release.tag == name);
        let here = place(release)?;
        Some(self.changes.iter().filter_map(|change| place(change)).filter(|change| *change <= here).count())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, DEFAULT_CONFIG};
    use crate::results::sample_cell;

    #[test]
    fn every_prediction_speaks_of_dimensions_and_releases_that_there_are() {
        let config = Config::parse(DEFAULT_CONFIG, Path::new("intact.toml")).expect("the built-in one");
        for (prediction, filter) in PREDICTIONS.iter() {
            filter.check_names(&prediction.when, &config.dimensions()).expect(&prediction.name);
            for change in &prediction.changes {
                assert!(tags::releases().iter().any(|release| release.tag == *change), "{change}");
            }
            assert!(
                !(prediction.within.is_empty() && prediction.across.is_empty()),
                "{} predicts nothing",
                prediction.name
            );
        }
    }

    #[test]
    fn releases_are_in_one_group_where_nothing_changes_between_them() {
        let (sequence_file, _) = PREDICTIONS
            .iter()
            .find(|(prediction, _)| prediction.name == "sequence files")
            .expect("the first prediction");
        for (release, group) in
            [("b5686", Some(0)), ("b7119", Some(1)), ("b10410", Some(1)), ("0.6.0", Some(3)), ("mine", None)]
        {
            assert_eq!(sequence_file.group(release), group, "{release}");
        }
    }

    #[test]
    fn a_run_in_which_no_session_goes_to_another_release_says_nothing_of_predictions() {
        let cell = |writer: &str, reader: &str| {
            let dims = [("subject", "engine"), ("writer", writer), ("reader", reader)];
            let dims = dims.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Cell {
                dims: dims.into_iter().collect(),
                verdict: Verdict::Exact,
                ..sample_cell("engine/llama/base")
            }
        };
        let judged = |writer, reader| judge(&[cell("0.6.0", "0.6.0"), cell(writer, reader)]).len();
        assert_eq!((judged("0.6.0", "0.6.0"), judged("mine", "0.6.0")), (0, 0));
        assert_eq!(judged("b8783", "0.6.0"), 1, "the engine never garbles");
    }
}
