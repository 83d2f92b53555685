//! Negative controls: for every axis, does a subject without protection go wrong where the axis differs? Where it does
//! not, the cells of that axis prove nothing, and the axis counts as untested.

use std::collections::BTreeMap;

use crate::config::{AxisConfig, Config};
use crate::filter::{Filter, Subject};
use crate::plan::MODEL_AXIS;
use crate::recipe::INAPPLICABLE;
use crate::results::{AxisControl, AxisInfo, Cell, Part};
use crate::verdict::Verdict;

/// The negative control of every axis but the model's, from a run's cells.
#[must_use]
pub(crate) fn controls(config: &Config, axes: &[AxisInfo], cells: &[Cell]) -> Vec<AxisControl> {
    let bases: BTreeMap<&str, &str> = axes
        .iter()
        .map(|axis| (axis.name.as_str(), axis.values.first().map_or("", String::as_str)))
        .collect();
    config
        .axes
        .iter()
        .filter(|axis| {
            axis.name != MODEL_AXIS && axes.iter().any(|info| info.name == axis.name && info.values.len() > 1)
        })
        .filter(|axis| !axis.on_demand || varies(axis, cells))
        .map(|axis| control(config, axis, &bases, cells))
        .collect()
}

fn varies(axis: &AxisConfig, cells: &[Cell]) -> bool {
    let mut values =
        cells.iter().filter_map(|cell| cell.dims.get(&axis.name)).filter(|value| *value != INAPPLICABLE);
    values.next().is_some_and(|first| values.any(|value| value != first))
}

fn control(config: &Config, axis: &AxisConfig, bases: &BTreeMap<&str, &str>, cells: &[Cell]) -> AxisControl {
    let moved = |cell: &Cell, name: &str| {
        name != MODEL_AXIS
            && cell
                .dims
                .get(name)
                .is_some_and(|value| value != INAPPLICABLE && Some(&value.as_str()) != bases.get(name))
    };
    let moving = axis.controlled_by.as_deref().unwrap_or(&axis.name);
    let filter = axis.control.as_ref().and_then(|control| control.get_ref().parse::<Filter>().ok());
    let is_control = |cell: &&Cell| {
        part(config, cell) == Some(Part::Control)
            && cell.verdict.is_verdict()
            && match &filter {
                Some(filter) => filter.selects(Subject::planned(&cell.id, &cell.dims)),
                None => {
                    moved(cell, moving)
                        && config.axes.iter().all(|other| other.name == moving || !moved(cell, &other.name))
                }
            }
    };
    let unprotected: Vec<&Cell> = cells.iter().filter(is_control).collect();
    let judged = cells
        .iter()
        .filter(|cell| part(config, cell) == Some(Part::Judged) && cell.verdict.is_verdict())
        .filter(|cell| moved(cell, &axis.name));
    let caught: Vec<String> =
        unprotected.iter().filter(|cell| cell.verdict.catches()).map(|cell| cell.id.clone()).collect();
    // The plainest one is named.
    let plainest = unprotected.iter().filter(|cell| cell.verdict.catches()).min_by_key(|cell| cell.id.len());
    AxisControl {
        axis: axis.name.clone(),
        cells: unprotected.iter().map(|cell| cell.id.clone()).collect(),
        note: Some(note(axis, plainest.copied(), unprotected.is_empty())),
        tested: plainest.is_some(),
        caught,
        unprotected: count(unprotected.iter().copied()),
        judged: count(judged),
    }
}

fn note(axis: &AxisConfig, caught: Option<&Cell>, without_cells: bool) -> String {
    match (caught, &axis.uncontrolled) {
        (Some(cell), reason) => {
            let caught = format!("Caught: {} is {}.", cell.id, cell.verdict);
            reason.iter().fold(caught, |caught, reason| format!("{caught} {reason}"))
        }
        (None, Some(reason)) => reason.clone(),
        (None, None) if without_cells => {
            "The unprotected subject has no cell in which only this axis differs.".into()
        }
        (None, None) => "The unprotected subject came through as well: this axis counts as untested.".into(),
    }
}

fn part(config: &Config, cell: &Cell) -> Option<Part> {
    let name = cell.dims.get("subject")?;
    config.subjects.iter().find(|subject| subject.name == *name).map(|subject| subject.part)
}

fn count<'a>(cells: impl Iterator<Item = &'a Cell>) -> BTreeMap<Verdict, u32> {
    let mut counts = BTreeMap::new();
    for cell in cells {
        *counts.entry(cell.verdict).or_default() += 1;
    }
    counts
}
