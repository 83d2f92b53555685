//! What the page's template is filled with.

mod answers;
mod share;
mod speed;
mod systems;
mod tables;

use askama::Template;

use super::assets;
use crate::report::coverage::Ground;
use crate::report::crossing::{Crossings, Question};
use crate::report::pivot::Pivot;
use crate::report::questions::questions;
use crate::report::requantization::REQUANTIZATION;
use crate::report::story::{Story, by_kind};
use crate::report::systems::Systems;
use crate::report::{Report, when};
use crate::results::Results;
use crate::text::document;
use answers::{Card, Group};
use share::{Bar, TableRow};
use speed::Speed;
use systems::SideBySide;
use tables::{Axis, Claimed, Meaning, Predicted};

#[derive(Template)]
#[template(path = "report/page.html")]
pub(super) struct Page<'a> {
    results: &'a Results,
    story: Story,
    questions: Vec<Question>,
    bars: Vec<Bar>,
    cards: Vec<Card>,
    findings: Vec<Group>,
    changes: Vec<Group>,
    crossings: Option<Crossings>,
    requantization: &'static str,
    crossed: Vec<(String, Vec<TableRow>)>,
    predictions: Vec<Predicted<'a>>,
    systems: Option<SideBySide<'a>>,
    columns: Vec<String>,
    rows: Vec<TableRow>,
    claims: Vec<Claimed<'a>>,
    axes: Vec<Axis<'a>>,
    ground: Ground<'a>,
    legend: Vec<Meaning>,
    performance: Option<Speed>,
    started: String,
    seconds: String,
    command: String,
    style: String,
    script: String,
    policy: String,
    index: String,
    details: String,
}

impl<'a> Page<'a> {
    pub(super) fn of(report: &Report<'a>, index: String, details: String) -> Result<Self, String> {
        let results = report.results;
        let story = Story::of(results);
        let pivot = Pivot::of(results);
        let crossings = Crossings::of(results);
        let ground = Ground::of(results);
        let script = assets::script();
        Ok(Self {
            performance: report.performance.as_ref().map(Speed::of).transpose()?,
            questions: questions(report, crossings.as_ref()),
            crossed: crossings.iter().flat_map(|crossings| &crossings.tables).map(share::table).collect(),
            crossings,
            requantization: REQUANTIZATION,
            predictions: results.predictions.iter().map(Predicted::of).collect(),
            systems: Systems::of(results).map(SideBySide::of),
            bars: [Bar::of(&story.judged, "judged"), Bar::of(&story.unprotected, "without protection")]
                .into_iter()
                .flatten()
                .collect(),
            cards: answers::cards(&story),
            findings: by_kind(results).into_iter().map(Group::of_findings).collect(),
            changes: report.changes.iter().flat_map(Group::of_changes).collect(),
            rows: pivot.rows.iter().map(TableRow::of).collect(),
            columns: pivot.columns,
            legend: Meaning::all(&story),
            axes: ground.axes.iter().map(Axis::of).collect(),
            ground,
            claims: results.claims.iter().map(Claimed::of).collect(),
            started: when(&results.run.started),
            seconds: format!("{:.1}", results.run.seconds),
            command: results.run.command.join(" "),
            style: assets::style(),
            policy: assets::policy(&script),
            script,
            results,
            story,
            index,
            details,
        })
    }
}

/// The id of a cell, as the page has it, as part of an address.
fn fragment(id: &str) -> String {
    let id = document(id.to_owned());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    id.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fragment_is_percent_encoded() {
        assert_eq!(super::fragment("a-1 é&\"<"), "a-1%20%C3%A9%26%22%3C");
    }
}
