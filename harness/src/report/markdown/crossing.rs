//! What a run shows of the ways between llama.cpp releases, and what had been predicted.

use std::fmt::Write;

use super::{code, cut_short, slot, table_head, text};
use crate::report::crossing::Crossings;
use crate::report::requantization::{REQUANTIZATION, Requantization, Span};
use crate::results::{PredictionOutcome, Results};

pub(super) fn crossings(results: &Results) -> String {
    let Some(crossings) = Crossings::of(results) else { return String::new() };
    let mut out = String::new();
    for question in &crossings.questions {
        let _ = writeln!(out, "## {}\n\n**{}**\n", question.title, text(&question.answer));
        for (kv, line) in &question.lines {
            let _ = writeln!(out, "- {}: {}", code(kv), text(line));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{}", text(&crossings.kernels));
    for missing in &crossings.missing {
        let _ = writeln!(out, "\nNot run: {}", text(missing));
    }
    if let Some(turned) = &crossings.requantization {
        out.push_str(&requantization(turned));
    }
    for (kv, rows) in &crossings.tables {
        let _ = writeln!(out, "\n### {}: saved by (row), loaded by (column)\n", text(kv));
        table_head(&mut out, crossings.releases.iter().map(String::as_str));
        for row in rows {
            let slots: Vec<_> = row.slots.iter().map(slot).collect();
            let _ = writeln!(out, "| {} | {} |", text(&row.name), slots.join(" | "));
        }
    }
    out
}

fn requantization(turned: &Requantization) -> String {
    let mut out = format!(
        "\n### Across the rotation of quantized K and V\n\n{}. {REQUANTIZATION}\n\n\
         | KV type | model | direction | sessions | tokens evaluated | KL, restored | KL, re-quantizing alone | times \
         | KL, never saved | unprotected |\n|---|---|---|---:|---:|---|---|---:|---|---|\n",
        text(&turned.sentence())
    );
    let known = |span: Option<Span>| span.map_or_else(|| "not measured".to_owned(), |span| span.to_string());
    for row in &turned.rows {
        let times = row.times_alone().map_or_else(|| "-".to_owned(), |times| format!("{times:.2}"));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {times} | {} | {} |",
            text(&row.kv),
            text(&row.model),
            row.direction(),
            row.cells,
            row.evaluated,
            row.restored,
            known(row.alone),
            known(row.never_saved),
            text(&row.unprotected)
        );
    }
    out
}

pub(super) fn predictions(results: &Results) -> String {
    if results.predictions.is_empty() {
        return String::new();
    }
    let mut out = "## Predictions\n\nMade from llama.cpp's sources alone, before anything was run.\n\n\
                   | prediction | outcome | cells | against |\n|---|---|---:|---:|\n"
        .to_owned();
    for prediction in &results.predictions {
        let outcome = match prediction.outcome {
            PredictionOutcome::Held => "held",
            PredictionOutcome::Refuted => "**refuted**",
            PredictionOutcome::NotTested => "not tested",
        };
        let (cells, against) = (prediction.cells, prediction.against.len());
        let _ = writeln!(out, "| {} | {outcome} | {cells} | {against} |", text(&prediction.says));
    }
    for prediction in results.predictions.iter().filter(|prediction| !prediction.against.is_empty()) {
        let _ = writeln!(out, "\nAgainst “{}”:\n", text(&prediction.name));
        for id in prediction.against.iter().take(super::SHOWN) {
            let _ = writeln!(out, "- {}", code(id));
        }
        cut_short(&mut out, prediction.against.len());
    }
    out
}
