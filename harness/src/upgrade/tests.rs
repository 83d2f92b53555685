//! What of which results is said, and that the matrix can be read.

use std::path::Path;

use super::*;
use crate::config::Config;
use crate::plan::{Plan, Setting};
use crate::report::tests::{base, cell};

const OLD: &str = "node-llama-cpp@3.18.1";
const NEW: &str = "node-llama-cpp@3.22.1";

fn installed(version: &str) -> Side {
    Side::Installed("node-llama-cpp".into(), version.into())
}

#[test]
fn the_matrix_has_both_ways_of_both_types_and_nothing_else() {
    let (worker, other) = (Side::Worker("b8390".into(), vec!["w".into()]), installed("3.22.1"));
    for (from, to) in [(installed("3.18.1"), installed("3.22.1")), (worker, other)] {
        let text = configuration(&from, &to).expect("made");
        let config =
            Config::parse(&text, Path::new("upgrade.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let setting = Setting {
            models: vec![("small".into(), "plain".into())],
            variants: Default::default(),
            releases: Default::default(),
            crossed: vec![],
            systems: vec![from.name(), to.name()],
        };
        let plan = Plan::grown(&config, PLAN, &setting, &[]).unwrap_or_else(|error| panic!("{error}"));
        let playable: Vec<_> = plan.cells.iter().filter(|cell| cell.filtered.is_none()).collect();
        assert_eq!(playable.len(), 12, "{:#?}", playable.iter().map(|cell| &cell.id).collect::<Vec<_>>());
    }
}

#[test]
fn state_files_are_kept_from_releases_that_would_take_all_memory_for_them() {
    for (writer, reader, harmful) in [
        ("b9028", "b5686", true),
        ("0.6.0", "b5686", true),
        ("b5686", "0.6.0", false),
        ("0.6.0", "b8390", false),
        ("b8390", "b5686", false),
    ] {
        assert_eq!(is_harmful(writer, reader), harmful, "{writer} -> {reader}");
    }
}

#[test]
fn state_files_are_answered_apart_from_sessions() {
    use Verdict::{Corrupt, Exact};
    let (old, new) = ("b8390", "0.6.0");
    let cells = [
        (old, new, "f16", Exact),
        (new, old, "f16", Exact),
        ("b8390-files", "0.6.0-files", "f16", Corrupt),
        ("0.6.0-files", "b8390-files", "f16", Exact),
    ];
    let answers = Answers::of(&results(&cells), old, new);
    assert_eq!(answers.upgrade.survives(), Some(true));
    let text = answers.text("m.gguf");
    let (sessions, files) = text.split_once("These were sessions that intact saved.").expect("both");
    assert!(sessions.contains("Can I upgrade, b8390 -> 0.6.0? Yes."), "{sessions}");
    assert!(files.contains("Can I upgrade, b8390-files -> 0.6.0-files? No."), "{files}");
    assert!(files.contains("come back wrong"), "{files}");
}

#[test]
fn a_type_that_the_old_version_cannot_have_is_no_question() {
    use Verdict::{Exact, Unsupported};
    let cells = [
        (OLD, OLD, "f16", Exact),
        (OLD, OLD, "q4_0", Unsupported),
        (OLD, NEW, "f16", Exact),
        (OLD, NEW, "q4_0", Unsupported),
        (NEW, NEW, "q4_0", Exact),
        (NEW, OLD, "f16", Exact),
        (NEW, OLD, "q4_0", Unsupported),
    ];
    let answers = Answers::of(&results(&cells), OLD, NEW);
    assert_eq!(answers.upgrade.survives(), Some(true), "there are no such sessions");
    assert_eq!(answers.rollback.survives(), None, "there may be some by then");
    assert!(answers.text("m").contains(&format!("Note: {OLD} has no sessions with q4_0.")));
}

fn results(cells: &[(&str, &str, &str, Verdict)]) -> Results {
    let cell = |(from, to, kv, verdict): &(&str, &str, &str, Verdict)| {
        let mut cell = cell("node-llama-cpp", &[("writer", from), ("reader", to), ("kv", kv)], *verdict);
        cell.message = "Failed to load state from file.".into();
        cell
    };
    base(cells.iter().map(cell).collect())
}

#[test]
fn each_way_is_answered_by_what_became_of_sessions_on_it() {
    use Verdict::{Corrupt, Exact, NotRun, Recomputed, Refused, RefusedUnclear, Unsupported};
    for (f16, q8_0, survives, said) in [
        (Exact, Exact, Some(true), "? Yes.\n  f16    sessions survive\n  q8_0   sessions survive\n"),
        (Exact, Recomputed, Some(true), "q8_0   sessions survive, and their tokens are evaluated again\n"),
        (Exact, Corrupt, Some(false), "? Only for some KV types.\n"),
        (
            RefusedUnclear,
            Refused,
            Some(false),
            "? No.\n  f16    sessions are lost, and the program says so: Failed to load",
        ),
        (Exact, NotRun, None, "? Not known.\n  f16    sessions survive\n  q8_0   not known: Failed"),
        (Unsupported, Corrupt, Some(false), "? No.\n"),
    ] {
        let results = results(&[(OLD, NEW, "f16", f16), (OLD, NEW, "q8_0", q8_0), (NEW, OLD, "f16", Exact)]);
        let answers = Answers::of(&results, OLD, NEW);
        assert_eq!(answers.upgrade.survives(), survives, "{f16} {q8_0}");
        assert_eq!(answers.rollback.survives(), Some(true), "{f16} {q8_0}");
        let text = answers.text("my.gguf");
        assert!(text.contains(said), "{said}: {text}");
        assert_eq!(text.contains("intact adopt"), survives == Some(false), "{text}");
    }
}

#[test]
fn what_was_not_tried_is_not_known_and_a_system_that_fails_alone_is_named() {
    let answers = Answers::of(&results(&[]), OLD, NEW);
    assert_eq!((answers.upgrade.survives(), answers.rollback.survives()), (None, None));
    assert!(answers.text("m").contains("no session was tried"));
    let alone = results(&[(NEW, NEW, "q8_0", Verdict::Corrupt), (OLD, OLD, "q8_0", Verdict::Exact)]);
    let text = Answers::of(&alone, OLD, NEW).text("m");
    assert!(
        text.contains(&format!("Note: {NEW} does not get back what it saved itself with q8_0")),
        "{text}"
    );
    assert!(!text.contains(&format!("Note: {OLD}")), "{text}");
}

#[test]
fn of_several_models_the_worst_counts() {
    let both = |first, second| {
        let results = results(&[(OLD, NEW, "f16", first), (OLD, NEW, "f16", second)]);
        Answers::of(&results, OLD, NEW).upgrade.types[0].1
    };
    assert_eq!(both(Verdict::Exact, Verdict::Corrupt), Some(Fare::Silent));
    assert_eq!(both(Verdict::Refused, Verdict::Exact), Some(Fare::Told));
    assert_eq!(both(Verdict::Exact, Verdict::NotRun), None);
    assert_eq!(both(Verdict::NotRun, Verdict::Exact), None);
}
