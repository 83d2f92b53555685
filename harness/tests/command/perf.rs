//! `perf`: workers whose times are made up are told apart, recorded and drawn.

use std::fs;
use std::path::Path;

use intact_harness::perf::comparison::{COMPARISON_FILE, Comparison};
use intact_harness::perf::row::Operation;
use intact_harness::perf::verdict::Verdict;
use tempfile::TempDir;

use super::cli::{Said, fake_worker, intact};

/// A folder with something that the fake worker takes for a model.
fn scene() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("model.gguf"), "weights").expect("written");
    folder
}

/// Compares the fake worker with itself at another pace.
fn compare(folder: &TempDir, candidate: &str, more: &[&str]) -> Said {
    let worker = fake_worker().display().to_string();
    let (model, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    let arguments = [
        "perf",
        "compare",
        &worker,
        &format!("{worker} {candidate}"),
        "--kv",
        "f16",
        "--tokens",
        "64",
        "--blocks",
        "5",
        "--rounds",
        "1",
        "--model",
        model.to_str().expect("UTF-8"),
        "--out",
        out.to_str().expect("UTF-8"),
    ];
    intact(arguments.iter().chain(more))
}

fn written(folder: &TempDir) -> Comparison {
    Comparison::read(&folder.path().join("out").join(COMPARISON_FILE)).expect("a comparison")
}

fn verdict(comparison: &Comparison, operation: Operation) -> Verdict {
    let row = comparison.rows.iter().find(|row| row.row.operation == operation);
    row.unwrap_or_else(|| panic!("{operation} was measured")).verdict
}

#[test]
fn a_worker_is_as_fast_as_itself() {
    let folder = scene();
    let said = compare(&folder, "--misbehave nothing", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("Nothing became slower or faster."), "{}", said.out);
    let comparison = written(&folder);
    assert!(comparison.rows.iter().all(|row| row.verdict == Verdict::Unchanged), "{}", said.out);
    assert_eq!(comparison.rows.len(), 8);
    // The toy has no path of llama.cpp's; that is said, and is no reason to fail.
    assert!(said.out.contains("Not measured: llama.cpp's own load"), "{}", said.out);
}

#[test]
fn a_slower_load_fails_the_gate_and_is_named() {
    let folder = scene();
    let said = compare(&folder, "--pace load=1.3", &[]);
    assert_eq!(said.code, 103, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("Slower: load, direct of model with 64 tokens in f16;"), "{}", said.out);
    assert!(said.err.contains("confirming: block 1 of 5"), "{}", said.err);
    let comparison = written(&folder);
    for operation in [Operation::LoadDirect, Operation::LoadTranscoded, Operation::LoadReprefilled] {
        assert_eq!(verdict(&comparison, operation), Verdict::Regressed);
    }
    for operation in [Operation::SaveFull, Operation::FirstText, Operation::Copy] {
        assert_eq!(verdict(&comparison, operation), Verdict::Unchanged);
    }
    let markdown = fs::read_to_string(folder.path().join("out/perf.md")).expect("Markdown");
    assert!(markdown.contains("▼ regressed") && markdown.contains("**Slower: load, direct"), "{markdown}");
}

#[test]
fn a_faster_save_passes_and_is_told() {
    let folder = scene();
    let said = compare(&folder, "--pace save=0.7", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("Faster: full save"), "{}", said.out);
}

#[test]
fn a_control_that_moves_proves_nothing_even_if_loads_seem_slower() {
    let folder = scene();
    let said = compare(&folder, "--pace floor=1.3 --pace load=1.3", &[]);
    assert_eq!(said.code, 104, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("Not proven: the machine itself changed"), "{}", said.out);
    assert_eq!(verdict(&written(&folder), Operation::LoadDirect), Verdict::Unproven);
}

#[test]
fn a_small_change_is_of_no_interest_unless_asked_for() {
    let folder = scene();
    assert_eq!(compare(&folder, "--pace load=1.03", &[]).code, 0);
    let more = ["--effect", "1", "--blocks", "12"];
    let said = compare(&folder, "--pace load=1.03", &more);
    assert_eq!(said.code, 103, "{}{}", said.out, said.err);
}

#[test]
fn a_worker_that_cannot_be_measured_is_a_set_up_error_that_says_why() {
    let folder = scene();
    let table = [
        ("--misbehave unsupported", "`load` is not supported: the fake worker does not load"),
        ("--misbehave abort --at save", "the worker died during `save`"),
        ("--misbehave other-protocol", "speaks protocol version"),
    ];
    for (candidate, told) in table {
        let said = compare(&folder, candidate, &[]);
        let text = said.err.replace("\n  │ ", " ");
        assert_eq!(said.code, 96, "{candidate}: {text}");
        assert!(text.contains("cannot be measured") && text.contains(told), "{candidate}: {text}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let folder = scene();
    for (more, told) in [
        (&["--blocks", "4"][..], "4 is not in 5..=1000"),
        (&["--effect", "0"], "give a figure from 0.1 to 1000"),
        (&["--tokens", "3"], "3 is not in 16..=1000000"),
    ] {
        let said = compare(&folder, "", more);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(told), "{}", said.err);
    }
    let said = intact(["perf", "compare", "b1", "b2"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("b1 is neither a worker program nor a release"), "{}", said.err);
}

/// Appends an entry to the folder's history.
fn record(folder: &Path, pace: &str, commit: &str) {
    let worker = format!("{} --pace {pace}", fake_worker().display());
    let (model, history) = (folder.join("model.gguf"), folder.join("history.jsonl"));
    let said = intact([
        "perf",
        "record",
        &worker,
        "--kv",
        "f16",
        "--tokens",
        "64",
        "--processes",
        "1",
        "--cycles",
        "1",
        "--commit",
        commit,
        "--model",
        model.to_str().expect("UTF-8"),
        "--history",
        history.to_str().expect("UTF-8"),
    ]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("load, direct") && said.out.contains("appended to"), "{}", said.out);
}

#[test]
fn a_history_shows_when_loads_became_slower_and_is_drawn() {
    let folder = scene();
    let path = folder.path();
    for number in 0..8 {
        record(path, "load=1", &format!("before-{number}"));
    }
    for number in 0..8 {
        record(path, "load=1.5", &format!("after-{number}"));
    }
    let history = path.join("history.jsonl");
    let history = history.to_str().expect("UTF-8");
    let charts = path.join("charts");
    let said = intact(["perf", "history", history, "--plot", charts.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 0, "{}", said.err);
    let line = |operation: &str| said.out.lines().find(|line| line.starts_with(operation)).expect("a row");
    assert!(line("load, direct").contains("% at after-0"), "{}", said.out);
    assert!(!line("full save").contains(" at "), "{}", said.out);
    let chart = fs::read_to_string(charts.join("model-f16-64-load-direct.svg")).expect("a chart");
    assert!(chart.starts_with("<svg") && chart.contains("entry of the history"));

    let json: serde_json::Value =
        serde_json::from_str(&intact(["perf", "history", history, "--json"]).out).expect("JSON");
    assert!(json.as_array().is_some_and(|rows| rows.len() == 8 && rows[0]["entries"] == 16), "{json}");

    let said = intact(["perf", "plot", history, "--out", charts.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 0, "{}", said.err);
    let chart = fs::read_to_string(charts.join("model-f16.svg")).expect("a chart");
    assert!(chart.contains("copy of the bytes in memory") && chart.contains("tokens"));
}

#[test]
fn a_history_that_is_missing_or_damaged_is_told() {
    let folder = scene();
    let history = folder.path().join("history.jsonl");
    let history = history.to_str().expect("UTF-8");
    let said = intact(["perf", "history", history]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("cannot be used"), "{}", said.err);
    fs::write(history, "{}\n").expect("written");
    let said = intact(["perf", "plot", history]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains(":1: not an entry"), "{}", said.err);
}
