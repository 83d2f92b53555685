//! Systems side by side, as the page shows them.

use std::collections::BTreeSet;

use super::fragment;
use super::share::{TableRow, table};
use super::tables::{Mark, Named, named};
use crate::report::called::called;
use crate::report::systems::{ABOUT_COSTS, Asked, Cost, Given, Party, Systems};

/// Everything of the part.
pub(crate) struct SideBySide<'a> {
    pub(super) parties: Vec<Party<'a>>,
    pub(super) missing: Vec<(&'a str, &'a str)>,
    pub(super) asked: Vec<&'a str>,
    pub(super) safe: Vec<(usize, usize)>,
    pub(super) questions: Vec<Question<'a>>,
    pub(super) readers: Vec<String>,
    pub(super) grids: Vec<(String, Vec<TableRow>)>,
    pub(super) costs: Vec<CostRow<'a>>,
    pub(super) about_costs: &'static str,
}

/// A question, and for each system what its cells say.
pub(crate) struct Question<'a> {
    pub(super) asks: &'a str,
    pub(super) answers: Vec<Vec<Told<'a>>>,
}

/// An answer with the cells that it rests on.
pub(crate) struct Told<'a> {
    pub(super) look: Mark,
    pub(super) says: &'a str,
    pub(super) cells: Vec<Named<'a>>,
    pub(super) more: usize,
}

/// What a session costs in a system.
pub(crate) struct CostRow<'a> {
    pub(super) system: String,
    pub(super) cost: Cost<'a>,
    pub(super) restore: String,
    pub(super) own: Option<String>,
    pub(super) fragment: String,
}

impl<'a> SideBySide<'a> {
    pub(super) fn of(systems: Systems<'a>) -> Self {
        Self {
            questions: systems.questions.iter().map(Question::of).collect(),
            grids: systems.grids.iter().map(table).collect(),
            costs: systems.costs.into_iter().map(CostRow::of).collect(),
            about_costs: ABOUT_COSTS,
            parties: systems.parties,
            missing: systems.missing,
            asked: systems.asked.into_iter().map(called).collect(),
            safe: systems.safe,
            readers: systems.readers.iter().map(|name| called(name).to_owned()).collect(),
        }
    }
}

impl SideBySide<'_> {
    /// Why systems are not here: the one reason that all have, or that of the first.
    pub(super) fn remedy(&self) -> String {
        let reasons: BTreeSet<&str> = self.missing.iter().map(|(_, reason)| *reason).collect();
        match (reasons.first(), reasons.len()) {
            (Some(reason), 1) => format!("The reason: {reason}."),
            (Some(reason), _) => format!("The first reason: {reason}."),
            (None, _) => String::new(),
        }
    }
}

impl<'a> Question<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        let told = |answers: &Vec<Given<'a>>| answers.iter().map(Told::of).collect();
        Self { asks: &asked.property.question, answers: asked.answers.iter().map(told).collect() }
    }
}

impl<'a> Told<'a> {
    fn of(Given { answer, tone }: &Given<'a>) -> Self {
        let cells = named(&answer.cells);
        Self { look: Mark::of(*tone), says: &answer.answer, more: answer.cells.len() - cells.len(), cells }
    }
}

impl<'a> CostRow<'a> {
    fn of(cost: Cost<'a>) -> Self {
        let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let (restore, own) = (milliseconds(cost.seconds), cost.own_seconds.map(milliseconds));
        let system = called(&cost.system).to_owned();
        Self { system, restore, own, fragment: fragment(cost.cell), cost }
    }
}
