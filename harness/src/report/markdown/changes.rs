//! What changed since the baseline.

use std::fmt::Write;

use super::{code, cut_short, text};
use crate::report::{Change, Report};

pub(super) fn changes(report: &Report<'_>) -> String {
    let Some(changes) = &report.changes else { return String::new() };
    let since = crate::report::when(&changes.since);
    let mut out = format!("## What changed since the run of {}\n\n", text(&since));
    if changes.cells.is_empty() {
        let _ = writeln!(
            out,
            "Nothing: {}.",
            crate::quantity::counted(changes.compared, "cell is as it was", "cells are as they were")
        );
        return out;
    }
    for (kind, cells) in changes.by_kind() {
        let _ = writeln!(out, "### {} {}\n", cells.len(), kind.words(cells.len()));
        for change in cells.iter().take(super::SHOWN) {
            let _ = writeln!(out, "- {}: {}", code(&change.cell), was(change));
        }
        cut_short(&mut out, cells.len());
        out.push('\n');
    }
    out.trim_end_matches('\n').to_owned() + "\n"
}

fn was(change: &Change) -> String {
    let name =
        |verdict: Option<crate::verdict::Verdict>| verdict.map_or("not there", |verdict| verdict.name());
    format!("{} → {}", name(change.before), name(change.now))
}
