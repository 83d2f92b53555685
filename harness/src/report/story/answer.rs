//! The parts of the story that lines bear out: what was refused, what would have happened without checks, what is not known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::super::attempt::{Attempts, NONE, dim};
use super::tally::{Tally, is_lost, lost};
use crate::results::Cell;
use crate::verdict::Verdict;

/// One part of the story: a sentence, and lines that bear it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The sentence.
    pub sentence: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A number of cells that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How many.
    pub count: usize,
    /// What became of them.
    pub verdict: Verdict,
    /// What they have in common.
    pub what: String,
    /// An example, in words.
    pub example: String,
    /// Id of the example's cell.
    pub cell: String,
}

pub(super) fn refused(attempts: &Attempts<'_>, judged: &[&Cell]) -> Answer {
    let wanted = |cell: &&Cell| matches!(cell.verdict, Verdict::Refused | Verdict::Recomputed);
    let cells: Vec<_> = judged.iter().copied().filter(wanted).collect();
    let count = |verdict| cells.iter().filter(|cell| cell.verdict == verdict).count();
    let refused = match count(Verdict::Refused) {
        0 => "Nothing was refused.".to_owned(),
        1 => "One load was refused; it named what differed and left live sessions as they were.".to_owned(),
        many => format!(
            "{many} loads were refused; each named what differed and left live sessions as they were."
        ),
    };
    let recomputed = match count(Verdict::Recomputed) {
        0 => "No saved KV was thrown away.".to_owned(),
        1 => "One session was let in, but its KV had to be computed again.".to_owned(),
        many => format!("{many} sessions were let in, but their KV had to be computed again."),
    };
    Answer { sentence: format!("{refused} {recomputed}"), lines: lines(&cells, |cell| why(attempts, cell)) }
}

/// Why a session was refused or recomputed: the code, else the axes that forced it, else what was tried.
fn why(attempts: &Attempts<'_>, cell: &Cell) -> String {
    let axes: BTreeSet<_> = cell
        .receipt
        .iter()
        .flat_map(|receipt| &receipt.axes)
        .filter(|axis| !matches!(axis.consequence.as_str(), "same" | "harmless"))
        .map(|axis| axis.axis.clone())
        .collect();
    let axes: Vec<_> = axes.into_iter().collect();
    match (&cell.code, axes.is_empty()) {
        (Some(code), _) if !code.is_empty() => code.clone(),
        (_, false) => axes.join(", "),
        _ => attempts.name(cell),
    }
}

pub(super) fn without(attempts: &Attempts<'_>, judged: &[&Cell], controls: &[&Cell]) -> Answer {
    let went_wrong: Vec<_> = controls.iter().copied().filter(|cell| lost(cell.verdict)).collect();
    let compared = Tally::of(controls.iter().copied());
    if compared.judged() == 0 {
        return Answer {
            sentence:
                "No unprotected path took part in this run, so it is not known whether these cells are hard."
                    .into(),
            lines: Vec::new(),
        };
    }
    let mut tried: BTreeMap<_, Vec<&Cell>> = BTreeMap::new();
    for cell in judged.iter().filter(|cell| cell.verdict.is_verdict()) {
        tried.entry(neighbourhood(cell)).or_default().push(cell);
    }
    // What the judged systems were in the same place as, some of them well.
    let beside = |wrong: &Cell| -> Vec<&Cell> {
        let near = tried.get(&neighbourhood(wrong)).into_iter().flatten();
        near.copied().filter(|cell| same_place(cell, wrong)).collect()
    };
    let paired: Vec<bool> = went_wrong
        .iter()
        .map(|wrong| beside(wrong))
        .filter(|near| !near.is_empty())
        .map(|near| near.iter().any(|cell| !is_lost(cell)))
        .collect();
    let (pairs, saved) = (paired.len(), paired.iter().filter(|held| **held).count());
    let silent =
        went_wrong.iter().filter(|cell| matches!(cell.verdict, Verdict::Corrupt | Verdict::Inert)).count();
    let wrong = went_wrong.len();
    let protected = match pairs {
        _ if wrong == 0 => "These cells do not show what protection is worth.".to_owned(),
        0 => "The protected path was judged in none of them here.".to_owned(),
        pairs if pairs == wrong && saved == wrong => {
            "The protected path was right or refused in every one of them.".to_owned()
        }
        pairs if pairs == wrong => {
            format!("The protected path was right or refused in {saved} of these {wrong}.")
        }
        pairs => format!(
            "The protected path was judged in {pairs} of these {wrong} here, and was right or refused in {saved} of them."
        ),
    };
    let sentence = format!(
        "llama.cpp's own loader without checks ({}) went wrong in {wrong} of {} cells, {silent} of them without any \
         error. {protected}",
        compared.names(),
        compared.judged()
    );
    let mut lines = lines(&went_wrong, |cell| attempts.name(cell));
    lines.sort_by_key(|line| Reverse(line.verdict));
    Answer { sentence, lines }
}

/// Cells outside a neighbourhood are never in the same place.
fn neighbourhood(cell: &Cell) -> (String, String) {
    (dim(cell, "model"), dim(cell, "fault"))
}

/// Whether two cells are in the same place of the matrix, whoever tried them.
fn same_place(one: &Cell, other: &Cell) -> bool {
    let mut shared = one.dims.iter().filter(|(name, _)| !WHO.contains(&name.as_str()));
    shared.all(|(name, value)| {
        let there = other.dims.get(name).map_or(NONE, String::as_str);
        value == NONE || there == NONE || there == value
    })
}

/// Dimensions that say who tried a cell, not what was tried.
const WHO: &[&str] = &["subject", "writer", "reader"];

pub(super) fn unjudged(cells: &[Cell]) -> Answer {
    let cells: Vec<_> = cells.iter().filter(|cell| !cell.verdict.is_verdict()).collect();
    let sentence = match cells.len() {
        0 => "Every planned cell has a verdict.".to_owned(),
        1 => "One planned cell has no verdict. It counts neither for nor against.".to_owned(),
        many => format!("{many} planned cells have no verdict. They count neither for nor against."),
    };
    let why = |cell: &Cell| cell.code.clone().unwrap_or_else(|| cell.message.clone());
    Answer { sentence, lines: lines(&cells, why) }
}

fn lines(cells: &[&Cell], what: impl Fn(&Cell) -> String) -> Vec<Line> {
    let mut lines: BTreeMap<(Verdict, String), Line> = BTreeMap::new();
    for cell in cells {
        let what = what(cell);
        let line = lines.entry((cell.verdict, what.clone())).or_insert_with(|| Line {
            count: 0,
            verdict: cell.verdict,
            what,
            example: cell.message.clone(),
            cell: cell.id.clone(),
        });
        line.count += 1;
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.count));
    lines
}
