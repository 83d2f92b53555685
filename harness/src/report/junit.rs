//! `junit.xml`: cells as test cases, for tools that know nothing of verdicts.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::attempt::{Attempts, dim};
use super::story::{Story, is_control, kind_words};
use crate::results::{Cell, Results};
use crate::text::document;
use crate::verdict::Verdict;

/// Renders a run as JUnit XML: a suite for each family, one for the negative controls, one for the gate.
///
/// Cells of unprotected subjects are no tests: they are what the negative controls are made of.
///
/// # Errors
/// Why the XML could not be written.
pub fn junit(results: &Results) -> Result<String, String> {
    let mut report = Report::new("intact");
    report.set_time(seconds(results.run.seconds));
    report.add_test_suites(families(results));
    report.add_test_suites(controls(results));
    report.add_test_suite(gate(results));
    let xml = report.to_string().map_err(|error| error.to_string())?;
    // Skipped tests are counted under a name that some readers refuse. Values and texts have no bare quotation mark, so
    // this is found in the heads of suites only.
    Ok(document(xml.replace(" disabled=\"", " skipped=\"")))
}

fn families(results: &Results) -> Vec<TestSuite> {
    let attempts = Attempts::of(results);
    let mut suites: Vec<TestSuite> = Vec::new();
    for cell in results.cells.iter().filter(|cell| !is_control(results, cell)) {
        let name = format!("{} {}", dim(cell, "subject"), dim(cell, "family"));
        let at = suites.iter().position(|suite| suite.name.as_str() == name).unwrap_or_else(|| {
            suites.push(TestSuite::new(name));
            suites.len() - 1
        });
        suites[at].add_test_case(case(cell, &attempts.name(cell)));
    }
    suites
}

fn case(cell: &Cell, attempt: &str) -> TestCase {
    let mut case = TestCase::new(cell.id.as_str(), status(cell));
    case.set_classname(format!("{}.{}", dim(cell, "family"), attempt));
    case.set_time(seconds(cell.seconds));
    if !cell.log.is_empty() {
        case.set_system_err(cell.log.join("\n"));
    }
    case
}

fn status(cell: &Cell) -> TestCaseStatus {
    match cell.verdict {
        Verdict::HarnessError => told(NonSuccessKind::Error, cell),
        verdict if !verdict.is_verdict() => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("{verdict}: {}", cell.message));
            status
        }
        _ if cell.matched => TestCaseStatus::success(),
        _ => told(NonSuccessKind::Failure, cell),
    }
}

fn told(kind: NonSuccessKind, cell: &Cell) -> TestCaseStatus {
    let expected: Vec<_> = cell.expected.outcome.iter().map(|verdict| verdict.name()).collect();
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(cell.verdict.name());
    status.set_message(format!("{} instead of {}: {}", cell.verdict, expected.join(" or "), cell.message));
    status.set_description(format!("reproduce: {}", cell.reproduce));
    status
}

fn controls(results: &Results) -> Option<TestSuite> {
    let mut suite = TestSuite::new("negative controls");
    for control in &results.controls {
        let status = if control.tested {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::skipped();
            status.set_message(
                control.note.as_deref().unwrap_or("the unprotected path was right in every cell"),
            );
            status
        };
        suite.add_test_case(TestCase::new(control.axis.as_str(), status));
    }
    (!results.controls.is_empty()).then_some(suite)
}

/// Whether the run passes, in its first words; and findings that are about no cell: the others are told by their cell's test
/// case. A tool that counts failures has one wherever the gate has.
fn gate(results: &Results) -> TestSuite {
    let mut suite = TestSuite::new("gate");
    let story = Story::of(results);
    let mut status = TestCaseStatus::success();
    if !results.gate.passed {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(story.gate.as_str());
    }
    suite.add_test_case(TestCase::new(story.headline.as_str(), status));
    for finding in results.gate.findings.iter().filter(|finding| finding.cell.is_none()) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(finding.message.as_str());
        suite.add_test_case(TestCase::new(kind_words(finding.kind, 1), status));
    }
    suite
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
