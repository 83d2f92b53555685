//! `report.md`: the story and its tables, to be read as it is or in a CI summary.

mod changes;
mod crossing;
mod size;
mod systems;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Report;
use super::pivot::{Pivot, Slot};
use super::story::{Answer, Common, Story, by_kind, kind_words};
use crate::quantity::counted;
use crate::results::{AxisControl, ClaimOutcome, ClaimResult, NotCovered, Part, Results, Suspect};
use crate::style::Style;
use crate::text::{code, document, markdown as text};
use crate::verdict::Verdict;

/// Rows of a list that are shown before it is cut short.
const SHOWN: usize = 40;
/// Cells of a claim or an answer that are shown.
const EXAMPLES: usize = 5;

/// Renders a run as Markdown, short enough for the summary of a GitHub step.
#[must_use]
pub fn markdown(report: &Report<'_>) -> String {
    let results = report.results;
    let story = Story::of(results);
    let parts = [
        opening(&story),
        changes::changes(report),
        crossing::crossings(results),
        crossing::predictions(results),
        systems::systems(results),
        unexpected(results),
        suspected(&results.suspects, story.common),
        section("What was refused, and why", &story.refused),
        section("What the unprotected path did", &story.without),
        verdicts(&story),
        matrix(results),
        controls(&results.controls),
        claims(&results.claims),
        section("Not judged", &story.unjudged),
        not_covered(&results.not_covered),
        about(results),
    ];
    size::within(size::STEP_SUMMARY, parts.into_iter().filter(|part| !part.is_empty()).map(document))
}

fn opening(story: &Story) -> String {
    format!(
        "# Did saved chat sessions come back intact?\n\n**{}**\n\n{}\n\n{}\n",
        text(&story.headline),
        text(&story.lead),
        text(&story.gate)
    )
}

fn unexpected(results: &Results) -> String {
    let mut out = String::new();
    for (kind, findings) in by_kind(results) {
        let _ = writeln!(out, "## {} {}\n", findings.len(), kind_words(kind, findings.len()));
        for (finding, cell) in findings.iter().take(SHOWN) {
            let name = finding.cell.as_deref().map(|id| format!("{} ", code(id))).unwrap_or_default();
            let _ = writeln!(out, "- {name}{}", text(&finding.message));
            if let Some(cell) = cell {
                let _ = writeln!(out, "  - reproduce: {}", code(&cell.reproduce));
            }
        }
        cut_short(&mut out, findings.len());
        out.push('\n');
    }
    out.trim_end_matches('\n').to_owned() + if out.is_empty() { "" } else { "\n" }
}

fn section(title: &str, answer: &Answer) -> String {
    let mut out = format!("## {title}\n\n{}\n", text(&answer.sentence));
    if answer.lines.is_empty() {
        return out;
    }
    out.push_str("\n| cells | verdict | what | for example |\n|---:|---|---|---|\n");
    for line in answer.lines.iter().take(SHOWN) {
        let row = format!(
            "| {} | {} | {} | {} |",
            line.count,
            named(line.verdict),
            text(&line.what),
            text(&line.example)
        );
        let _ = writeln!(out, "{row}");
    }
    cut_short(&mut out, answer.lines.len());
    out
}

fn verdicts(story: &Story) -> String {
    let (judged, unprotected) = (&story.judged, &story.unprotected);
    let mut out = format!(
        "## Verdicts\n\n| verdict | {} | {} | meaning |\n|---|---:|---:|---|\n",
        text(&heading(&judged.subjects)),
        text(&heading(&unprotected.subjects))
    );
    for verdict in Verdict::ALL {
        let (ours, theirs) = (judged.count(verdict), unprotected.count(verdict));
        if ours + theirs > 0 {
            let _ = writeln!(out, "| {} | {ours} | {theirs} | {} |", named(verdict), verdict.meaning());
        }
    }
    out
}

fn matrix(results: &Results) -> String {
    let pivot = Pivot::of(results);
    let mut out = "## What was tried, by model\n\nJudged cells and, after the slash, the same cells \
                   unprotected.\n\n"
        .to_owned();
    let columns: Vec<_> = pivot.columns.iter().map(|column| text(column)).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", columns.join(" | "), "---|".repeat(columns.len()));
    for row in &pivot.rows {
        let slots: Vec<_> = row.slots.iter().map(slot).collect();
        let _ = writeln!(out, "| {} | {} |", text(&row.name), slots.join(" | "));
    }
    out
}

/// The head of a table whose first column names the rows.
fn table_head<'a>(out: &mut String, columns: impl Iterator<Item = &'a str>) {
    let columns: Vec<String> = columns.map(text).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

fn slot(slot: &Slot) -> String {
    match (counts(&slot.judged), counts(&slot.unprotected)) {
        (judged, unprotected) if unprotected.is_empty() => judged,
        (judged, unprotected) => format!("{judged} / {unprotected}"),
    }
}

fn counts(counts: &BTreeMap<Verdict, u32>) -> String {
    let parts: Vec<_> = counts
        .iter()
        .map(|(verdict, count)| match (Style::of(*verdict).glyph, count) {
            (glyph, 1) => glyph.to_string(),
            (glyph, count) => format!("{glyph}{count}"),
        })
        .collect();
    parts.join(" ")
}

fn controls(controls: &[AxisControl]) -> String {
    if controls.is_empty() {
        return String::new();
    }
    let mut out = "## Negative controls\n\nAn axis counts as tested only where the unprotected path goes wrong or is \
                   stopped when nothing but that axis differs.\n\n| axis | tested | unprotected | judged | note |\n\
                   |---|---|---|---|---|\n"
        .to_owned();
    for control in controls {
        let tested = if control.tested { "yes" } else { "**no**" };
        let note = text(control.note.as_deref().unwrap_or_default());
        let (theirs, ours) = (counts(&control.unprotected), counts(&control.judged));
        let _ = writeln!(out, "| {} | {tested} | {theirs} | {ours} | {note} |", text(&control.axis));
    }
    out
}

fn claims(claims: &[ClaimResult]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let mut out = "## What is claimed of saved sessions, and what the cells show\n\n\
                   | who claims | what | outcome | cells for | against |\n|---|---|---|---:|---:|\n"
        .to_owned();
    for claim in claims {
        let outcome = match claim.outcome {
            ClaimOutcome::Refuted => "**refuted**",
            outcome => outcome.name(),
        };
        let because = claim.because.as_ref().map(|because| format!(" ({})", text(because)));
        let row = format!(
            "| {} | {} | {outcome}{} | {} | {} |",
            text(&claim.says),
            text(&claim.claim),
            because.unwrap_or_default(),
            claim.held.len(),
            claim.broken.len()
        );
        let _ = writeln!(out, "{row}");
    }
    for claim in claims.iter().filter(|claim| claim.outcome != ClaimOutcome::Untested) {
        let _ = writeln!(out, "\n{} is {}:\n", code(&claim.name), claim.outcome.name());
        let shown = if claim.outcome == ClaimOutcome::Refuted { &claim.broken } else { &claim.held };
        for id in shown.iter().take(EXAMPLES) {
            let _ = writeln!(out, "- {}", code(id));
        }
        if shown.len() > EXAMPLES {
            let _ = writeln!(out, "- and {} more", shown.len() - EXAMPLES);
        }
    }
    out
}

fn not_covered(entries: &[NotCovered]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut out = "## What no plan covers\n\n| what | how many | because |\n|---|---:|---|\n".to_owned();
    for entry in entries {
        let what = format!("{}: {}", text(&entry.what), text(&entry.names.join(", ")));
        let _ = writeln!(out, "| {what} | {} | {} |", entry.names.len(), text(&entry.reason));
    }
    out
}

fn suspected(suspects: &[Suspect], common: Common) -> String {
    if suspects.is_empty() {
        return String::new();
    }
    let Common { heading, hint, column } = common;
    let mut out = format!(
        "## {heading}\n\n{hint}\n\n| values | {column} | passing cells with all but one of them |\n|---|---:|---:|\n"
    );
    for suspect in suspects.iter().take(SHOWN) {
        let (values, cells) = (code(&suspect.to_string()), suspect.cells.len());
        let _ = writeln!(out, "| {values} | {cells} | {} |", suspect.passing_neighbours);
    }
    cut_short(&mut out, suspects.len());
    out
}

fn about(results: &Results) -> String {
    let (run, host) = (&results.run, &results.environment);
    let mut out = "## This run\n\n".to_owned();
    for subject in &results.subjects {
        let part = if subject.part == Part::Control { "unprotected" } else { "judged" };
        let what = match (&subject.hello, &subject.problem) {
            (Some(hello), _) => format!("{} {}, llama.cpp {}", hello.subject, hello.version, hello.release),
            (None, Some(problem)) => format!("could not take part: {problem}"),
            (None, None) => "did not take part".to_owned(),
        };
        let _ = writeln!(out, "- {} ({part}): {}", code(&subject.name), text(&what));
    }
    let plan = &results.plan;
    let _ = writeln!(out, "- plan {}: {} cells, {} selected", code(&plan.name), plan.planned, plan.selected);
    for coverage in &plan.coverage {
        let row = format!(
            "- coverage, by the independent checker: {} of {} possible combinations of {} values of {} axes, in {} cells \
             ({} more are impossible)",
            coverage.covered,
            coverage.combinations - coverage.forbidden,
            coverage.strength,
            coverage.axes.len(),
            coverage.cells,
            coverage.forbidden
        );
        let _ = writeln!(out, "{row}");
    }
    for note in &run.notes {
        let _ = writeln!(out, "- **{}**", text(note));
    }
    let _ = writeln!(
        out,
        "- intact {}, seed {}, started {}, {:.1} s",
        text(&run.harness),
        run.seed,
        text(&run.started),
        run.seconds
    );
    let cpu = host.cpu.as_deref().unwrap_or("unknown processor");
    let is_word = |raw: &str| raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let word = |raw: &str| if is_word(raw) { raw.to_owned() } else { text(raw) };
    let (os, arch) = (word(&host.os), word(&host.arch));
    let _ = writeln!(out, "- {os} {arch}, {}, {}", text(cpu), counted(host.cores as usize, "core", "cores"));
    let _ = writeln!(out, "- {}", code(&run.command.join(" ")));
    out
}

fn cut_short(out: &mut String, length: usize) {
    if length > SHOWN {
        let _ = writeln!(out, "\n… and {} more; see `report.html` or `results.json`.", length - SHOWN);
    }
}

fn heading(subjects: &[String]) -> String {
    if subjects.is_empty() { "none".into() } else { subjects.join(", ") }
}

fn named(verdict: Verdict) -> String {
    format!("{} {verdict}", Style::of(verdict).glyph)
}
