//! The forms of a report other than the page: JUnit against its schema, Markdown within its limit, annotations, the
//! badge, and what changed since a baseline in each of them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use intact_harness::report::{Digest, Report, annotations, badge, html, junit, markdown};
use intact_harness::results::Results;
use intact_harness::verdict::Verdict;

use super::browser::Page;
use super::sample::{HOSTILE, bad, good};

/// Set to leave the test of the schema out on a machine without xmllint.
const NO_XMLLINT: &str = "INTACT_NO_XMLLINT";

/// What xmllint says of a file; nothing where it is valid.
fn invalid(xml: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("junit.xml");
    fs::write(&file, xml).expect("written");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports/junit.xsd");
    let output =
        Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schema).arg(file).output();
    let output = output.unwrap_or_else(|error| {
        panic!("xmllint: {error}; run `INTACT_SETUP=test ci/setup`, or set {NO_XMLLINT}=1")
    });
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
}

#[test]
fn the_junit_file_fits_its_schema() {
    if env::var_os(NO_XMLLINT).is_some() {
        return;
    }
    let nothing = Results { cells: Vec::new(), controls: Vec::new(), ..good() };
    for results in [good(), bad(), nothing] {
        let xml = junit(&results).expect("rendered");
        assert_eq!(invalid(&xml), "", "{xml}");
    }
    let foreign = junit(&good()).expect("rendered").replace("<testcase ", "<testcase colour=\"red\" ");
    assert!(invalid(&foreign).contains("colour"), "the schema refuses what it does not know");
}

#[test]
fn the_markdown_of_a_run_with_endless_messages_fits_a_step_summary() {
    let mut results = bad();
    let finding = results.gate.findings[0].clone();
    results.gate.findings = vec![finding; 60];
    for finding in &mut results.gate.findings {
        finding.message = "a very long message ".repeat(3_000);
    }
    let summary = markdown(&Report::of(&results));
    assert!(summary.len() <= 1 << 20, "{} bytes", summary.len());
    assert!(summary.starts_with("# Did saved chat sessions come back intact?"));
    assert!(
        summary.ends_with("It is in `report.html` and `results.json`.\n"),
        "{}",
        &summary[summary.len() - 200..]
    );
}

/// The run of which `good` is a later one: one cell failed that is fixed, one passed that fails, one is gone, one is new.
pub(crate) fn changed() -> (Results, Results) {
    let (mut before, mut now) = (good(), good());
    before.cells[0].verdict = Verdict::Corrupt;
    before.cells[0].matched = false;
    now.cells[1].verdict = Verdict::Corrupt;
    now.cells[1].matched = false;
    before.cells[2].id = "engine/llama/gone".into();
    (before, now)
}

#[test]
fn what_changed_since_the_baseline_is_in_every_form() {
    let (before, now) = changed();
    let report = Report::since(&now, &before);
    let summary = markdown(&report);
    for words in ["1 cell fails that did not", "1 cell is fixed", "1 cell is new", "1 cell is gone"] {
        assert!(summary.contains(words), "{words} in {summary}");
    }
    assert!(summary.contains("- `engine/llama/reader_kv=q8_0`: recomputed → corrupt"), "{summary}");
    assert!(annotations(&report).contains("1 cell fails that did not"));
    let digest = Digest::of(&report);
    let json = serde_json::to_value(&digest).expect("json");
    assert_eq!(json["changes"]["new-failure"][0], "engine/llama/reader_kv=q8_0");
    let Some(mut page) = Page::open(&html(&report).expect("rendered"), "") else { return };
    let shown = page.text("document.querySelector('main').innerText");
    assert!(shown.contains("One of 6 cells, since the run of 2026-11-22 06:00 UTC."), "{shown}");
    assert!(shown.contains("corrupt, was recomputed"), "{shown}");
    page.visit("cell=engine%2Fllama");
    page.wait("document.getElementById('drawer').open");
    let drawer = page.text("document.getElementById('drawer').innerText");
    assert!(drawer.contains("in the other run this cell was corrupt"), "{drawer}");
}

#[test]
fn a_run_that_is_its_own_baseline_has_no_changes() {
    let report_of = good();
    let report = Report::since(&report_of, &report_of);
    assert_eq!(report.changes.as_ref().map(|changes| changes.cells.len()), Some(0));
    assert!(markdown(&report).contains("Nothing: 7 cells are as they were."));
}

#[test]
fn a_page_filters_by_what_changed() {
    let (before, now) = changed();
    let report = Report::since(&now, &before);
    let fragment = "tab=matrix&q=changed(worse%7Cbetter)";
    let Some(mut page) = Page::open(&html(&report).expect("rendered"), fragment) else { return };
    assert_eq!(page.text("document.getElementById('count').textContent"), "2 of 7 cells");
}

#[test]
fn annotations_and_badge_stay_what_they_are_with_hostile_text() {
    let told = annotations(&Report::of(&bad()));
    assert!(told.lines().all(|line| line.starts_with("::")), "{told}");
    assert!(told.contains("::error title=cell is worse than expected::engine/"), "{told}");
    assert!(
        !HOSTILE.is_empty() && told.contains("</script>"),
        "annotations are text, and need no escape for markup"
    );
    let drawing = badge(&bad()).expect("rendered");
    assert!(drawing.contains("not intact") && !drawing.contains("<script"), "{drawing}");
}
