//! What the page's template is filled with.

mod answers;
mod share;
mod speed;
mod systems;
mod tables;

use askama::Template;

use super::assets;
use crate::quantity::counted;
use crate::report::called::called;
use crate::report::coverage::Ground;
use crate::report::crossing::{Crossings, Question};
use crate::report::pivot::Pivot;
use crate::report::questions::questions;
use crate::report::requantization::REQUANTIZATION;
use crate::report::story::{Story, by_kind};
use crate::report::systems::{Systems, absent};
use crate::report::{Report, when};
use crate::results::{ClaimOutcome, Results, SubjectInfo};
use crate::style::Tone;
use crate::text::document;
use answers::{Card, Group};
use share::{Bar, TableRow};
use speed::Speed;
use systems::SideBySide;
use tables::{Axis, Claimed, Mark, Meaning, Predicted};

#[derive(Template)]
#[template(path = "report/page.html")]
pub(super) struct Page<'a> {
    results: &'a Results,
    story: Story,
    questions: Vec<Question>,
    fates: [Mark; 3],
    bars: Vec<Bar>,
    /// Systems that did not take part.
    absent: Vec<&'a str>,
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
    parties: Vec<Took>,
    legend: Vec<Meaning>,
    performance: Option<Speed>,
    models: String,
    selected: String,
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
            bars: Bar::all(results),
            absent: absent(results).into_iter().map(called).collect(),
            fates: [Tone::Good, Tone::Safe, Tone::Bad].map(Mark::of),
            cards: answers::cards(&story),
            findings: by_kind(results).into_iter().map(Group::of_findings).collect(),
            changes: report.changes.iter().flat_map(Group::of_changes).collect(),
            rows: pivot.rows.iter().map(TableRow::of).collect(),
            columns: pivot.columns,
            parties: results.subjects.iter().map(Took::of).collect(),
            legend: Meaning::all(&story),
            axes: ground.axes.iter().map(Axis::of).collect(),
            ground,
            claims: claims(results),
            models: counted(results.models.len(), "model", "models"),
            selected: counted(results.plan.selected as usize, "cell", "cells"),
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

/// Who took part in the run, or did not.
pub(crate) struct Took {
    name: String,
    what: String,
    problem: bool,
    /// What ids and filters call it, where that is something else.
    filters: Option<String>,
}

impl Took {
    fn of(subject: &SubjectInfo) -> Self {
        let name = called(&subject.name);
        let (what, problem) = match (&subject.hello, &subject.problem) {
            (Some(hello), _) => {
                (format!("{} {}, llama.cpp {}", hello.subject, hello.version, hello.release), false)
            }
            (None, Some(problem)) => (problem.clone(), true),
            (None, None) => ("did not take part".to_owned(), false),
        };
        let filters = (name != subject.name).then(|| subject.name.clone());
        Self { name: name.to_owned(), what, problem, filters }
    }
}

/// Claims that were tested first, the refuted ones at the top.
fn claims(results: &Results) -> Vec<Claimed<'_>> {
    let mut claims: Vec<_> = results.claims.iter().collect();
    claims.sort_by_key(|claim| match claim.outcome {
        ClaimOutcome::Refuted => 0,
        ClaimOutcome::Confirmed => 1,
        ClaimOutcome::Untested => 2,
    });
    claims.into_iter().map(Claimed::of).collect()
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
