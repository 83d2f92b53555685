//! Which of the systems of a run is the safest: the one whose users are the least likely to lose a session without being told.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::called::called;
use super::crossing::Question;
use super::story::is_lost;
use crate::properties::system;
use crate::quantity::counted;
use crate::results::{PropertyAnswer, Results};
use crate::style::{Style, Tone};

const TITLE: &str = "Which system is safest?";

/// How a system fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Questions in which its users lose nothing without being told.
    pub safe: usize,
    /// Questions that were asked of it.
    pub asked: usize,
    /// Its loads that have a verdict.
    pub judged: usize,
    /// Of these, the ones that are wrong and nobody is told, or that did harm.
    pub silent: usize,
    /// The ones that are lost, and whoever loads them is told.
    pub told: usize,
    /// The worst of them, but for losses that were expected.
    worst: Option<Tone>,
}

impl Standing {
    /// How a system fared in the questions of a run.
    pub(super) fn asked(results: &Results, name: &str) -> (usize, usize) {
        let by = |answer: &&PropertyAnswer| answer.system == name;
        let answers = results.properties.iter().map(|property| property.answers.iter().filter(by));
        let asked: Vec<bool> = answers
            .filter(|answers| answers.clone().next().is_some())
            .map(|mut answers| answers.all(|answer| answer.safe))
            .collect();
        (asked.iter().filter(|safe| **safe).count(), asked.len())
    }

    /// What orders systems, the safest first: the share of safe questions, then those of loads that were silently wrong, and lost.
    fn order(&self) -> (Reverse<u64>, u64, u64) {
        let share = |part: usize, of: usize| (part as u64 * 1_000_000) / (of.max(1) as u64);
        (
            Reverse(share(self.safe, self.asked)),
            share(self.silent, self.judged),
            share(self.told, self.judged),
        )
    }

    fn words(&self) -> String {
        let loads = format!("{} of {}", self.silent, counted(self.judged, "load", "loads"));
        let mut words = format!("{loads} silently wrong or harmful, {} lost but told", self.told);
        if self.asked > 0 {
            words =
                format!("safe in {} of {}; {words}", self.safe, counted(self.asked, "question", "questions"));
        }
        words
    }
}

/// The question, answered by what became of the cells of each system.
pub(super) fn safest(results: &Results) -> Question {
    let mut standings: BTreeMap<&str, Standing> = BTreeMap::new();
    for cell in results.cells.iter().filter(|cell| cell.verdict.is_verdict()) {
        let standing = standings.entry(system(cell)).or_default();
        let tone = Style::of(cell.verdict).tone;
        standing.judged += 1;
        standing.silent += usize::from(tone == Tone::Bad);
        standing.told += usize::from(tone == Tone::Safe);
        if tone != Tone::Weak || is_lost(cell) {
            standing.worst = Some(standing.worst.map_or(tone, |worst| worst.or_worse(tone)));
        }
    }
    for (name, standing) in &mut standings {
        (standing.safe, standing.asked) = Standing::asked(results, name);
    }
    let mut ranked: Vec<(&str, Standing)> = standings.into_iter().collect();
    // A system that was asked nothing is not safer than one that was.
    let any = ranked.iter().any(|(_, standing)| standing.asked > 0);
    ranked.retain(|(_, standing)| !any || standing.asked > 0);
    ranked.sort_by_key(|(_, standing)| standing.order());
    let lines =
        ranked.iter().map(|(name, standing)| (with_version(results, name), standing.words())).collect();
    let (tone, answer) = match ranked.as_slice() {
        [] => (Tone::Blank, "Not known: nothing was judged.".to_owned()),
        [(name, _)] => (
            Tone::Blank,
            format!("Not compared: only {} was judged in this run.", with_version(results, name)),
        ),
        [(first, best), rest @ ..] => {
            let equal = |standing: &Standing| standing.order() == best.order();
            let equals: Vec<&str> =
                rest.iter().filter(|(_, standing)| equal(standing)).map(|(name, _)| *name).collect();
            let tone = best.worst.unwrap_or(Tone::Blank);
            let name = with_version(results, first);
            let answer = match equals.len() {
                0 => format!("{name}: {}.", best.words()),
                1 => format!("{name} and {} alike: {}.", with_version(results, equals[0]), best.words()),
                more => format!("{name} and {more} others alike: {}.", best.words()),
            };
            (tone, answer)
        }
    };
    Question { title: TITLE, tone, answer, lines }
}

/// A system by its name in words, with the llama.cpp that it has inside where its name says no version.
fn with_version(results: &Results, name: &str) -> String {
    let hello = || results.subjects.iter().find(|subject| subject.name == name)?.hello.as_ref();
    match hello().filter(|_| !name.contains('@')) {
        Some(hello) if !hello.release.is_empty() && hello.release != name => {
            format!("{} ({})", called(name), hello.release)
        }
        _ => called(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::results::PropertyResult;
    use crate::verdict::Verdict;

    #[test]
    fn the_system_of_the_fewest_silent_losses_is_the_safest() {
        use Verdict::{Corrupt, Exact, Refused};
        let results = base(vec![
            cell("blind", &[], Exact),
            cell("blind", &[("kv", "q8_0")], Corrupt),
            cell("engine", &[], Exact),
            cell("engine", &[("kv", "q8_0")], Refused),
        ]);
        let question = safest(&results);
        assert_eq!(question.tone, Tone::Safe, "the worst that happens to its users");
        assert!(question.answer.starts_with("intact"), "{}", question.answer);
        assert!(
            question.answer.contains("0 of 2 loads silently wrong or harmful, 1 lost but told"),
            "{}",
            question.answer
        );
        assert!(question.lines[1].0.starts_with("llama.cpp, unchecked"), "{:?}", question.lines);
    }

    #[test]
    fn questions_count_before_loads_and_systems_that_are_alike_are_named_so() {
        let mut results = base(vec![
            cell("a", &[], Verdict::Exact),
            cell("b", &[], Verdict::Corrupt),
            cell("c", &[], Verdict::Exact),
        ]);
        let answer = |system: &str, safe| PropertyAnswer {
            system: system.into(),
            answer: "so".into(),
            safe,
            cells: Vec::new(),
        };
        let property = |answers| PropertyResult { name: "q".into(), question: "?".into(), answers };
        results.properties = vec![
            property(vec![answer("a", true), answer("a", false), answer("b", true)]),
            property(vec![answer("a", true)]),
        ];
        let question = safest(&results);
        assert_eq!(
            question.answer,
            "b: safe in 1 of 1 question; 1 of 1 load silently wrong or harmful, 0 lost but told."
        );
        assert_eq!(question.tone, Tone::Bad);
        let named: Vec<&str> = question.lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["b", "a"], "what was asked nothing is not ranked");

        results.properties.clear();
        assert!(safest(&results).answer.starts_with("a and c alike: 0 of 1 load"));
    }

    #[test]
    fn one_system_is_compared_with_none() {
        let question = safest(&base(vec![cell("a", &[], Verdict::Exact), cell("b", &[], Verdict::NotRun)]));
        assert_eq!(
            (question.tone, question.answer.as_str()),
            (Tone::Blank, "Not compared: only a was judged in this run.")
        );
        assert_eq!(safest(&base(Vec::new())).answer, "Not known: nothing was judged.");
    }
}
