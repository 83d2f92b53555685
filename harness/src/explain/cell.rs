//! What became of one cell, in the words of the catalogue.

use super::Entry;
use crate::results::Cell;

/// Consequences of an axis that the saved KV survives as it is.
const SPARING: [&str; 2] = ["same", "harmless"];

/// Lines of a worker's log that are shown.
const LOG: usize = 4;

/// A cell: what it is, what was found, what that means, and what to do. What others wrote in it is made fit for a terminal.
pub(crate) fn of_cell(cell: &Cell, catalogue: &[Entry]) -> String {
    let dims: Vec<String> = cell.dims.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = format!("{}\n  {}\n\n", cell.id, dims.join(", "));
    text += &format!("{}: {}\n", cell.verdict, cell.message);
    if cell.verdict.is_verdict() && !cell.matched {
        text += "This is not what was expected: `intact expect explain` names the entry that decides.\n";
    }
    if let Some(receipt) = &cell.receipt {
        text += &format!(
            "The load took the route `{}`: {} tokens restored, {} evaluated.\n",
            receipt.route, receipt.tokens_restored, receipt.tokens_evaluated
        );
        for axis in receipt.axes.iter().filter(|axis| !SPARING.contains(&axis.consequence.as_str())) {
            text += &format!(
                "  {}: saved {}, here {}: {}, because {}\n",
                axis.axis, axis.saved, axis.here, axis.consequence, axis.reason
            );
        }
        // What follows the first line of a note are the axes once more.
        for note in receipt.notes.iter().filter_map(|note| note.lines().next()) {
            text += &format!("  {note}\n");
        }
    }
    for (at, line) in cell.log.iter().rev().take(LOG).rev().enumerate() {
        text += &format!("{}  {line}\n", if at == 0 { "The worker's last words:\n" } else { "" });
    }
    text += "\n";
    let route = cell.receipt.as_ref().map(|receipt| receipt.route.as_str());
    let words = [Some(cell.verdict.name()), cell.code.as_deref(), route];
    let mut told: Vec<&Entry> = Vec::new();
    for word in words.into_iter().flatten() {
        // A verdict's name may be that of a finding too; the first entry is the one that a cell means.
        let entry = catalogue.iter().find(|entry| entry.name == word);
        told.extend(entry.filter(|entry| !told.contains(entry)));
    }
    for entry in told {
        text += &entry.text();
    }
    text += &format!("\nAlone: {}\n", cell.reproduce);
    text
}
