//! The four questions of a release manager: can I upgrade, can I roll back, what got worse, which system is safest.

use super::crossing::{Crossings, Question};
use super::first_words::{Mixture, Word};
use super::safest::safest;
use super::story::{by_kind, kind_words};
use super::versions::versions;
use super::{Changes, Report};
use crate::results::FindingKind;
use crate::style::Tone;

/// Changes of a kind that are named.
const NAMED: usize = 3;

/// The questions, each with its answer.
#[must_use]
pub fn questions(report: &Report<'_>, crossings: Option<&Crossings>) -> Vec<Question> {
    let mut questions = match crossings {
        Some(crossings) => crossings.questions.clone(),
        None => versions(report.results).unwrap_or_else(untested),
    };
    questions.push(report.changes.as_ref().map_or_else(|| since_expected(report), since_baseline));
    questions.push(safest(report.results));
    questions
}

const WORSE: &str = "What got worse?";

fn untested() -> Vec<Question> {
    let question = |title| Question {
        title,
        tone: Tone::Blank,
        answer: "Not tested: only one version took part. To ask it of two: \
                 intact upgrade FROM TO --model my-model.gguf."
            .into(),
        lines: Vec::new(),
    };
    vec![question("Can I upgrade?"), question("Can I roll back?")]
}

fn since_baseline(changes: &Changes) -> Question {
    let since = format!("since the run of {}", super::when(&changes.since));
    let worse = changes.cells.iter().filter(|change| change.kind.is_worse());
    let worst = at_a_price(Tone::worst(worse.filter_map(|change| change.now)));
    let (tone, answer) = match (changes.worse(), changes.compared) {
        (_, 0) => (Tone::Blank, format!("Not known: no cell of this run is in the baseline, {since}.")),
        (0, compared) => (Tone::Good, format!("Nothing, {since}: none of {compared} cells that both have.")),
        (1, compared) => (worst, format!("One of {compared} cells, {since}.")),
        (worse, compared) => (worst, format!("{worse} of {compared} cells, {since}.")),
    };
    let line = |(kind, cells): (super::ChangeKind, Vec<&super::Change>)| {
        let named: Vec<_> = cells.iter().take(NAMED).map(|change| change.cell.as_str()).collect();
        let more = if cells.len() > NAMED { ", …" } else { "" };
        (
            kind.name().to_owned(),
            format!("{} {}: {}{more}", cells.len(), kind.words(cells.len()), named.join(", ")),
        )
    };
    Question { title: WORSE, tone, answer, lines: changes.by_kind().into_iter().map(line).collect() }
}

/// What got worse is not all right, even where sessions survive it.
const fn at_a_price(tone: Tone) -> Tone {
    match tone {
        Tone::Good | Tone::Blank => Tone::Fair,
        tone => tone,
    }
}

fn since_expected(report: &Report<'_>) -> Question {
    let kinds = by_kind(report.results);
    let words = Mixture::of(report.results).first_words();
    let found = kinds.iter().find(|(kind, _)| *kind == FindingKind::Worse).map(|(_, found)| found.as_slice());
    let worse = found.map_or(0, <[_]>::len);
    let verdicts = found.unwrap_or_default().iter().filter_map(|(_, cell)| Some(cell.as_ref()?.verdict));
    let worst = at_a_price(Tone::worst(verdicts));
    let (tone, answer) = match worse {
        0 if words.word == Word::NotKnown => (Tone::Blank, words.sentence),
        0 => (Tone::Good, "Nothing: no cell is worse than the repository expects.".into()),
        worse => (worst, format!("{worse} {}.", kind_words(FindingKind::Worse, worse))),
    };
    let hint = "No earlier run was given; intact report RUN --baseline EARLIER compares with one.";
    Question { title: WORSE, tone, answer: format!("{answer} {hint}"), lines: Vec::new() }
}
