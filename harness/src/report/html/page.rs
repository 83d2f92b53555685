//! What the page's template is filled with.

use std::collections::BTreeMap;

use askama::Template;

use crate::report::crossing::Crossings;
use crate::report::pivot::{Pivot, Row, Slot};
use crate::report::story::{Answer, Line, Story, Tally, Told, by_kind, kind_words};
use crate::report::style::{Style, Tone};
use crate::results::{
    AxisControl, ClaimOutcome, ClaimResult, FindingKind, PredictionOutcome, PredictionResult, Results,
};
use crate::verdict::Verdict;

/// Lines of an answer that are shown; the matrix has them all.
const LINES: usize = 8;
/// Findings of a kind that are shown at once.
const FIRST: usize = 5;
/// Findings of a kind that are shown on demand.
const FINDINGS: usize = 400;

#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page<'a> {
    results: &'a Results,
    story: Story,
    bars: Vec<Bar>,
    answers: Vec<Part>,
    findings: Vec<Group<'a>>,
    columns: Vec<String>,
    rows: Vec<TableRow>,
    crossings: Option<Crossings>,
    tables: Vec<(String, Vec<TableRow>)>,
    predictions: Vec<Predicted<'a>>,
    legend: Vec<Meaning>,
    controls: Vec<Control<'a>>,
    claims: Vec<Claimed<'a>>,
    started: String,
    seconds: String,
    command: String,
    css: &'static str,
    script: &'static str,
    data: String,
}

struct Bar {
    subject: String,
    part: &'static str,
    shares: Vec<Share>,
}

struct Share {
    name: &'static str,
    glyph: char,
    tone: &'static str,
    count: usize,
}

struct Part {
    id: &'static str,
    title: &'static str,
    sentence: String,
    lines: Vec<Shown>,
    more: usize,
}

struct Shown {
    count: usize,
    verdict: Verdict,
    glyph: char,
    tone: &'static str,
    what: String,
    example: String,
    fragment: String,
}

struct Group<'a> {
    title: String,
    first: Vec<Item<'a>>,
    rest: Vec<Item<'a>>,
    more: usize,
}

struct Item<'a> {
    look: Option<Style>,
    verdict: Option<Verdict>,
    cell: Option<&'a str>,
    fragment: String,
    message: &'a str,
}

struct TableRow {
    name: String,
    slots: Vec<[Vec<Share>; 2]>,
}

struct Meaning {
    name: &'static str,
    glyph: char,
    tone: &'static str,
    meaning: &'static str,
    judged: usize,
    unprotected: usize,
}

struct Predicted<'a> {
    result: &'a PredictionResult,
    outcome: &'static str,
    tone: &'static str,
    against: Vec<(&'a str, String)>,
}

struct Claimed<'a> {
    result: &'a ClaimResult,
    outcome: &'static str,
    tone: &'static str,
    cells: Vec<(&'a str, String)>,
    more: usize,
}

struct Control<'a> {
    axis: &'a str,
    tested: bool,
    counts: [Vec<Share>; 2],
    note: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn of(results: &'a Results, data: String) -> Self {
        let story = Story::of(results);
        let pivot = Pivot::of(results);
        let crossings = Crossings::of(results);
        let table = |(kv, rows): &(String, Vec<Row>)| (kv.clone(), rows.iter().map(row).collect());
        Self {
            tables: crossings.iter().flat_map(|crossings| &crossings.tables).map(table).collect(),
            crossings,
            predictions: results.predictions.iter().map(predicted).collect(),
            bars: [bar(&story.judged, "judged"), bar(&story.unprotected, "without protection")]
                .into_iter()
                .flatten()
                .collect(),
            answers: answers(&story),
            findings: by_kind(results).into_iter().map(group).collect(),
            rows: pivot.rows.iter().map(row).collect(),
            columns: pivot.columns,
            legend: Verdict::ALL.into_iter().map(|verdict| meaning(verdict, &story)).collect(),
            controls: results.controls.iter().map(control).collect(),
            claims: results.claims.iter().map(claimed).collect(),
            started: when(&results.run.started),
            seconds: format!("{:.1}", results.run.seconds),
            command: results.run.command.join(" "),
            css: include_str!("../../../templates/report.css"),
            script: include_str!("../../../templates/report.js"),
            results,
            story,
            data,
        }
    }
}

fn bar(tally: &Tally, part: &'static str) -> Option<Bar> {
    let shares: Vec<_> = tally.counts.iter().map(|(verdict, count)| share(*verdict, *count)).collect();
    (!shares.is_empty()).then(|| Bar { subject: tally.subjects.join(", "), part, shares })
}

fn share(verdict: Verdict, count: usize) -> Share {
    let style = Style::of(verdict);
    Share { name: verdict.name(), glyph: style.glyph, tone: style.tone.name(), count }
}

fn shares(counts: &BTreeMap<Verdict, u32>) -> Vec<Share> {
    counts.iter().map(|(verdict, count)| share(*verdict, *count as usize)).collect()
}

fn answers(story: &Story) -> Vec<Part> {
    let mut parts = vec![
        part("refused", "What was refused, and why", &story.refused),
        part("without", "What happened without protection", &story.without),
    ];
    if !story.unjudged.lines.is_empty() {
        parts.push(part("unjudged", "What was not judged", &story.unjudged));
    }
    parts
}

fn part(id: &'static str, title: &'static str, answer: &Answer) -> Part {
    Part {
        id,
        title,
        sentence: answer.sentence.clone(),
        lines: answer.lines.iter().take(LINES).map(shown).collect(),
        more: answer.lines.len().saturating_sub(LINES),
    }
}

fn shown(line: &Line) -> Shown {
    let style = Style::of(line.verdict);
    Shown {
        count: line.count,
        verdict: line.verdict,
        glyph: style.glyph,
        tone: style.tone.name(),
        what: line.what.clone(),
        example: line.example.clone(),
        fragment: fragment(&line.cell),
    }
}

fn group<'a>((kind, findings): (FindingKind, Vec<Told<'a>>)) -> Group<'a> {
    let title = format!("{} {}", findings.len(), kind_words(kind, findings.len()));
    let more = findings.len().saturating_sub(FINDINGS);
    let mut first: Vec<_> = findings.into_iter().take(FINDINGS).map(item).collect();
    let rest = first.split_off(first.len().min(FIRST));
    Group { title, first, rest, more }
}

fn item<'a>((finding, cell): Told<'a>) -> Item<'a> {
    Item {
        look: cell.map(|cell| Style::of(cell.verdict)),
        verdict: cell.map(|cell| cell.verdict),
        cell: finding.cell.as_deref(),
        fragment: finding.cell.as_deref().map(fragment).unwrap_or_default(),
        message: &finding.message,
    }
}

fn row(row: &Row) -> TableRow {
    let sides = |slot: &Slot| [shares(&slot.judged), shares(&slot.unprotected)];
    TableRow { name: row.name.clone(), slots: row.slots.iter().map(sides).collect() }
}

fn meaning(verdict: Verdict, story: &Story) -> Meaning {
    let style = Style::of(verdict);
    Meaning {
        name: verdict.name(),
        glyph: style.glyph,
        tone: style.tone.name(),
        meaning: verdict.meaning(),
        judged: story.judged.count(verdict),
        unprotected: story.unprotected.count(verdict),
    }
}

/// Cells against a prediction that are named.
const AGAINST: usize = 6;

fn predicted(result: &PredictionResult) -> Predicted<'_> {
    let (outcome, tone) = match result.outcome {
        PredictionOutcome::Held => ("held", Tone::Good),
        PredictionOutcome::Refuted => ("refuted", Tone::Weak),
        PredictionOutcome::NotTested => ("not tested", Tone::Blank),
    };
    let against = result.against.iter().take(AGAINST).map(|id| (id.as_str(), fragment(id)));
    Predicted { result, outcome, tone: tone.name(), against: against.collect() }
}

fn claimed(result: &ClaimResult) -> Claimed<'_> {
    let (tone, cells) = match result.outcome {
        ClaimOutcome::Confirmed => (Tone::Good, &result.held),
        ClaimOutcome::Refuted => (Tone::Weak, &result.broken),
        ClaimOutcome::Untested => (Tone::Blank, &result.held),
    };
    Claimed {
        result,
        outcome: result.outcome.name(),
        tone: tone.name(),
        cells: cells.iter().take(AGAINST).map(|id| (id.as_str(), fragment(id))).collect(),
        more: cells.len().saturating_sub(AGAINST),
    }
}

fn control(control: &AxisControl) -> Control<'_> {
    Control {
        axis: &control.axis,
        tested: control.tested,
        counts: [shares(&control.unprotected), shares(&control.judged)],
        note: control.note.as_deref().unwrap_or_default(),
    }
}

/// A point in time to the minute, as people read it.
fn when(timestamp: &str) -> String {
    let parsed = timestamp.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| timestamp.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The id of a cell as part of an address.
fn fragment(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    id.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_point_in_time_is_told_to_the_minute() {
        assert_eq!(super::when("2026-11-22T06:14:33.617648607Z"), "2026-11-22 06:14 UTC");
        assert_eq!(super::when("yesterday"), "yesterday");
    }

    #[test]
    fn a_fragment_is_percent_encoded() {
        assert_eq!(super::fragment("a-1 é&\"<"), "a-1%20%C3%A9%26%22%3C");
    }
}
