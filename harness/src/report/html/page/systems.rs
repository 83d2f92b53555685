//! Systems side by side, as the page shows them.

use super::fragment;
use super::share::{TableRow, table};
use super::tables::{Mark, Named, named};
use crate::report::systems::{ABOUT_COSTS, Asked, Cost, Party, Systems};
use crate::results::PropertyAnswer;
use crate::style::Tone;

/// Everything of the part.
pub(crate) struct SideBySide<'a> {
    pub(super) parties: Vec<Party<'a>>,
    pub(super) missing: Vec<(&'a str, &'a str)>,
    pub(super) asked: Vec<&'a str>,
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
            asked: systems.asked,
            readers: systems.readers,
        }
    }
}

impl<'a> Question<'a> {
    fn of(asked: &Asked<'a>) -> Self {
        let told = |answers: &Vec<&'a PropertyAnswer>| answers.iter().copied().map(Told::of).collect();
        Self { asks: &asked.property.question, answers: asked.answers.iter().map(told).collect() }
    }
}

impl<'a> Told<'a> {
    fn of(answer: &'a PropertyAnswer) -> Self {
        let cells = named(&answer.cells);
        Self {
            look: Mark::of(if answer.safe { Tone::Good } else { Tone::Bad }),
            says: &answer.answer,
            more: answer.cells.len() - cells.len(),
            cells,
        }
    }
}

impl<'a> CostRow<'a> {
    fn of(cost: Cost<'a>) -> Self {
        let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let (restore, own) = (milliseconds(cost.seconds), cost.own_seconds.map(milliseconds));
        Self { restore, own, fragment: fragment(cost.cell), cost }
    }
}
