//! A run in words: did sessions come back intact, what was refused and why, what would have happened unprotected.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::attempt::{Attempts, NONE, dim};
use super::style::{Style, Tone};
use crate::results::{Cell, Finding, FindingKind, Part, Results};
use crate::verdict::Verdict;

/// A run in words. Every rendering tells the same story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// How the answer looks at a glance.
    pub tone: Tone,
    /// The answer to the question whether sessions came back intact, in one sentence.
    pub headline: String,
    /// The numbers behind it, in one or two sentences.
    pub lead: String,
    /// Whether the run passes, in one sentence.
    pub gate: String,
    /// Verdicts of the judged subjects.
    pub judged: Tally,
    /// Verdicts of the unprotected subjects.
    pub unprotected: Tally,
    /// What was refused or recomputed, and why.
    pub refused: Answer,
    /// What the unprotected subjects did in the same cells.
    pub without: Answer,
    /// Cells that have no verdict, by reason.
    pub unjudged: Answer,
}

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
    fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
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

    /// Cells whose verdict has one of these tones.
    #[must_use]
    pub fn toned(&self, tones: &[Tone]) -> usize {
        self.with(|verdict| tones.contains(&Style::of(verdict).tone))
    }

    /// Cells that came back worse than they were saved, or did harm, and were not expected to.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.toned(LOST) - self.expected_losses
    }

    /// Cells that say something about the subject.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.with(Verdict::is_verdict)
    }

    fn with(&self, wanted: impl Fn(Verdict) -> bool) -> usize {
        self.counts.iter().filter(|(verdict, _)| wanted(**verdict)).map(|(_, count)| count).sum()
    }

    fn names(&self) -> String {
        self.subjects.join(" and ")
    }
}

impl Story {
    /// Tells the story of a run.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let is_control = |cell: &&Cell| is_control(results, cell);
        let (controls, judged): (Vec<&Cell>, Vec<&Cell>) = results.cells.iter().partition(is_control);
        let tally = Tally::of(judged.iter().copied());
        let (tone, headline) = headline(&tally);
        let attempts = Attempts::of(results);
        Self {
            tone,
            headline,
            lead: lead(&tally),
            gate: gate(results),
            refused: refused(&attempts, &judged),
            without: without(&attempts, &judged, &controls),
            unjudged: unjudged(&results.cells),
            unprotected: Tally::of(controls),
            judged: tally,
        }
    }
}

/// Whether the cell belongs to a subject without protection.
pub(super) fn is_control(results: &Results, cell: &Cell) -> bool {
    let subject = dim(cell, "subject");
    results.subjects.iter().any(|info| info.name == subject && info.part == Part::Control)
}

/// What a session must not be.
const LOST: &[Tone] = &[Tone::Bad, Tone::Weak];

fn lost(verdict: Verdict) -> bool {
    LOST.contains(&Style::of(verdict).tone)
}

/// A loss that the repository expects of the cell, such as that of a smaller KV type that the reader asked for.
fn is_expected_loss(cell: &Cell) -> bool {
    cell.verdict == Verdict::Degraded && cell.matched && cell.expected.outcome.contains(&cell.verdict)
}

/// Whether a judged session came back worse than it was saved, or did harm, and was not expected to.
pub(super) fn is_lost(cell: &Cell) -> bool {
    lost(cell.verdict) && !is_expected_loss(cell)
}

fn headline(tally: &Tally) -> (Tone, String) {
    let (judged, lost) = (tally.judged(), tally.lost());
    let back = tally.toned(&[Tone::Good, Tone::Fair]) + tally.expected_losses;
    let out = tally.toned(&[Tone::Safe]);
    match (judged, lost, back, out) {
        (0, ..) => (Tone::Blank, "Nothing was judged, so nothing is known.".into()),
        (_, 0, 0, _) => {
            (Tone::Safe, "No session came back: every load was refused, each with a reason.".into())
        }
        (_, 0, _, out) => {
            let refused = if out == 0 { "" } else { " or was refused with a reason" };
            let except = match tally.expected_losses {
                0 => String::new(),
                losses => format!(
                    "; {losses} of {judged} with a loss that was declared and expected, such as that of a smaller \
                     KV type"
                ),
            };
            (Tone::Good, format!("Yes. Every saved session came back intact{refused}{except}."))
        }
        (_, lost, ..) if tally.toned(&[Tone::Bad]) == 0 => (
            Tone::Weak,
            format!("Not quite. {lost} of {judged} sessions came back worse than they were saved."),
        ),
        (_, lost, ..) => {
            (Tone::Bad, format!("No. {lost} of {judged} saved sessions did not come back intact."))
        }
    }
}

fn lead(tally: &Tally) -> String {
    if tally.judged() == 0 {
        return "Either nothing was selected or nothing could be run; the list of what has no verdict says why.".into();
    }
    let parts = tally.counts.iter().filter(|(verdict, _)| verdict.is_verdict());
    let expected_of = |verdict| if verdict == Verdict::Degraded { tally.expected_losses } else { 0 };
    let told = |verdict, count| format!("{count} {}", became(verdict, count));
    let parts: Vec<_> = parts
        .flat_map(|(&verdict, &count)| {
            let expected = expected_of(verdict);
            let declared = (expected > 0).then(|| format!("{expected} came back with an expected loss"));
            let rest = (count > expected).then(|| told(verdict, count - expected));
            declared.into_iter().chain(rest)
        })
        .collect();
    let harmed = match tally.count(Verdict::RefusedDestructive) {
        0 => "No live session was harmed.".to_owned(),
        1 => "One live session was harmed.".to_owned(),
        harmed => format!("{harmed} live sessions were harmed."),
    };
    format!("Of {} loads by {}, {}. {harmed}", tally.judged(), tally.names(), listed(&parts))
}

/// What became of sessions, to follow their number.
fn became(verdict: Verdict, count: usize) -> &'static str {
    match (verdict, count) {
        (Verdict::Exact, _) => "came back bit for bit",
        (Verdict::Equivalent, _) => "came back within the noise floor",
        (Verdict::Recomputed, _) => "came back right but had to be computed again",
        (Verdict::Refused, 1) => "was refused with a reason",
        (Verdict::Refused, _) => "were refused with a reason",
        (Verdict::Degraded, _) => "came back degraded",
        (Verdict::Inert, _) => "reported success and restored nothing",
        (Verdict::RefusedUnclear, _) => "failed without a reason",
        (Verdict::RefusedDestructive, 1) => "was refused and harmed a live session",
        (Verdict::RefusedDestructive, _) => "were refused and harmed a live session",
        (Verdict::Hung, _) => "never answered",
        (Verdict::Crashed, _) => "crashed the process",
        (Verdict::Corrupt, _) => "came back wrong without any error",
        (Verdict::Unsupported | Verdict::Filtered | Verdict::NotRun | Verdict::HarnessError, _) => {
            "had no verdict"
        }
    }
}

fn gate(results: &Results) -> String {
    let gate = &results.gate;
    if gate.passed {
        return format!("Gate passed (exit {}): {}.", gate.code, gate.exit.meaning());
    }
    let kinds: Vec<_> = grouped(gate.findings.iter().map(|finding| finding.kind))
        .into_iter()
        .map(|(kind, count)| format!("{count} {}", kind_words(kind, count)))
        .collect();
    let because = if kinds.is_empty() { gate.exit.meaning().to_owned() } else { listed(&kinds) };
    format!("Gate failed (exit {}): {because}.", gate.code)
}

/// What a kind of finding is about, to follow a number.
#[must_use]
pub fn kind_words(kind: FindingKind, count: usize) -> &'static str {
    match (kind, count) {
        (FindingKind::Worse, 1) => "cell is worse than expected",
        (FindingKind::Worse, _) => "cells are worse than expected",
        (FindingKind::Stale, 1) => "cell is better than expected",
        (FindingKind::Stale, _) => "cells are better than expected",
        (FindingKind::Flaky, 1) => "cell came to different verdicts when it was played again",
        (FindingKind::Flaky, _) => "cells came to different verdicts when they were played again",
        (FindingKind::Expired, 1) => "expectation has lapsed",
        (FindingKind::Expired, _) => "expectations have lapsed",
        (FindingKind::Unmatched, 1) => "expectation matches no planned cell",
        (FindingKind::Unmatched, _) => "expectations match no planned cell",
        (FindingKind::Contradicting, 1) => "cell has contradicting expectations",
        (FindingKind::Contradicting, _) => "cells have contradicting expectations",
        (FindingKind::Unreviewed, 1) => "expectation has not been reviewed",
        (FindingKind::Unreviewed, _) => "expectations have not been reviewed",
        (FindingKind::HarnessError, 1) => "cell failed in the harness",
        (FindingKind::HarnessError, _) => "cells failed in the harness",
        (FindingKind::NotRun, 1) => "cell was not run",
        (FindingKind::NotRun, _) => "cells were not run",
    }
}

/// A finding, and the cell that it is about.
pub type Told<'a> = (&'a Finding, Option<&'a Cell>);

/// Findings by kind, in the order in which the kinds first appear; of a kind, those about the worst cells first.
#[must_use]
pub fn by_kind(results: &Results) -> Vec<(FindingKind, Vec<Told<'_>>)> {
    let cells: BTreeMap<_, _> = results.cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
    let mut kinds: Vec<(FindingKind, Vec<Told<'_>>)> = Vec::new();
    for finding in &results.gate.findings {
        let told = (finding, finding.cell.as_deref().and_then(|id| cells.get(id).copied()));
        match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
            Some((_, same)) => same.push(told),
            None => kinds.push((finding.kind, vec![told])),
        }
    }
    for (_, told) in &mut kinds {
        told.sort_by_key(|(_, cell)| Reverse(cell.map(|cell| cell.verdict)));
    }
    kinds
}

fn refused(attempts: &Attempts<'_>, judged: &[&Cell]) -> Answer {
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

fn without(attempts: &Attempts<'_>, judged: &[&Cell], controls: &[&Cell]) -> Answer {
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
    let mut held: BTreeMap<_, Vec<&Cell>> = BTreeMap::new();
    for cell in judged.iter().filter(|cell| cell.verdict.is_verdict() && !is_lost(cell)) {
        held.entry(neighbourhood(cell)).or_default().push(cell);
    }
    let is_held = |wrong: &&&Cell| {
        held.get(&neighbourhood(wrong)).is_some_and(|near| near.iter().any(|cell| same_place(cell, wrong)))
    };
    let saved = went_wrong.iter().filter(is_held).count();
    let silent =
        went_wrong.iter().filter(|cell| matches!(cell.verdict, Verdict::Corrupt | Verdict::Inert)).count();
    let wrong = went_wrong.len();
    let protected = match saved {
        _ if wrong == 0 => "These cells do not show what protection is worth.".to_owned(),
        saved if saved == wrong => "The protected path was right or refused in every one of them.".to_owned(),
        saved => format!("The protected path was right or refused in {saved} of these {wrong}."),
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
pub(super) fn same_place(one: &Cell, other: &Cell) -> bool {
    let mut shared = one.dims.iter().filter(|(name, _)| !WHO.contains(&name.as_str()));
    shared.all(|(name, value)| {
        let there = other.dims.get(name).map_or(NONE, String::as_str);
        value == NONE || there == NONE || there == value
    })
}

/// Dimensions that say who tried a cell, not what was tried.
const WHO: &[&str] = &["subject", "writer", "reader"];

fn unjudged(cells: &[Cell]) -> Answer {
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

fn grouped<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut groups: Vec<(T, usize)> = Vec::new();
    for value in values {
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => groups.push((value, 1)),
        }
    }
    groups
}

/// `a`, `a and b`, `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
