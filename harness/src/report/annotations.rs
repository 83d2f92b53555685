//! Annotations for GitHub: workflow commands on standard output, within the limits of one step.

use std::fmt::Write;

use super::story::{by_kind, kind_words};
use super::{Report, Story};
use crate::results::{Finding, FindingKind};
use crate::text::shown;

/// Annotations of one level that GitHub shows of a step; it drops the others without a word.
const LIMIT: usize = 10;
/// Characters of a message; a longer one is cut by GitHub in the middle of a word.
const LONGEST: usize = 2_000;

/// Renders what does not pass as annotations: errors for what got worse, warnings for expectations that need care, one
/// notice with the outcome. Where there are more than GitHub shows, the last of a level says how many are left out.
#[must_use]
pub fn annotations(report: &Report<'_>) -> String {
    let story = Story::of(report.results);
    let findings: Vec<&Finding> =
        by_kind(report.results).into_iter().flat_map(|(_, told)| told).map(|(finding, _)| finding).collect();
    let mut out = String::new();
    for level in ["error", "warning"] {
        let of_level: Vec<&Finding> =
            findings.iter().copied().filter(|finding| level_of(finding.kind) == level).collect();
        let shown = if of_level.len() > LIMIT { LIMIT - 1 } else { of_level.len() };
        for finding in &of_level[..shown] {
            let cell = finding.cell.as_deref().map(|cell| format!("{cell}: ")).unwrap_or_default();
            command(&mut out, level, kind_words(finding.kind, 1), &format!("{cell}{}", finding.message));
        }
        if of_level.len() > shown {
            let more = format!("{} more are in the report and in results.json", of_level.len() - shown);
            command(&mut out, level, "not shown here", &more);
        }
    }
    let mut notice = format!("{} {}", story.headline, story.gate);
    if let Some(changes) = &report.changes {
        for (kind, cells) in changes.by_kind() {
            let _ = write!(notice, " {} {}.", cells.len(), kind.words(cells.len()));
        }
    }
    command(&mut out, "notice", "intact", &notice);
    out
}

const fn level_of(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Worse | FindingKind::Flaky | FindingKind::HarnessError | FindingKind::NotRun => "error",
        FindingKind::Stale
        | FindingKind::Expired
        | FindingKind::Unmatched
        | FindingKind::Contradicting
        | FindingKind::Unreviewed => "warning",
    }
}

fn command(out: &mut String, level: &str, title: &str, message: &str) {
    let message: String = message.chars().take(LONGEST).collect();
    let _ = writeln!(out, "::{level} title={}::{}", property(title), text(&message));
}

/// A message in a workflow command: one line, and no escape of its own.
fn text(raw: &str) -> String {
    shown(&raw.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")).into_owned()
}

/// A property's value: what separates properties is escaped too.
fn property(raw: &str) -> String {
    text(raw).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::results::Results;
    use crate::verdict::Verdict;

    fn run(findings: usize, message: &str) -> Results {
        let mut results = base(vec![cell("engine", &[], Verdict::Corrupt)]);
        results.gate.passed = false;
        results.gate.findings =
            vec![Finding { kind: FindingKind::Worse, cell: None, message: message.to_owned() }; findings];
        results
    }

    fn lines(results: &Results) -> Vec<String> {
        annotations(&Report::of(results)).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_step_has_no_more_annotations_of_a_level_than_are_shown() {
        let ten = lines(&run(10, "worse"));
        assert_eq!(ten.iter().filter(|line| line.starts_with("::error")).count(), 10);
        let many = lines(&run(500, "worse"));
        assert_eq!(many.iter().filter(|line| line.starts_with("::error")).count(), 10);
        assert!(many[9].contains("491 more"), "{}", many[9]);
    }

    #[test]
    fn a_message_cannot_start_a_command_of_its_own() {
        let lines = lines(&run(1, "100 %\n::set-output name=x::y\r\n"));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("::100 %25%0A::set-output name=x::y%0D%0A"), "{}", lines[0]);
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
    }
}
