//! The page "will my sessions survive": every answer of the table, worked out here and only chosen from there.

use std::collections::BTreeMap;

use askama::Template;
use serde::Serialize;

use super::answer::NOT_KNOWN;
use super::{Guarantee, Kept, Question, Table};
use crate::report::{policy, when};
use crate::text::document;

const STYLE: &str = concat!(
    include_str!("../../templates/report/colours.css"),
    include_str!("../../templates/compat/compat.css")
);
const SCRIPT: &str = concat!(
    include_str!("../../templates/report/theme.js"),
    include_str!("../../templates/compat/compat.js")
);

#[derive(Template)]
#[template(path = "compat/page.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    data: String,
    promises: Vec<(&'static str, Vec<&'a Guarantee>)>,
    sources: Vec<String>,
}

/// What the script chooses from. Texts stand once, and are named by their place.
#[derive(Default, Serialize)]
struct Data<'a> {
    kept: Vec<[&'static str; 2]>,
    releases: &'a [String],
    kv: &'a [String],
    kinds: Vec<[&'a str; 2]>,
    unknown: &'static str,
    texts: Vec<String>,
    cells: Vec<String>,
    /// By what is kept, from, to, type and kind, with `|` between them; what is not named is any.
    answers: BTreeMap<String, Shown>,
}

/// An answer.
#[derive(Serialize)]
struct Shown {
    tone: &'static str,
    glyph: char,
    words: usize,
    said: Option<usize>,
    cells: Vec<usize>,
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    places: BTreeMap<String, usize>,
}

impl Texts {
    fn place(&mut self, text: &str) -> usize {
        let next = self.places.len();
        *self.places.entry(text.to_owned()).or_insert(next)
    }

    fn all(self) -> Vec<String> {
        let mut all = vec![String::new(); self.places.len()];
        for (text, place) in self.places {
            all[place] = text;
        }
        all
    }
}

pub(super) fn rendered(table: &Table) -> Result<String, String> {
    let data = data(table);
    // Nothing in it can end the element that it stands in.
    let data = serde_json::to_string(&data).map_err(|error| error.to_string())?.replace('<', "\\u003c");
    let of = |kept: Kept| -> Vec<&Guarantee> {
        table.guarantees.iter().rev().filter(|guarantee| guarantee.kept == kept).collect()
    };
    let promises = Kept::ALL.into_iter().map(|kept| (kept.words(), of(kept)));
    let sources = table.runs.iter().map(|run| {
        format!("{}, {}, intact {}: {} cells", when(&run.started), run.machine, run.harness, run.cells)
    });
    let page = Page {
        style: STYLE,
        script: SCRIPT,
        policy: policy(SCRIPT),
        data,
        promises: promises.filter(|(_, all)| !all.is_empty()).collect(),
        sources: sources.collect(),
    };
    page.render().map(document).map_err(|error| error.to_string())
}

fn data(table: &Table) -> Data<'_> {
    let (mut texts, mut cells) = (Texts::default(), Texts::default());
    let mut answers = BTreeMap::new();
    for entry in &table.entries {
        for kv in [None, Some(entry.kv.as_str())] {
            for kind in [None, Some(entry.kind.as_str())] {
                let (kept, from, to) = (entry.kept, entry.from.as_str(), entry.to.as_str());
                let key = [kept.name(), from, to, kv.unwrap_or_default(), kind.unwrap_or_default()].join("|");
                if answers.contains_key(&key) {
                    continue;
                }
                let answer = table.answer(&Question { kept, from, to, kv, kind });
                let shown = Shown {
                    tone: answer.tone().name(),
                    glyph: answer.tone().glyph(),
                    words: texts.place(&answer.words()),
                    said: (!answer.said.is_empty()).then(|| texts.place(answer.said)),
                    cells: answer.cells.iter().map(|id| cells.place(&named(table, id))).collect(),
                };
                answers.insert(key, shown);
            }
        }
    }
    let tried = |kept: &Kept| table.entries.iter().any(|entry| entry.kept == *kept);
    Data {
        kept: Kept::ALL.into_iter().filter(tried).map(|kept| [kept.name(), kept.words()]).collect(),
        releases: &table.releases,
        kv: &table.kv_types,
        kinds: table.kinds.iter().map(|kind| [kind.as_str(), kind_words(kind)]).collect(),
        unknown: NOT_KNOWN,
        texts: texts.all(),
        cells: cells.all(),
        answers,
    }
}

/// What a kind of model is, for whoever chooses one.
fn kind_words(kind: &str) -> &str {
    match kind {
        "plain" => "plain attention",
        "windowed" => "attention with sliding windows",
        "recurrent" => "recurrent, without attention",
        "hybrid" => "attention and recurrent layers",
        other => other,
    }
}

/// A cell, and where there are several runs, in which.
fn named(table: &Table, id: &super::CellId) -> String {
    match table.runs.len() {
        1 => id.cell.clone(),
        _ => format!("{} (run {})", id.cell, id.run + 1),
    }
}
