//! Systems side by side.

use std::fmt::Write;

use intact_protocol::Oracle;

use super::{EXAMPLES, code, slot, table_head, text};
use crate::report::called::called;
use crate::report::systems::{ABOUT_COSTS, Asked, Cost, Given, Systems};
use crate::results::Results;

pub(super) fn systems(results: &Results) -> String {
    let Some(systems) = Systems::of(results) else { return String::new() };
    let mut out = "## Systems side by side\n\n".to_owned();
    for party in &systems.parties {
        let by = |oracle: Oracle| format!("judged by {}", oracle.name());
        let oracle = party.oracle.map_or_else(|| "nothing was compared".to_owned(), by);
        let _ = writeln!(out, "- {}: {}; {oracle}", code(party.name), text(&party.what));
    }
    for (name, problem) in &systems.missing {
        let _ = writeln!(out, "- not run: {}: {}", code(name), text(problem));
    }
    answers(&mut out, &systems);
    for (kv, rows) in &systems.grids {
        let _ = writeln!(out, "\n### {}: saved by (row), loaded by (column)\n", text(kv));
        table_head(&mut out, systems.readers.iter().map(String::as_str));
        for row in rows {
            let slots: Vec<_> = row.slots.iter().map(slot).collect();
            let _ = writeln!(out, "| {} | {} |", text(&row.name), slots.join(" | "));
        }
    }
    costs(&mut out, &systems.costs);
    out
}

fn answers(out: &mut String, systems: &Systems<'_>) {
    if systems.questions.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### What each does\n");
    table_head(out, systems.asked.iter().map(|name| called(name)));
    for asked in &systems.questions {
        let slots: Vec<String> = asked.answers.iter().map(|answers| told(answers)).collect();
        let _ = writeln!(out, "| {} | {} |", text(&asked.property.question), slots.join(" | "));
    }
    let safe: Vec<String> =
        systems.safe.iter().map(|(safe, asked)| format!("**{safe} of {asked}**")).collect();
    let _ = writeln!(out, "| **safe: nobody loses anything without being told** | {} |", safe.join(" | "));
    let _ = writeln!(out, "\nThe cells behind every answer; `intact run --filter` runs one again:\n");
    for Asked { property, .. } in &systems.questions {
        for answer in &property.answers {
            let cells: Vec<String> = answer.cells.iter().take(EXAMPLES).map(|id| code(id)).collect();
            let more = answer.cells.len() - cells.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let (name, system, says) = (text(&property.name), code(&answer.system), text(&answer.answer));
            let _ = writeln!(out, "- {name}, {system}: {says}: {}{more}", cells.join(", "));
        }
    }
}

fn told(answers: &[Given<'_>]) -> String {
    let told = answers.iter().map(|given| format!("{} {}", given.tone.glyph(), text(&given.answer.answer)));
    if answers.is_empty() { "not asked".to_owned() } else { told.collect::<Vec<_>>().join("; ") }
}

fn costs(out: &mut String, costs: &[Cost<'_>]) {
    if costs.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n### What the same session costs\n\n{ABOUT_COSTS}\n\n\
         | system | K and V | bytes saved | restore | by its own clock | loads | tokens evaluated | cell |\n\
         |---|---|---:|---:|---:|---:|---:|---|"
    );
    for cost in costs {
        let told = |number: Option<String>| number.unwrap_or_else(|| "not told".to_owned());
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            text(&cost.system),
            text(&cost.kv),
            told(cost.bytes.map(|bytes| bytes.to_string())),
            milliseconds(cost.seconds),
            told(cost.own_seconds.map(milliseconds)),
            cost.loads,
            told(cost.evaluated.map(|tokens| tokens.to_string())),
            code(cost.cell),
        );
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}
