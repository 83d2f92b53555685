//! The cells as JSON inside the page, in a form that no text can break out of.

use std::collections::{BTreeMap, BTreeSet};

use intact_protocol::Receipt;
use serde::Serialize;

use crate::report::attempt::{Attempt, Attempts, dim};
use crate::report::pivot::Pivot;
use crate::report::style::Style;
use crate::results::{Cell, Expected, Part, Results};
use crate::verdict::Verdict;

/// What the page's script reads. Values of dimensions are indices into one list, because they repeat in every cell.
#[derive(Serialize)]
struct Data<'a> {
    verdicts: Vec<Look>,
    controls: Vec<&'a str>,
    dimensions: Vec<&'a str>,
    values: Vec<String>,
    rows: &'static str,
    columns: &'static str,
    tables: &'static str,
    attempts: Vec<String>,
    cells: Vec<Tile<'a>>,
}

#[derive(Serialize)]
struct Look {
    name: &'static str,
    glyph: char,
    tone: &'static str,
    meaning: &'static str,
}

#[derive(Serialize)]
struct Tile<'a> {
    id: &'a str,
    place: Vec<usize>,
    attempt: usize,
    verdict: usize,
    matched: bool,
    code: &'a Option<String>,
    message: &'a str,
    route: &'a Option<String>,
    tokens_restored: Option<u32>,
    tokens_evaluated: Option<u32>,
    nmse: Option<f64>,
    kl: Option<f64>,
    top1_agreement: Option<f64>,
    expected: &'a Expected,
    receipt: &'a Option<Receipt>,
    log: &'a [String],
    seconds: f64,
    reproduce: &'a str,
}

/// The cells of a run, safe inside a `script` element.
pub(super) fn json(results: &Results) -> Result<String, serde_json::Error> {
    let names: BTreeSet<&str> =
        results.cells.iter().flat_map(|cell| cell.dims.keys().map(String::as_str)).collect();
    let dimensions: Vec<&str> = names.into_iter().collect();
    let mut values = Values::default();
    let naming = Attempts::of(results);
    let attempts: BTreeSet<Attempt> = results.cells.iter().map(|cell| naming.of_cell(cell)).collect();
    let attempts: BTreeMap<Attempt, usize> = attempts.into_iter().zip(0..).collect();
    let cells = results
        .cells
        .iter()
        .map(|cell| tile(cell, attempts[&naming.of_cell(cell)], &dimensions, &mut values))
        .collect();
    let view = View::of(results);
    let data = Data {
        verdicts: Verdict::ALL.map(look).into(),
        controls: results
            .subjects
            .iter()
            .filter(|subject| subject.part == Part::Control)
            .map(|subject| subject.name.as_str())
            .collect(),
        dimensions,
        values: values.list,
        rows: view.rows,
        columns: view.columns,
        tables: view.tables,
        attempts: attempts.keys().map(ToString::to_string).collect(),
        cells,
    };
    Ok(inert(&serde_json::to_string(&data)?))
}

/// How the matrix is laid out at first: writer × reader for each family where a run compares several of either, and
/// what was tried × model otherwise.
struct View {
    rows: &'static str,
    columns: &'static str,
    tables: &'static str,
}

impl View {
    fn of(results: &Results) -> Self {
        let several = |name| results.cells.iter().map(|cell| dim(cell, name)).collect::<BTreeSet<_>>().len();
        if several("writer").max(several("reader")) > several("subject") {
            Self { rows: "writer", columns: "reader", tables: "family" }
        } else {
            Self { rows: "what was tried", columns: Pivot::of(results).dimension, tables: "everything" }
        }
    }
}

fn look(verdict: Verdict) -> Look {
    let style = Style::of(verdict);
    Look { name: verdict.name(), glyph: style.glyph, tone: style.tone.name(), meaning: verdict.meaning() }
}

fn tile<'a>(cell: &'a Cell, attempt: usize, dimensions: &[&str], values: &mut Values) -> Tile<'a> {
    Tile {
        id: &cell.id,
        place: dimensions.iter().map(|name| values.index(dim(cell, name))).collect(),
        attempt,
        verdict: Verdict::ALL.iter().position(|verdict| *verdict == cell.verdict).unwrap_or_default(),
        matched: cell.matched,
        code: &cell.code,
        message: &cell.message,
        route: &cell.route,
        tokens_restored: cell.tokens_restored,
        tokens_evaluated: cell.tokens_evaluated,
        nmse: cell.nmse,
        kl: cell.kl,
        top1_agreement: cell.top1_agreement,
        expected: &cell.expected,
        receipt: &cell.receipt,
        log: &cell.log,
        seconds: cell.seconds,
        reproduce: &cell.reproduce,
    }
}

/// Strings, each once.
#[derive(Default)]
struct Values {
    list: Vec<String>,
    index: BTreeMap<String, usize>,
}

impl Values {
    fn index(&mut self, value: String) -> usize {
        *self.index.entry(value).or_insert_with_key(|value| {
            self.list.push(value.clone());
            self.list.len() - 1
        })
    }
}

/// JSON that no HTML parser sees markup in: what could start a tag, an entity or a line is written as an escape.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_leave_the_script_element() {
        let hostile = "</script><script>alert(1)</script><!-- & \u{2028}";
        let json = inert(&serde_json::to_string(hostile).expect("json"));
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("still JSON"), hostile);
    }
}
