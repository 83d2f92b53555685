//! The performance part of the page: there where something was measured, and telling it in figures and drawings.

use std::collections::BTreeMap;

use intact_harness::environment;
use intact_harness::exit::Exit;
use intact_harness::perf::comparison::{
    self, Block, Comparison, Measured, Procedure, Series, Subject, decide,
};
use intact_harness::perf::history::{Entry, Recorded};
use intact_harness::perf::row::{Operation, Row};
use intact_harness::perf::verdict::Limits;
use intact_harness::report::{Performance, Report, html};

use super::browser::Page;
use super::sample::{HOSTILE, good};

fn row(operation: Operation) -> Row {
    Row { model: "llama".into(), kv: "f16".into(), tokens: 256, operation }
}

/// Eight blocks in which the candidate takes so many times as long as the base.
fn measured(seconds: f64, ratio: f64) -> Measured {
    let wobble = |block: u32| 1.0 + f64::from(block % 3) / 1_000.0;
    let block = |block| Block {
        base: vec![seconds * wobble(block); 4],
        candidate: vec![seconds * ratio * wobble(block + 1); 4],
    };
    Measured { blocks: (0..8).map(block).collect(), bytes: Some(1 << 20) }
}

/// A direct load that became a fifth slower, beside a copy of the bytes that did not.
pub(crate) fn slower() -> Comparison {
    let series = |load| -> Series {
        BTreeMap::from([
            (row(Operation::LoadDirect), measured(0.004, load)),
            (row(Operation::Copy), measured(0.0004, 1.0)),
        ])
    };
    let procedure = Procedure {
        blocks: 8,
        rounds: 1,
        confidence: 0.99,
        resamples: 500,
        seed: 1,
        limits: Limits::default(),
    };
    let mut rows = decide(&series(1.2), &series(1.2), &procedure);
    let exit = comparison::conclude(&mut rows);
    let subject = |name: &str| Subject {
        name: name.into(),
        command: vec!["intact-worker".into()],
        version: "0.1.0".into(),
        release: "0.6.0".into(),
    };
    Comparison {
        version: comparison::COMPARISON_VERSION,
        made: "2026-11-22T06:00:00Z".into(),
        seconds: 20.0,
        environment: environment::here(),
        base: subject("main"),
        candidate: subject(HOSTILE),
        procedure,
        exit,
        summary: comparison::summary(exit, &rows),
        rows,
        skipped: Vec::new(),
    }
}

fn history() -> Vec<Entry> {
    let entry = |number: u32| Entry {
        version: 1,
        recorded: format!("2026-11-{:02}T00:00:00Z", number + 1),
        environment: environment::here(),
        release: "0.6.0".into(),
        subject: "0.1.0".into(),
        commit: None,
        rows: vec![Recorded {
            row: row(Operation::LoadDirect),
            bytes: None,
            seconds: vec![if number < 6 { 0.004 } else { 0.006 }],
        }],
    };
    (0..12).map(entry).collect()
}

pub(crate) fn page(comparison: Option<Comparison>, history: Vec<Entry>) -> String {
    let results = good();
    let performance = Some(Performance { comparison, history });
    html(&Report { performance, ..Report::of(&results) }).expect("rendered")
}

#[test]
fn there_is_no_performance_part_where_nothing_was_measured() {
    let rendered = html(&Report::of(&good())).expect("rendered");
    assert!(!rendered.contains("part-performance"));
}

#[test]
fn a_comparison_is_told_in_words_figures_and_a_drawing() {
    let comparison = slower();
    assert_eq!(comparison.exit, Exit::Regression, "{}", comparison.summary);
    let Some(mut page) = Page::open(&page(Some(comparison), Vec::new()), "tab=performance") else { return };
    let shown = page.text("document.getElementById('part-performance').innerText");
    for words in ["load, direct", "regressed", "+20.", "4.0", "copy of the bytes in memory (yardstick)"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert_eq!(page.eval("document.querySelectorAll('.forest circle').length"), 2);
    assert!(page.eval("document.querySelectorAll('.chart svg').length").as_u64() > Some(0));
    assert_eq!(page.eval("document.querySelectorAll('img').length"), 0, "no element came out of text");
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn a_history_is_drawn_over_time() {
    let rendered = page(None, history());
    assert!(rendered.contains("entry of the history"), "a chart over time");
    assert!(!rendered.contains("Did saving and restoring become slower?"), "no comparison was made");
}

#[test]
fn what_lies_beside_a_run_is_found_and_what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(Performance::beside(folder.path()).expect("looked"), None);
    let comparison = slower();
    comparison.write(&folder.path().join(comparison::COMPARISON_FILE)).expect("written");
    let found = Performance::beside(folder.path()).expect("looked").expect("found");
    assert_eq!(found.comparison.map(|found| found.summary), Some(comparison.summary));
    std::fs::write(folder.path().join("perf-history.jsonl"), "nonsense\n").expect("written");
    let error = Performance::beside(folder.path()).expect_err("nonsense").to_string();
    assert!(error.contains("perf-history.jsonl:1"), "{error}");
}
