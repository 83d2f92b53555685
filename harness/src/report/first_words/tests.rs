//! What is said of which run: a table, and what no run can make the first words say.

use std::env;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::gate;
use crate::report::tests::{base, cell};
use crate::report::{Report, annotations, badge, html, junit, markdown};
use crate::results::Finding;
use crate::results::judged_verdicts;

const NOTHING: Mixture = Mixture {
    exit: Exit::Fine,
    back: 0,
    declared: 0,
    refused: 0,
    weak: 0,
    bad: 0,
    foreseen: 0,
    unsupported: 0,
    not_run: 0,
    failed: 0,
    left_out: 0,
    worse: 0,
    better: 0,
    flaky: 0,
    unknown: Vec::new(),
    part: None,
};

#[test]
fn what_is_said_of_which_mixture() {
    let node = || vec!["node-llama-cpp".to_owned()];
    for (mixture, sentence, short) in [
        (Mixture { back: 4, ..NOTHING }, "Yes. Every saved session came back intact.", "4 as expected"),
        (
            Mixture { back: 3, refused: 1, ..NOTHING },
            "Yes. Every saved session came back intact or was refused with a reason.",
            "4 as expected",
        ),
        (
            Mixture { back: 3, declared: 1, ..NOTHING },
            "Yes. Every saved session came back intact; 1 of 4 with a loss that was declared and expected, such as that of a \
             smaller KV type.",
            "4 as expected",
        ),
        (
            Mixture { back: 4, unsupported: 2, ..NOTHING },
            "Yes. Every saved session came back intact; 2 more cells ask for what a system cannot do.",
            "4 as expected",
        ),
        (
            Mixture { back: 2, part: Some("1/2".into()), ..NOTHING },
            "Yes, in part 1/2 of the plan. Every saved session came back intact.",
            "2 as expected (part 1/2)",
        ),
        (
            Mixture { back: 4, left_out: 36, ..NOTHING },
            "Yes. Every saved session came back intact. 36 cells were left out for lack of time.",
            "4 as expected",
        ),
        (
            Mixture { refused: 2, ..NOTHING },
            "No session came back: every load was refused, with a reason.",
            "2 refused",
        ),
        (
            Mixture { refused: 1, ..NOTHING },
            "No session came back: the only load was refused, with a reason.",
            "1 refused",
        ),
        (
            Mixture { exit: Exit::NothingSelected, ..NOTHING },
            "Not known: no cell of a judged system was run.",
            "nothing judged",
        ),
        (
            Mixture { exit: Exit::NoVerdict, unsupported: 1, unknown: node(), ..NOTHING },
            "Not known: nothing was judged; 1 of 1 cell has no verdict, and nothing is known of node-llama-cpp.",
            "nothing judged",
        ),
        // What an application developer had: 4 of 80 cells said "Yes" for all.
        (
            Mixture {
                exit: Exit::Incomplete,
                back: 4,
                unsupported: 8,
                not_run: 68,
                unknown: node(),
                ..NOTHING
            },
            "Not known: 76 of 80 cells have no verdict, and nothing is known of node-llama-cpp. Of 4 judged, 4 came back.",
            "76 of 80 not judged",
        ),
        (
            Mixture { exit: Exit::NoVerdict, back: 3, refused: 1, failed: 1, ..NOTHING },
            "Not known: 1 of 5 cells has no verdict. Of 4 judged, 3 came back, 1 was refused with a reason.",
            "1 of 5 not judged",
        ),
        (
            Mixture { exit: Exit::Incomplete, back: 3, refused: 1, not_run: 4, worse: 1, ..NOTHING },
            "Not known: 4 of 8 cells have no verdict. Of 4 judged, 3 came back, 1 was refused with a reason; 1 cell is worse \
             than expected.",
            "4 of 8 not judged",
        ),
        (
            Mixture { exit: Exit::Incomplete, back: 3, ..NOTHING },
            "Not known: the run did not come to its end. Of 3 judged, 3 came back.",
            "not finished",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 2, refused: 2, worse: 2, ..NOTHING },
            "Not as expected: 2 sessions did less well than expected (refused, or computed again). Of 4 judged, 2 came back, 2 \
             were refused with a reason.",
            "2 not as expected",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 4, flaky: 1, ..NOTHING },
            "Not as expected: 1 cell ended differently when retried. Of 4 judged, 4 came back.",
            "1 not as expected",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 4, ..NOTHING },
            "Not accepted: at least one cell is worse than expected. Of 4 judged, 4 came back.",
            "gate failed",
        ),
        (
            Mixture { exit: Exit::Stale, back: 4, better: 2, ..NOTHING },
            "Better than expected: 2 cells are better than the expectations say. Of 4 judged, 4 came back.",
            "2 better than expected",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 3, weak: 1, worse: 1, ..NOTHING },
            "Not quite. 1 of 4 sessions came back worse than saved.",
            "1 of 4 not intact",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 2, weak: 1, bad: 1, worse: 2, ..NOTHING },
            "No. 2 of 4 saved sessions did not come back intact.",
            "2 of 4 not intact",
        ),
        // The gate knows of it: that is no puzzle if it is said.
        (
            Mixture { back: 4, bad: 4, foreseen: 4, ..NOTHING },
            "No, as expected. 4 of 8 saved sessions did not come back intact; that is expected, and the expectations say why.",
            "4 of 8 not intact",
        ),
        (
            Mixture { exit: Exit::GateFailed, back: 1, bad: 3, foreseen: 1, worse: 2, ..NOTHING },
            "No. 3 of 4 saved sessions did not come back intact; 1 of them is expected.",
            "3 of 4 not intact",
        ),
        (
            Mixture {
                exit: Exit::Incomplete,
                back: 1,
                bad: 1,
                not_run: 6,
                part: Some("2/2".into()),
                ..NOTHING
            },
            "No, in part 2/2 of the plan. 1 of 2 saved sessions did not come back intact; 6 of 8 cells have no verdict.",
            "1 of 2 not intact (part 2/2)",
        ),
    ] {
        let words = mixture.first_words();
        assert_eq!((words.sentence.as_str(), words.short.as_str()), (sentence, short), "{mixture:?}");
    }
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 1..4_usize]
}

fn mixtures() -> impl Strategy<Value = Mixture> {
    let verdicts = (count(), count(), count(), count(), count(), 0..8_usize);
    let none = (count(), count(), count(), count());
    let found = (count(), count(), count());
    let unknown = prop_oneof![3 => Just(vec![]), 1 => Just(vec!["x".to_owned()]), 1 => Just(vec!["x".into(), "y".into()])];
    let part = prop_oneof![3 => Just(None), 1 => Just(Some("1/2".to_owned()))];
    let exit = prop::sample::select(Exit::ALL.to_vec());
    (exit, verdicts, none, found, unknown, part).prop_map(|(exit, verdicts, none, found, unknown, part)| {
        let (back, declared, refused, weak, bad, foreseen) = verdicts;
        let (unsupported, not_run, failed, left_out) = none;
        let (worse, better, flaky) = found;
        let foreseen = foreseen.min(bad);
        let mixture = Mixture { exit, back, declared, refused, weak, bad, foreseen, unsupported, ..NOTHING };
        Mixture { not_run, failed, left_out, worse, better, flaky, unknown, part, ..mixture }
    })
}

/// `INTACT_MADE_UP_RUNS=100000` sets how many runs are made up.
fn runner(usual: u32) -> TestRunner {
    let cases = env::var("INTACT_MADE_UP_RUNS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual);
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Whether what is said is borne out by what was judged, whatever the run was.
fn claims_no_more(mixture: &Mixture) -> Result<(), TestCaseError> {
    let words = mixture.first_words();
    let (word, said) = (words.word, words.sentence.as_str());
    prop_assert!(said.starts_with(word.text()), "{said}");
    let first_of_all =
        Word::ALL.iter().filter(|word| said.starts_with(word.text())).max_by_key(|word| word.text().len());
    prop_assert_eq!(first_of_all, Some(&word), "two words begin alike: {}", said);
    let all_well = mixture.weak + mixture.bad == 0
        && mixture.not_run + mixture.failed == 0
        && mixture.unknown.is_empty()
        && mixture.worse + mixture.flaky == 0
        && mixture.judged() > 0;
    let passes = mixture.exit == Exit::Fine;
    let borne_out = match word {
        Word::Yes | Word::AllRefused => passes && all_well,
        Word::Better => mixture.exit == Exit::Stale && all_well,
        Word::NotAccepted => !passes && all_well,
        Word::NotAsExpected => mixture.weak + mixture.bad == 0 && mixture.worse + mixture.flaky > 0,
        Word::NotKnown => !all_well || !passes,
        Word::NotQuite => mixture.weak > 0 && mixture.bad == 0,
        Word::No => mixture.bad > 0,
    };
    prop_assert!(borne_out, "{}", said);
    prop_assert_eq!(word == Word::AllRefused, passes && all_well && mixture.back + mixture.declared == 0);
    // Only a run that passes is called one, in the words or by the look of them.
    prop_assert!(passes || !matches!(words.tone, Tone::Good | Tone::Safe) || word == Word::Better);
    prop_assert!(said.contains("as expected.") <= (passes && mixture.foreseen >= mixture.weak + mixture.bad));
    // Nothing that has no verdict is kept quiet about, no system is forgotten, and a part is called one.
    if mixture.not_run + mixture.failed > 0 {
        prop_assert!(said.contains("no verdict"), "{said}");
    }
    prop_assert_eq!(mixture.left_out > 0, said.contains("lack of time"), "{}", said);
    if mixture.unsupported > 0 {
        prop_assert!(said.contains("no verdict") || said.contains("cannot do"), "{said}");
    }
    for name in &mixture.unknown {
        prop_assert!(said.contains(name.as_str()) || mixture.unjudged() == 0, "{said}");
    }
    if let Some(part) = &mixture.part {
        prop_assert!(said.contains(part) && words.short.contains(part), "{said}");
    }
    for wrong in ["1 cells", "1 sessions", "1 were", " 1 have", "0 "] {
        prop_assert!(!format!(" {said}").contains(&format!(" {wrong}")), "{said}");
    }
    Ok(())
}

#[test]
fn no_run_makes_the_first_words_say_more_than_was_judged() {
    runner(2_000)
        .run(&mixtures(), |mixture| claims_no_more(&mixture))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_word_is_said_of_some_run() {
    let mut seen = std::collections::BTreeSet::new();
    let collected = std::cell::RefCell::new(&mut seen);
    let note = |mixture: Mixture| {
        collected.borrow_mut().insert(mixture.first_words().word);
        Ok(())
    };
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    runner.run(&mixtures(), note).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.len(), Word::ALL.len(), "{seen:?}");
}

/// Runs whose gate is decided as a run's is.
fn runs() -> impl Strategy<Value = Results> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    let part = prop_oneof![3 => Just(None), 1 => Just(Some("1/2".to_owned()))];
    (
        prop::collection::vec(
            (verdict, prop::sample::select(vec!["engine", "blind", "other"]), any::<bool>()),
            0..8,
        ),
        part,
    )
        .prop_map(|(cells, part)| {
            let mut findings = Vec::new();
            let cells = cells.into_iter().enumerate().map(|(index, (verdict, subject, expected))| {
                let name = index.to_string();
                let mut cell = cell(subject, &[("kv", &name)], verdict);
                if expected {
                    cell.expected.outcome = vec![verdict];
                }
                cell.matched = cell.expected.outcome.contains(&verdict);
                let kind = match verdict {
                    Verdict::NotRun => Some(FindingKind::NotRun),
                    Verdict::HarnessError => Some(FindingKind::HarnessError),
                    _ if cell.matched || !verdict.is_verdict() || subject == "blind" => None,
                    _ if verdict < cell.expected.outcome[0] => Some(FindingKind::Stale),
                    _ => Some(FindingKind::Worse),
                };
                let finding = |kind| Finding { kind, cell: Some(cell.id.clone()), message: "m".into() };
                findings.extend(kind.map(finding));
                cell
            });
            let cells: Vec<_> = cells.collect();
            let mut results = base(cells);
            let judged = judged_verdicts(&results.cells, &results.subjects);
            results.gate = gate::decide(results.cells.len(), &judged, findings);
            results.run.partition = part;
            results
        })
}

#[test]
fn every_rendering_begins_with_the_same_words() {
    let agree = |results: Results| {
        let mixture = Mixture::of(&results);
        claims_no_more(&mixture)?;
        let words = mixture.first_words();
        let report = Report::of(&results);
        let rendered = |made: Result<String, String>| made.unwrap_or_else(|error| panic!("{error}"));
        for text in
            [markdown(&report), annotations(&report), rendered(html(&report)), rendered(junit(&results))]
        {
            prop_assert!(text.contains(&words.sentence), "{}: {text}", words.sentence);
        }
        prop_assert!(rendered(badge(&results)).contains(&words.short), "{}", words.short);
        // A tool that counts failures finds one exactly where the gate has one.
        let xml = rendered(junit(&results));
        let fails = xml.contains("<failure") || xml.contains("<error");
        prop_assert_eq!(fails, !results.gate.passed, "{}", xml);
        Ok(())
    };
    let cases = env::var("INTACT_MADE_UP_RUNS").map_or(16, |_| 500);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&runs(), agree).unwrap_or_else(|error| panic!("{error}"));
}
