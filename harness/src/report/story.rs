//! A run in words: did sessions come back intact, what was refused and why, what would have happened unprotected.

mod answer;
mod common;
mod findings;
mod tally;

use super::attempt::Attempts;
use super::first_words::{FirstWords, Mixture};
use crate::results::{Cell, Results, is_unprotected};
use crate::style::Tone;
use crate::verdict::Verdict;
pub use answer::{Answer, Line};
use answer::{refused, unjudged, without};
pub use common::{Common, explained};
pub use findings::{Told, by_kind, kind_words};
pub use tally::Tally;
pub(super) use tally::{is_lost, lost};

/// A run in words. Every rendering tells the same story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// How the answer looks at a glance.
    pub tone: Tone,
    /// The answer to the question whether sessions came back intact: the first words of every rendering.
    pub headline: String,
    /// The same in a few words.
    pub short: String,
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
    /// What is said of the combinations that explain cells which are not as expected.
    pub common: Common,
}

impl Story {
    /// Tells the story of a run.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let is_control = |cell: &&Cell| is_control(results, cell);
        let (controls, judged): (Vec<&Cell>, Vec<&Cell>) = results.cells.iter().partition(is_control);
        let tally = Tally::of(judged.iter().copied());
        let FirstWords { tone, sentence: headline, short, .. } = Mixture::of(results).first_words();
        let attempts = Attempts::of(results);
        Self {
            tone,
            headline,
            short,
            lead: lead(&tally),
            gate: gate(results),
            refused: refused(&attempts, &judged),
            without: without(&attempts, &judged, &controls),
            unjudged: unjudged(&results.cells),
            common: Common::of(results),
            unprotected: Tally::of(controls),
            judged: tally,
        }
    }
}

/// Whether the cell belongs to a subject without protection.
pub(super) fn is_control(results: &Results, cell: &Cell) -> bool {
    is_unprotected(cell, &results.subjects)
}

fn lead(tally: &Tally) -> String {
    if tally.judged() == 0 {
        return "Either nothing was selected or nothing could be run.".into();
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
    let loads = if tally.judged() == 1 { "load" } else { "loads" };
    format!("Of {} {loads} by {}, {}. {harmed}", tally.judged(), tally.called(), listed(&parts))
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
pub(super) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
