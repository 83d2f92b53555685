//! The end of a run on the terminal: what happened, where to read on, what to do next.

use std::fmt::Write;
use std::path::Path;

use super::colour;
use super::table::plain;
use crate::printing;
use crate::quantity::counted;
use crate::report::{Changes, Story, Style, Tally, Tone, by_kind, explained, kind_words};
use crate::results::Results;
use crate::verdict::Verdict;

/// Findings that are shown; the report has them all.
const SHOWN: usize = 10;
/// Combinations that fail, of those that are shown.
const SUSPECTS: usize = 3;
/// Reasons why cells have no verdict, of those that are shown.
const REASONS: usize = 4;
/// Characters of a finding that are shown.
const LONGEST: usize = 220;

/// Tells a person at a terminal what a run found.
pub(super) fn tell(results: &Results, out: &Path) {
    let text = summary(results, out);
    if colour::on_output() {
        printing::out_coloured(&painted(results, &text));
    } else {
        print!("{text}");
    }
}

/// The summary with colours: the first words, the verdicts, and whether the run passes.
fn painted(results: &Results, text: &str) -> String {
    let story = Story::of(results);
    let tone = |line: &str| {
        if line == story.headline {
            return Some(story.tone);
        }
        if line == story.gate {
            return Some(if results.gate.passed { Tone::Good } else { Tone::Bad });
        }
        let row = line.strip_prefix("  ")?;
        let of = |verdict: &Verdict| {
            row.starts_with(&format!("{} {} ", Style::of(*verdict).glyph, verdict.name()))
        };
        Verdict::ALL.iter().find(|verdict| of(verdict)).map(|verdict| Style::of(*verdict).tone)
    };
    let line = |line: &str| {
        let shown = crate::text::shown(line).into_owned();
        tone(line).map_or(shown, |tone| colour::painted(tone, line)) + "\n"
    };
    text.lines().map(line).collect()
}

/// What a run found, for a person at a terminal.
fn summary(results: &Results, out: &Path) -> String {
    let story = Story::of(results);
    let mut text = format!("\n{}\n{}\n\n", story.headline, story.lead);
    let (judged, unprotected) = (&story.judged, &story.unprotected);
    let heads = [head(judged, "judged"), head(unprotected, "unprotected")];
    let widths = heads.each_ref().map(|head| head.chars().count().max(8));
    let ([ours, theirs], [left, right]) = (&heads, widths);
    let _ = writeln!(text, "  {:22} {ours:>left$} {theirs:>right$}", "");
    for verdict in Verdict::ALL {
        let (ours, theirs) = (judged.count(verdict), unprotected.count(verdict));
        if ours + theirs > 0 {
            let glyph = Style::of(verdict).glyph;
            let _ = writeln!(text, "  {glyph} {:20} {ours:>left$} {theirs:>right$}", verdict.name());
        }
    }
    let _ = writeln!(text, "\n{}\n", story.without.sentence);
    for (kind, findings) in by_kind(results) {
        let _ = writeln!(text, "{} {}:", findings.len(), kind_words(kind, findings.len()));
        for (finding, _) in findings.iter().take(SHOWN) {
            let cell = finding.cell.as_deref().map(|id| format!("{id}\n    ")).unwrap_or_default();
            let _ = writeln!(text, "  {}{}", cell, short(&finding.message));
        }
        if findings.len() > SHOWN {
            let _ = writeln!(text, "  and {} more, in the report", findings.len() - SHOWN);
        }
        text.push('\n');
    }
    if !story.unjudged.lines.is_empty() {
        let _ = writeln!(text, "{}", story.unjudged.sentence);
        for line in story.unjudged.lines.iter().take(REASONS) {
            let _ = writeln!(text, "  {:>4} {}: {}", line.count, line.verdict, short(&line.example));
        }
        if story.unjudged.lines.len() > REASONS {
            let _ =
                writeln!(text, "  and {} more reasons, in the report", story.unjudged.lines.len() - REASONS);
        }
        text.push('\n');
    }
    for suspect in results.suspects.iter().take(SUSPECTS) {
        let _ = writeln!(text, "{}", explained(results, suspect));
    }
    for coverage in &results.plan.coverage {
        let possible = coverage.combinations - coverage.forbidden;
        let (covered, strength) = (coverage.covered, coverage.strength);
        let _ = writeln!(text, "Covers {covered} of {possible} possible combinations of {strength} values.");
    }
    for note in &results.run.notes {
        let _ = writeln!(text, "Note: {}.", plain(note));
    }
    let _ = writeln!(text, "{}", story.gate);
    let _ = writeln!(text, "Report: {}", out.join("report.html").display());
    if let Some(next) = next(results) {
        let _ = writeln!(text, "Next:   {next}");
    }
    text
}

/// What changed since an earlier run, for a person at a terminal.
pub(super) fn since(changes: &Changes) -> String {
    let compared = counted(changes.compared, "cell", "cells");
    let mut text = format!("\nSince {}, in {compared} that both runs have:", changes.since);
    let kinds = changes.by_kind();
    if kinds.is_empty() {
        return text + " nothing changed.\n";
    }
    text.push('\n');
    for (kind, cells) in kinds {
        let _ = writeln!(text, "  {} {}", cells.len(), kind.words(cells.len()));
        for change in cells.iter().take(SHOWN) {
            let name = |verdict: Option<Verdict>| verdict.map_or("not there", Verdict::name);
            let _ = writeln!(text, "    {}: {} -> {}", change.cell, name(change.before), name(change.now));
        }
        if cells.len() > SHOWN {
            let _ = writeln!(text, "    and {} more, in the report", cells.len() - SHOWN);
        }
    }
    text
}

/// Over a column: who was counted, or what they are where they are many.
fn head(tally: &Tally, many: &str) -> String {
    if tally.subjects.len() > 1 { many.to_owned() } else { tally.called() }
}

/// The command that gets the reader on, if any: the cell of the worst finding alone.
fn next(results: &Results) -> Option<&str> {
    let kinds = by_kind(results);
    let mut told = kinds.iter().flat_map(|(_, findings)| findings);
    told.find_map(|(_, cell)| cell.map(|cell| cell.reproduce.as_str()))
}

/// The start of a long message.
fn short(message: &str) -> String {
    let line = crate::text::brief(&plain(message)).into_owned();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Change, ChangeKind};

    #[test]
    fn what_changed_since_an_earlier_run_is_told_by_kind() {
        let change = |kind, cell: &str, before, now| Change { kind, cell: cell.into(), before, now };
        let (exact, corrupt) = (Some(Verdict::Exact), Some(Verdict::Corrupt));
        let changed = |cells| Changes { since: "then".into(), cells, compared: 2, verdicts: [].into() };
        let told = since(&changed(vec![
            change(ChangeKind::NewFailure, "engine/a", exact, corrupt),
            change(ChangeKind::NewFailure, "engine/b", None, corrupt),
            change(ChangeKind::Removed, "engine/c", exact, None),
        ]));
        assert_eq!(
            told,
            "\nSince then, in 2 cells that both runs have:\n  \
             2 cells fail that did not\n    \
             engine/a: exact -> corrupt\n    \
             engine/b: not there -> corrupt\n  \
             1 cell is gone\n    \
             engine/c: exact -> not there\n"
        );
        assert_eq!(
            since(&changed(Vec::new())),
            "\nSince then, in 2 cells that both runs have: nothing changed.\n"
        );
    }
}
