//! The first screen below the headline: cards with counted lines, findings and changes with their cells.

use super::fragment;
use crate::report::changes::{Change, ChangeKind, Changes};
use crate::report::story::{Answer, Line, Story, Told, kind_words};
use crate::results::FindingKind;
use crate::style::Style;
use crate::verdict::Verdict;

/// Lines of an answer that are shown; the matrix has them all.
const LINES: usize = 8;
/// Items of a group that are shown at once.
const FIRST: usize = 5;
/// Items of a group that are shown on demand.
const ITEMS: usize = 400;

/// A part of the story.
pub(crate) struct Card {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) sentence: String,
    pub(super) lines: Vec<Shown>,
    pub(super) more: usize,
}

/// Cells that have something in common.
pub(crate) struct Shown {
    pub(super) count: usize,
    pub(super) verdict: Verdict,
    pub(super) look: Style,
    pub(super) what: String,
    pub(super) example: String,
    pub(super) fragment: String,
}

/// Findings or changes of one kind.
pub(crate) struct Group {
    pub(super) title: String,
    pub(super) tone: &'static str,
    pub(super) first: Vec<Item>,
    pub(super) rest: Vec<Item>,
    pub(super) more: usize,
}

/// One finding or change.
pub(crate) struct Item {
    pub(super) verdict: Option<Verdict>,
    pub(super) look: Option<Style>,
    pub(super) cell: Option<String>,
    /// The cell in an address; empty where this run has no such cell.
    pub(super) fragment: String,
    pub(super) message: String,
}

pub(super) fn cards(story: &Story) -> Vec<Card> {
    let mut cards = vec![
        Card::of("refused", "What was refused, and why", &story.refused),
        Card::of("without", "What the unprotected path did", &story.without),
    ];
    if !story.unjudged.lines.is_empty() {
        cards.push(Card::of("unjudged", "What was not judged", &story.unjudged));
    }
    cards
}

impl Card {
    fn of(id: &'static str, title: &'static str, answer: &Answer) -> Self {
        Self {
            id,
            title,
            sentence: answer.sentence.clone(),
            lines: answer.lines.iter().take(LINES).map(Shown::of).collect(),
            more: answer.lines.len().saturating_sub(LINES),
        }
    }
}

impl Shown {
    fn of(line: &Line) -> Self {
        Self {
            count: line.count,
            verdict: line.verdict,
            look: Style::of(line.verdict),
            what: line.what.clone(),
            example: line.example.clone(),
            fragment: fragment(&line.cell),
        }
    }
}

impl Group {
    pub(super) fn of_findings((kind, findings): (FindingKind, Vec<Told<'_>>)) -> Self {
        let title = format!("{} {}", findings.len(), kind_words(kind, findings.len()));
        Self::of(title, "bad", findings.into_iter().map(Item::of_finding))
    }

    pub(super) fn of_changes(changes: &Changes) -> Vec<Self> {
        let group = |(kind, changes): (ChangeKind, Vec<&Change>)| {
            let title = format!("{} {}", changes.len(), kind.words(changes.len()));
            let tone = match kind {
                kind if kind.is_worse() => "bad",
                ChangeKind::Fixed | ChangeKind::Better => "good",
                _ => "blank",
            };
            Self::of(title, tone, changes.into_iter().map(Item::of_change))
        };
        changes.by_kind().into_iter().map(group).collect()
    }

    fn of(title: String, tone: &'static str, items: impl ExactSizeIterator<Item = Item>) -> Self {
        let more = items.len().saturating_sub(ITEMS);
        let mut first: Vec<_> = items.take(ITEMS).collect();
        let rest = first.split_off(first.len().min(FIRST));
        Self { title, tone, first, rest, more }
    }
}

impl Item {
    fn of_finding((finding, cell): Told<'_>) -> Self {
        Self {
            verdict: cell.map(|cell| cell.verdict),
            look: cell.map(|cell| Style::of(cell.verdict)),
            cell: finding.cell.clone(),
            fragment: finding.cell.as_deref().map(fragment).unwrap_or_default(),
            message: finding.message.clone(),
        }
    }

    fn of_change(change: &Change) -> Self {
        let message = match (change.before, change.now) {
            (Some(before), Some(now)) if before == now => format!("{now}, as before"),
            (Some(before), Some(now)) => format!("{now}, was {before}"),
            (Some(before), None) => format!("was {before}"),
            (None, Some(now)) => now.to_string(),
            (None, None) => String::new(),
        };
        Self {
            verdict: change.now,
            look: change.now.map(Style::of),
            cell: Some(change.cell.clone()),
            fragment: change.now.map(|_| fragment(&change.cell)).unwrap_or_default(),
            message,
        }
    }
}
