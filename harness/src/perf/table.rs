//! A comparison as a table: its cells, and the whole as Markdown for a pull request.

use std::fmt::Write;

use super::comparison::{Compared, Comparison, Subject};
use super::row::Part;
use super::statistics::Spread;
use super::verdict::percent;
use crate::exit::Exit;
use crate::quantity::counted;
use crate::text::markdown as text;

/// Rows of a Markdown table at most; more would not fit the comment of a pull request.
const MOST_ROWS: usize = 200;

/// What every rendering of a comparison has in its first line.
pub(crate) const TITLE: &str = "Speed of saving and restoring";

/// As Markdown.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = format!(
        "## {} {TITLE}\n\n**{}**\n\n",
        if comparison.exit == Exit::Fine { "✔" } else { "✘" },
        text(&comparison.summary)
    );
    let _ = writeln!(
        out,
        "Base: {}. Candidate: {}.\n",
        text(&subject(&comparison.base)),
        text(&subject(&comparison.candidate))
    );
    let _ = writeln!(out, "| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in comparison.rows.iter().take(MOST_ROWS) {
        let _ = writeln!(out, "| {} |", cells(row).map(|cell| text(&cell)).join(" | "));
    }
    if comparison.rows.len() > MOST_ROWS {
        let more = counted(comparison.rows.len() - MOST_ROWS, "more row", "more rows");
        let _ = writeln!(out, "\nAnd {more}, in perf.json.");
    }
    for line in remarks(comparison) {
        let _ = writeln!(out, "\n{}", text(&line));
    }
    out
}

/// What the columns of a comparison hold.
pub const HEAD: [&str; 7] = ["operation", "session", "base", "candidate", "change", "verdict", "because"];

/// One row, column by column.
#[must_use]
pub fn cells(compared: &Compared) -> [String; 7] {
    let row = &compared.row;
    let change = compared.change.as_ref().map_or_else(String::new, |change| {
        format!("{} ({} to {})", percent(change.ratio), percent(change.low), percent(change.high))
    });
    let part = match compared.part {
        Part::Gated => "",
        Part::Reference => " (unprotected)",
        Part::Control => " (yardstick)",
    };
    [
        format!("{}{part}", row.operation),
        format!("{} {} {}", row.model, row.tokens, row.kv),
        time(compared.base.as_ref()),
        time(compared.candidate.as_ref()),
        change,
        format!("{} {}", compared.verdict.glyph(), compared.verdict),
        compared.because.clone(),
    ]
}

/// The median, and half of the distance between the quartiles.
#[must_use]
pub fn time(spread: Option<&Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |spread| {
            let (unit, name) = unit(spread.median);
            format!("{:.3} ± {:.3} {name}", spread.median / unit, (spread.high - spread.low) / 2.0 / unit)
        },
    )
}

/// The unit that makes a figure easy to read, and its name.
#[must_use]
pub fn unit(seconds: f64) -> (f64, &'static str) {
    match seconds {
        seconds if seconds >= 1.0 => (1.0, "s"),
        seconds if seconds >= 1e-3 => (1e-3, "ms"),
        _ => (1e-6, "µs"),
    }
}

/// One side: what it was called, and what its worker says of itself.
#[must_use]
pub fn subject(subject: &Subject) -> String {
    format!("{} (version {}, llama.cpp {})", subject.name, subject.version, subject.release)
}

/// How the figures came about, and what is missing, one sentence or two in each.
#[must_use]
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let procedure = &comparison.procedure;
    let environment = &comparison.environment;
    let mut lines = vec![format!(
        "{} of {} A B B A in {:.0} s on {} {}, {}{}. Times are medians ± half of the middle half; \
         changes are with a {:.0}% interval; of interest from {:.0}%.",
        counted(procedure.blocks as usize, "block", "blocks"),
        counted(procedure.rounds as usize, "round", "rounds"),
        comparison.seconds,
        environment.os,
        environment.arch,
        counted(environment.cores as usize, "core", "cores"),
        environment.cpu.as_ref().map(|cpu| format!(" ({cpu})")).unwrap_or_default(),
        procedure.confidence * 100.0,
        procedure.limits.minimum_effect * 100.0
    )];
    let skipped = comparison.skipped.iter();
    lines.extend(skipped.map(|skipped| {
        format!("Not measured: {} by the {}: {}", skipped.row, skipped.side.name(), skipped.reason)
    }));
    lines
}
