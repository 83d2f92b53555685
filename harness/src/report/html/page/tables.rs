//! Rows of the page's tables: predictions, claims, axes and verdicts.

use super::fragment;
use super::share::{Share, shares, sides};
use crate::report::coverage::AxisGround;
use crate::report::story::Story;
use crate::results::{AxisInfo, ClaimOutcome, ClaimResult, PredictionOutcome, PredictionResult};
use crate::style::{Style, Tone};
use crate::verdict::Verdict;

/// Cells of a row that are named.
const NAMED: usize = 6;

/// A cell's id, and the same in an address.
pub(super) type Named<'a> = (&'a str, String);

/// A prediction and what became of it.
pub(crate) struct Predicted<'a> {
    pub(super) result: &'a PredictionResult,
    pub(super) outcome: &'static str,
    pub(super) look: Mark,
    pub(super) against: Vec<Named<'a>>,
}

/// A claim and what became of it.
pub(crate) struct Claimed<'a> {
    pub(super) result: &'a ClaimResult,
    pub(super) outcome: &'static str,
    pub(super) look: Mark,
    pub(super) cells: Vec<Named<'a>>,
    pub(super) more: usize,
}

/// How an outcome that is no verdict looks.
pub(crate) struct Mark {
    pub(super) glyph: char,
    pub(super) tone: &'static str,
    /// What it says of sessions; of claims and predictions it says nothing.
    pub(super) words: &'static str,
}

/// An axis: its control, and what each of its values did alone.
pub(crate) struct Axis<'a> {
    pub(super) info: &'a AxisInfo,
    pub(super) base: &'a str,
    /// Whether it counts as tested; `None` where it has no negative control.
    pub(super) tested: Option<bool>,
    pub(super) note: &'a str,
    pub(super) all: [Vec<Share>; 2],
    pub(super) values: Vec<(&'a str, [Vec<Share>; 2])>,
}

/// A verdict, what it means, and how often it was given.
pub(crate) struct Meaning {
    pub(super) name: &'static str,
    pub(super) look: Style,
    pub(super) meaning: &'static str,
    pub(super) judged: usize,
    pub(super) unprotected: usize,
}

impl Mark {
    pub(super) const fn of(tone: Tone) -> Self {
        Self { glyph: tone.glyph(), tone: tone.name(), words: tone.words() }
    }
}

impl<'a> Predicted<'a> {
    pub(super) fn of(result: &'a PredictionResult) -> Self {
        let (outcome, tone) = match result.outcome {
            PredictionOutcome::Held => ("held", Tone::Good),
            PredictionOutcome::Refuted => ("refuted", Tone::Bad),
            PredictionOutcome::NotTested => ("not tested", Tone::Blank),
        };
        Self { result, outcome, look: Mark::of(tone), against: named(&result.against) }
    }
}

impl<'a> Claimed<'a> {
    pub(super) fn of(result: &'a ClaimResult) -> Self {
        let (tone, cells) = match result.outcome {
            ClaimOutcome::Confirmed => (Tone::Good, &result.held),
            ClaimOutcome::Refuted => (Tone::Bad, &result.broken),
            ClaimOutcome::Untested => (Tone::Blank, &result.held),
        };
        Self {
            result,
            outcome: result.outcome.name(),
            look: Mark::of(tone),
            cells: named(cells),
            more: cells.len().saturating_sub(NAMED),
        }
    }
}

pub(super) fn named(cells: &[String]) -> Vec<Named<'_>> {
    cells.iter().take(NAMED).map(|id| (id.as_str(), fragment(id))).collect()
}

impl<'a> Axis<'a> {
    pub(super) fn of(ground: &AxisGround<'a>) -> Self {
        let control = ground.control;
        Self {
            info: ground.axis,
            base: ground.axis.values.first().map_or("", String::as_str),
            tested: control.map(|control| control.tested),
            note: control.and_then(|control| control.note.as_deref()).unwrap_or_default(),
            all: control
                .map(|control| [shares(&control.judged), shares(&control.unprotected)])
                .unwrap_or_default(),
            values: ground.values.iter().map(|(value, slot)| (*value, sides(slot))).collect(),
        }
    }
}

impl Meaning {
    pub(super) fn all(story: &Story) -> Vec<Self> {
        let meaning = |verdict: Verdict| Self {
            name: verdict.name(),
            look: Style::of(verdict),
            meaning: verdict.meaning(),
            judged: story.judged.count(verdict),
            unprotected: story.unprotected.count(verdict),
        };
        Verdict::ALL.map(meaning).into()
    }
}
