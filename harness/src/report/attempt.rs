//! What a cell tries, in a few words: which axes are not at their base value.

use crate::results::{AxisInfo, Cell, Results};

/// The value of a dimension that does not apply to a cell.
pub(super) const NONE: &str = "-";

/// Axes that say what a session is, not what is done to it.
pub(super) const WHAT_IT_IS: &[&str] = &["model", "family", "subject"];
/// The axis of damage: a cell with a fault is about the fault.
const FAULT: &str = "fault";

/// Names for what cells try, from the axes of the plan.
pub(super) struct Attempts<'a> {
    axes: Vec<&'a AxisInfo>,
}

/// What a cell tries. The order is the one to list attempts in: nothing, one axis, several, faults.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attempt {
    /// Every axis is at its base value.
    AsSaved,
    /// One axis is not: its place in the plan, the place of its value, and both in words.
    One(usize, usize, String),
    /// Several are not.
    Several,
    /// The files are damaged: the place of the fault in its axis, and its name.
    Fault(usize, String),
}

impl<'a> Attempts<'a> {
    pub(super) fn of(results: &'a Results) -> Self {
        Self {
            axes: results.plan.axes.iter().filter(|axis| !WHAT_IT_IS.contains(&axis.name.as_str())).collect(),
        }
    }

    /// What a cell tries.
    pub(super) fn of_cell(&self, cell: &Cell) -> Attempt {
        let mut moved = Vec::new();
        for (place, axis) in self.axes.iter().enumerate() {
            let value = dim(cell, &axis.name);
            let is_base = value == NONE || axis.values.first().is_none_or(|base| *base == value);
            if !is_base {
                let rank = axis.values.iter().position(|known| *known == value).unwrap_or(usize::MAX);
                if axis.name == FAULT {
                    return Attempt::Fault(rank, value);
                }
                moved.push(Attempt::One(place, rank, format!("{}: {value}", axis.name)));
            }
        }
        match moved.len() {
            0 => Attempt::AsSaved,
            1 => moved.remove(0),
            _ => Attempt::Several,
        }
    }

    /// The one axis that is not at its base value, and its value; `None` where that is true of none or of several.
    pub(super) fn moved(&self, cell: &Cell) -> Option<(&'a str, String)> {
        match self.of_cell(cell) {
            Attempt::One(place, ..) => {
                let axis = &self.axes[place].name;
                Some((axis, dim(cell, axis)))
            }
            Attempt::Fault(_, value) => Some((FAULT, value)),
            Attempt::AsSaved | Attempt::Several => None,
        }
    }

    /// The same in words.
    pub(super) fn name(&self, cell: &Cell) -> String {
        self.of_cell(cell).to_string()
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AsSaved => f.write_str("as it was saved"),
            Self::One(_, _, name) => f.write_str(name),
            Self::Several => f.write_str("several at once"),
            Self::Fault(_, name) => write!(f, "fault: {name}"),
        }
    }
}

/// The value of a dimension, [`NONE`] where the cell has no such dimension.
pub(super) fn dim(cell: &Cell, name: &str) -> String {
    cell.dims.get(name).map_or(NONE, String::as_str).to_owned()
}
