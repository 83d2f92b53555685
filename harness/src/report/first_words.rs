//! The first words about a run: whether saved sessions came back. One pure function from what became of its cells, so that no
//! rendering can say more than another, and none more than was judged.

use super::attempt::dim;
use super::story::{is_control, lost};
use crate::exit::Exit;
use crate::quantity::counted;
use crate::results::{Cell, FindingKind, LEFT_OUT, Results};
use crate::style::{Style, Tone};
use crate::verdict::Verdict;

/// What of a run decides its first words: how many cells of the judged systems became what, and how the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    /// How the run ended.
    pub exit: Exit,
    /// Sessions that came back right, by whatever route.
    pub back: usize,
    /// Sessions that came back with a loss that was expected.
    pub declared: usize,
    /// Loads that were refused with a reason.
    pub refused: usize,
    /// Sessions that came back worse than they were saved, and were not expected to.
    pub weak: usize,
    /// Sessions that are lost or wrong, or whose load did harm.
    pub bad: usize,
    /// Of the weak and the bad, those that were expected to be.
    pub foreseen: usize,
    /// Cells that ask for what a system cannot do.
    pub unsupported: usize,
    /// Cells that were planned and not run.
    pub not_run: usize,
    /// Cells in which the harness failed.
    pub failed: usize,
    /// Cells that there was no time for.
    pub left_out: usize,
    /// Cells that are worse than expected.
    pub worse: usize,
    /// Cells that are better than expected.
    pub better: usize,
    /// Cells that came to different verdicts when they were retried.
    pub flaky: usize,
    /// Judged systems that have cells, and no verdict on any.
    pub unknown: Vec<String>,
    /// Which part of a plan was run, where that was not all of it.
    pub part: Option<String>,
}

/// The first word, which decides all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Sessions are lost or wrong.
    No,
    /// Sessions came back worse.
    NotQuite,
    /// Nothing was judged, or too little.
    NotKnown,
    /// Nothing is wrong, and more is refused, computed again or unsteady than should be.
    NotAsExpected,
    /// Nothing is wrong with sessions, and the run does not pass.
    NotAccepted,
    /// All is right, and better than is written down.
    Better,
    /// All was refused.
    AllRefused,
    /// Every session came back, or was refused with a reason.
    Yes,
}

impl Word {
    /// Every first word.
    pub const ALL: [Self; 8] = [
        Self::No,
        Self::NotQuite,
        Self::NotKnown,
        Self::NotAsExpected,
        Self::NotAccepted,
        Self::Better,
        Self::AllRefused,
        Self::Yes,
    ];

    /// What it is said with.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::No => "No",
            Self::NotQuite => "Not quite",
            Self::NotKnown => "Not known",
            Self::NotAsExpected => "Not as expected",
            Self::NotAccepted => "Not accepted",
            Self::Better => "Better than expected",
            Self::AllRefused => "No session came back",
            Self::Yes => "Yes",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::No => Tone::Bad,
            Self::NotQuite | Self::NotAsExpected | Self::NotAccepted => Tone::Weak,
            Self::NotKnown => Tone::Blank,
            Self::Better | Self::Yes => Tone::Good,
            Self::AllRefused => Tone::Safe,
        }
    }
}

/// The first words about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstWords {
    /// The first of them.
    pub word: Word,
    /// How it looks at a glance.
    pub tone: Tone,
    /// All of them: one or two sentences.
    pub sentence: String,
    /// The same in a few words.
    pub short: String,
}

impl Mixture {
    /// What decides the first words about these results.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let cells: Vec<&Cell> = results.cells.iter().filter(|cell| !is_control(results, cell)).collect();
        let count = |wanted: &dyn Fn(&Cell) -> bool| cells.iter().filter(|cell| wanted(cell)).count();
        let tone = |cell: &Cell| Style::of(cell.verdict).tone;
        let is_foreseen = |cell: &Cell| cell.matched && cell.expected.outcome.contains(&cell.verdict);
        let is_declared = |cell: &Cell| tone(cell) == Tone::Weak && is_foreseen(cell);
        let is_bad = |cell: &Cell| lost(cell.verdict) && tone(cell) != Tone::Weak;
        let found = |kind| results.gate.findings.iter().filter(|finding| finding.kind == kind).count();
        let exit = match results.gate.exit {
            Exit::Fine if !results.gate.passed => Exit::GateFailed,
            exit => exit,
        };
        Self {
            exit,
            back: count(&|cell| matches!(tone(cell), Tone::Good | Tone::Fair)),
            declared: count(&is_declared),
            refused: count(&|cell| cell.verdict == Verdict::Refused),
            weak: count(&|cell| tone(cell) == Tone::Weak && !is_declared(cell)),
            bad: count(&is_bad),
            foreseen: count(&|cell| is_bad(cell) && is_foreseen(cell)),
            unsupported: count(&|cell| cell.verdict == Verdict::Unsupported),
            not_run: count(&|cell| cell.verdict == Verdict::NotRun),
            failed: count(&|cell| cell.verdict == Verdict::HarnessError),
            left_out: count(&|cell| {
                cell.verdict == Verdict::Filtered && cell.code.as_deref() == Some(LEFT_OUT)
            }),
            worse: found(FindingKind::Worse),
            better: found(FindingKind::Stale),
            flaky: found(FindingKind::Flaky),
            unknown: unknown(&cells),
            part: results.run.partition.clone(),
        }
    }

    /// Cells with a verdict.
    #[must_use]
    pub const fn judged(&self) -> usize {
        self.back + self.declared + self.refused + self.weak + self.bad
    }

    /// Cells without one.
    #[must_use]
    pub const fn unjudged(&self) -> usize {
        self.unsupported + self.not_run + self.failed
    }

    const fn lost(&self) -> usize {
        self.weak + self.bad
    }

    /// Whether something was planned and nobody knows what became of it.
    fn is_open(&self) -> bool {
        let ended_early = matches!(self.exit, Exit::Incomplete | Exit::NoVerdict | Exit::NothingSelected);
        ended_early || self.not_run + self.failed > 0 || !self.unknown.is_empty()
    }

    fn word(&self) -> Word {
        if self.judged() == 0 {
            Word::NotKnown
        } else if self.bad > 0 {
            Word::No
        } else if self.weak > 0 {
            Word::NotQuite
        } else if self.is_open() {
            Word::NotKnown
        } else if self.worse + self.flaky > 0 {
            Word::NotAsExpected
        } else if self.exit == Exit::Stale {
            Word::Better
        } else if self.exit != Exit::Fine {
            Word::NotAccepted
        } else if self.back + self.declared == 0 {
            Word::AllRefused
        } else {
            Word::Yes
        }
    }

    /// The first words about the run.
    #[must_use]
    pub fn first_words(&self) -> FirstWords {
        let word = self.word();
        let judged = self.judged();
        let came = self.came_back();
        let said = word.text();
        let part = self.part.as_ref().map(|part| format!("part {part} of the plan"));
        // What is said of a part is said of it alone.
        let head = part.as_ref().map_or_else(|| said.to_owned(), |part| format!("{said}, in {part}"));
        let sentence = match word {
            Word::No | Word::NotQuite => format!("{head}{}. {}", self.as_foreseen(), self.losses(word)),
            Word::NotKnown if judged == 0 && self.unjudged() == 0 => {
                format!("{head}: no cell of a judged system was run.")
            }
            Word::NotKnown if judged == 0 => {
                format!("{head}: nothing was judged; {}.", self.without_verdict())
            }
            Word::NotKnown => {
                let open = if self.unjudged() == 0 {
                    "the run did not come to its end".to_owned()
                } else {
                    self.without_verdict()
                };
                format!("{head}: {open}. Of {judged} judged, {came}{}.", self.but_worse())
            }
            Word::NotAsExpected => {
                format!("{head}: {}{}. Of {judged} judged, {came}.", self.short_of(), self.unable())
            }
            Word::NotAccepted => {
                format!("{head}: {}. Of {judged} judged, {came}{}.", self.exit.meaning(), self.unable())
            }
            Word::Better => {
                let better = counted(self.better.max(1), "cell is", "cells are");
                format!(
                    "{head}: {better} better than the expectations say. Of {judged} judged, {came}{}.",
                    self.unable()
                )
            }
            Word::AllRefused => {
                let loads = if judged == 1 { "the only load" } else { "every load" };
                format!("{head}: {loads} was refused, with a reason{}.", self.unable())
            }
            Word::Yes => {
                let refused = if self.refused == 0 { "" } else { " or was refused with a reason" };
                let except = match self.declared {
                    0 => String::new(),
                    losses => format!(
                        "; {losses} of {judged} with a loss that was declared and expected, such as that of a smaller KV type"
                    ),
                };
                format!("{head}. Every saved session came back intact{refused}{except}{}.", self.unable())
            }
        };
        let sentence = sentence + &self.without_time();
        FirstWords { word, tone: word.tone(), sentence, short: self.short(word) }
    }

    /// What became of the judged sessions where none is lost.
    fn came_back(&self) -> String {
        let back = self.back + self.declared;
        let parts = [
            (back > 0).then(|| counted(back, "came back", "came back")),
            (self.declared > 0).then(|| {
                counted(self.declared, "of them with an expected loss", "of them with an expected loss")
            }),
            (self.refused > 0)
                .then(|| counted(self.refused, "was refused with a reason", "were refused with a reason")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn losses(&self, word: Word) -> String {
        let (judged, lost) = (self.judged(), self.lost());
        let what = match word {
            Word::NotQuite => {
                format!("{lost} of {} came back worse than saved", counted(judged, "session", "sessions"))
            }
            _ => format!("{lost} of {judged} saved sessions did not come back intact"),
        };
        let foreseen = match self.foreseen {
            0 => String::new(),
            all if all >= lost => "; that is expected, and the expectations say why".to_owned(),
            some => format!("; {some} of them {} expected", if some == 1 { "is" } else { "are" }),
        };
        let open = match self.unjudged() {
            0 => String::new(),
            _ => format!("; {}", self.without_verdict()),
        };
        format!("{what}{foreseen}{open}.")
    }

    /// A loss that everybody knows of is no surprise, and no "yes" either.
    fn as_foreseen(&self) -> &'static str {
        if self.exit == Exit::Fine && self.foreseen >= self.lost() { ", as expected" } else { "" }
    }

    fn but_worse(&self) -> String {
        match self.worse {
            0 => String::new(),
            worse => format!("; {} worse than expected", counted(worse, "cell is", "cells are")),
        }
    }

    /// Why it is not as expected, where no session is lost.
    fn short_of(&self) -> String {
        let worse = (self.worse > 0).then(|| {
            counted(self.worse, "session", "sessions")
                + " did less well than expected (refused, or computed again)"
        });
        let flaky = (self.flaky > 0)
            .then(|| counted(self.flaky, "cell", "cells") + " ended differently when retried");
        [worse, flaky].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// What has no verdict, and of whom nothing is known.
    fn without_verdict(&self) -> String {
        let total = self.judged() + self.unjudged();
        let verb = if self.unjudged() == 1 { "has" } else { "have" };
        let cells = if total == 1 { "cell" } else { "cells" };
        let unknown = match self.unknown.as_slice() {
            [] => String::new(),
            names => format!(", and nothing is known of {}", super::story::listed(names)),
        };
        format!("{} of {total} {cells} {verb} no verdict{unknown}", self.unjudged())
    }

    /// What a system cannot do is left out of a verdict on what it does.
    fn unable(&self) -> String {
        match self.unsupported {
            0 => String::new(),
            some => {
                format!("; {} for what a system cannot do", counted(some, "more cell asks", "more cells ask"))
            }
        }
    }

    /// What there was no time for is not known, whatever became of the rest.
    fn without_time(&self) -> String {
        match self.left_out {
            0 => String::new(),
            some => format!(" {} left out for lack of time.", counted(some, "cell was", "cells were")),
        }
    }

    fn short(&self, word: Word) -> String {
        let judged = self.judged();
        let short = match word {
            Word::No | Word::NotQuite => format!("{} of {judged} not intact", self.lost()),
            Word::NotKnown if judged == 0 => "nothing judged".to_owned(),
            Word::NotKnown if self.unjudged() == 0 => "not finished".to_owned(),
            Word::NotKnown => format!("{} of {} not judged", self.unjudged(), judged + self.unjudged()),
            Word::NotAsExpected => format!("{} not as expected", self.worse + self.flaky),
            Word::NotAccepted => "gate failed".to_owned(),
            Word::Better => format!("{} better than expected", self.better.max(1)),
            Word::AllRefused => format!("{judged} refused"),
            Word::Yes => format!("{judged} as expected"),
        };
        self.part.as_ref().map_or_else(|| short.clone(), |part| format!("{short} (part {part})"))
    }
}

/// Systems that were to be judged in these cells and were in none.
fn unknown(cells: &[&Cell]) -> Vec<String> {
    let open = cells.iter().filter(|cell| cell.verdict != Verdict::Filtered);
    let mut names: Vec<String> = open.map(|cell| dim(cell, "subject")).collect();
    names.sort();
    names.dedup();
    let is_judged =
        |name: &String| cells.iter().any(|cell| cell.verdict.is_verdict() && dim(cell, "subject") == *name);
    names.retain(|name| !is_judged(name));
    names
}

#[cfg(test)]
mod tests;
