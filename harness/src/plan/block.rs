//! Blocks of a plan: one at a time, pairs, or all combinations.

use super::constraint::{Condition, Constraints, Names};
use super::{Assignment, FAMILY, MODEL_AXIS, PlanError, Planner};
use crate::certificate::check_pairs;
use crate::config::{AxisConfig, BlockConfig, Vary};
use crate::covering;
use crate::filter::Filter;
use crate::results::Coverage;

/// The cells of a block.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub cells: Vec<Assignment>,
    pub coverage: Vec<Coverage>,
}

/// Makes assignments from blocks.
#[derive(Debug)]
pub(super) struct Expander<'a> {
    planner: &'a Planner<'a>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(planner: &'a Planner<'a>) -> Self {
        Self { planner }
    }

    pub(super) fn expand(&self, block: &BlockConfig) -> Result<Expanded, PlanError> {
        let only = block.only.as_ref().map(|only| only.get_ref().parse::<Filter>()).transpose()?;
        let config = self.planner.config;
        let each: Vec<&AxisConfig> =
            block.each.iter().filter_map(|name| config.axis(name.get_ref())).collect();
        let listed = |axis: &&AxisConfig| {
            block.axes.is_empty() || block.axes.iter().any(|name| *name.get_ref() == axis.name)
        };
        let varying: Vec<&AxisConfig> = config
            .axes
            .iter()
            .filter(listed)
            .filter(|axis| !each.iter().any(|fixed| fixed.name == axis.name))
            .collect();
        let mut expanded = Expanded::default();
        for start in self.combinations(&self.base(), &each) {
            let selected = |assignment: &Assignment| {
                only.as_ref().is_none_or(|only| only.selects_dims(&self.planner.dims(assignment, "")))
            };
            let cells = match block.vary {
                Vary::One => self.one_at_a_time(&start, &varying),
                Vary::All => self.combinations(&start, &varying),
                Vary::Pairs => self.pairs(&start, &varying, only.as_ref(), &mut expanded.coverage),
            };
            expanded.cells.extend(cells.into_iter().filter(&selected).map(|cell| self.planner.normal(cell)));
        }
        Ok(expanded)
    }

    fn base(&self) -> Assignment {
        self.planner.config.axes.iter().map(|axis| (axis.name.clone(), self.planner.base(axis))).collect()
    }

    fn one_at_a_time(&self, start: &Assignment, axes: &[&AxisConfig]) -> Vec<Assignment> {
        let others = axes.iter().flat_map(|axis| {
            self.planner.values(axis).into_iter().skip(1).map(|value| with(start, &axis.name, value))
        });
        std::iter::once(start.clone()).chain(others).collect()
    }

    fn combinations(&self, start: &Assignment, axes: &[&AxisConfig]) -> Vec<Assignment> {
        axes.iter().fold(vec![start.clone()], |cells, axis| {
            let values = self.planner.values(axis);
            cells
                .iter()
                .flat_map(|cell| values.iter().map(|value| with(cell, &axis.name, value.clone())))
                .collect()
        })
    }

    fn pairs(
        &self,
        start: &Assignment,
        axes: &[&AxisConfig],
        only: Option<&Filter>,
        coverage: &mut Vec<Coverage>,
    ) -> Vec<Assignment> {
        let block = BlockNames { planner: self.planner, start, axes };
        let values = block.values();
        let sizes: Vec<usize> = values.iter().map(Vec::len).collect();
        let constraints = block.constraints(only);
        let allowed = |row: &[usize]| constraints.allow(row);
        let rows = covering::pairs(&sizes, &constraints.axes(), &allowed);
        let found = check_pairs(&sizes, &rows, &constraints.axes(), &allowed);
        coverage.push(Coverage {
            strength: 2,
            axes: axes.iter().map(|axis| axis.name.clone()).collect(),
            combinations: found.combinations,
            forbidden: found.forbidden,
            covered: found.covered,
            cells: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        });
        let assignment = |row: &Vec<usize>| {
            let chosen = axes.iter().zip(&values).zip(row);
            chosen.fold(start.clone(), |cell, ((axis, values), &index)| {
                with(&cell, &axis.name, values[index].clone())
            })
        };
        rows.iter().map(assignment).collect()
    }
}

/// The names of dimensions in a block whose axes vary from a start.
struct BlockNames<'a> {
    planner: &'a Planner<'a>,
    start: &'a Assignment,
    axes: &'a [&'a AxisConfig],
}

impl BlockNames<'_> {
    fn values(&self) -> Vec<Vec<String>> {
        self.axes.iter().map(|axis| self.planner.values(axis)).collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name == name)
    }

    /// Everything that keeps a row out of the block.
    fn constraints(&self, only: Option<&Filter>) -> Constraints {
        let mut constraints = Constraints::default();
        for (filter, _) in &self.planner.forbidden {
            constraints.forbid(Condition::of(filter, self));
        }
        if let Some(only) = only {
            constraints.forbid(Condition::not(Condition::of(only, self)));
        }
        let values = self.values();
        for (index, axis) in self.axes.iter().enumerate() {
            self.forbid_repetition(&mut constraints, index, axis, &values);
            self.forbid_missing_variants(&mut constraints, index, axis, &values);
        }
        self.forbid_second_faults(&mut constraints, &values);
        constraints
    }

    /// A reader's value that is the writer's is written as `same`, and not a second time by its name.
    fn forbid_repetition(
        &self,
        constraints: &mut Constraints,
        index: usize,
        axis: &AxisConfig,
        values: &[Vec<String>],
    ) {
        let Some(mirrored) = axis.mirrors.as_ref().and_then(|mirrored| self.position(mirrored)) else {
            return;
        };
        for (ours, value) in values[index].iter().enumerate() {
            if let Some(theirs) = values[mirrored].iter().position(|other| other == value) {
                constraints.forbid(Condition::and(
                    Condition::is(index, ours, values[index].len()),
                    Condition::is(mirrored, theirs, values[mirrored].len()),
                ));
            }
        }
    }

    fn forbid_missing_variants(
        &self,
        constraints: &mut Constraints,
        index: usize,
        axis: &AxisConfig,
        values: &[Vec<String>],
    ) {
        let Some(model) = self.position(MODEL_AXIS) else { return };
        for (which, name) in values[model].iter().enumerate() {
            for (ours, value) in values[index].iter().enumerate() {
                if self.planner.lacks_variant(name, axis, value) {
                    constraints.forbid(Condition::and(
                        Condition::is(model, which, values[model].len()),
                        Condition::is(index, ours, values[index].len()),
                    ));
                }
            }
        }
    }

    fn forbid_second_faults(&self, constraints: &mut Constraints, values: &[Vec<String>]) {
        let faults: Vec<usize> = (0..self.axes.len()).filter(|index| self.axes[*index].negative).collect();
        for (position, &first) in faults.iter().enumerate() {
            for &second in &faults[position + 1..] {
                let struck = |axis: usize| Condition::not(Condition::is(axis, 0, values[axis].len()));
                constraints.forbid(Condition::and(struck(first), struck(second)));
            }
        }
    }
}

impl Names for BlockNames<'_> {
    fn varying(&self, name: &str) -> Option<(usize, Vec<String>)> {
        if name == FAMILY {
            let model = self.position(MODEL_AXIS)?;
            return Some((
                model,
                self.planner.setting.models.iter().map(|(_, family)| family.clone()).collect(),
            ));
        }
        let index = self.position(name)?;
        Some((index, self.planner.values(self.axes[index])))
    }

    fn fixed(&self, name: &str) -> Option<String> {
        let subject = self.planner.config.subjects.first().map_or("", |subject| subject.name.as_str());
        self.planner.dims(self.start, subject).get(name).cloned()
    }
}

fn with(assignment: &Assignment, axis: &str, value: String) -> Assignment {
    let mut changed = assignment.clone();
    changed.insert(axis.to_owned(), value);
    changed
}
