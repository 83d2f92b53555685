//! Blocks of a plan: one at a time, pairs, triples, or all combinations.

use intact_base::parallel;

use super::constraint::{Condition, Constraints, Names};
use super::{Assignment, Coverage, FAMILY, MODEL_AXIS, PlanError, Planner};
use crate::certificate::check;
use crate::config::{AxisConfig, BlockConfig, Vary};
use crate::covering::{Demand, Row, cover};
use crate::filter::Filter;

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
    /// Cells of an earlier plan, which covering arrays keep where they fit.
    seeds: Vec<Assignment>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(planner: &'a Planner<'a>, seeds: Vec<Assignment>) -> Self {
        Self { planner, seeds }
    }

    /// Adds cells that later blocks build on.
    pub(super) fn keep(&mut self, cells: &[Assignment]) {
        self.seeds.extend_from_slice(cells);
    }

    /// What a block makes before its filter and constraints: its cells, or the combinations that its cells must cover.
    pub(super) fn count(&self, block: &BlockConfig) -> u128 {
        let (each, varying) = self.axes(block);
        let sizes = |axes: &[&AxisConfig]| -> Vec<u128> {
            axes.iter().map(|axis| self.planner.values(axis).len() as u128).collect()
        };
        let product = |sizes: &[u128]| sizes.iter().fold(1_u128, |all, size| all.saturating_mul(*size));
        let (starts, sizes) = (product(&sizes(&each)), sizes(&varying));
        let one = match block.vary {
            Vary::One => sizes.iter().fold(1, |all: u128, size| all.saturating_add(*size)),
            Vary::All => product(&sizes),
            // What is covered is no cell, and a row covers many: but every start has a table of them, and more starts than
            // these are too many.
            Vary::Pairs => 1,
            Vary::Triples => subsets(&sizes, 3) / COVERED,
        };
        starts.saturating_mul(one.max(1))
    }

    /// The axes that a block is repeated for, and those that vary in it.
    fn axes(&self, block: &BlockConfig) -> (Vec<&'a AxisConfig>, Vec<&'a AxisConfig>) {
        let config = self.planner.config;
        let each: Vec<&AxisConfig> =
            block.each.iter().filter_map(|name| config.axis(name.get_ref())).collect();
        let listed = |axis: &&AxisConfig| {
            block.axes.is_empty() && !axis.on_demand
                || block.axes.iter().any(|name| *name.get_ref() == axis.name)
        };
        let varying = config
            .axes
            .iter()
            .filter(listed)
            .filter(|axis| !each.iter().any(|fixed| fixed.name == axis.name))
            .collect();
        (each, varying)
    }

    pub(super) fn expand(&self, block: &BlockConfig) -> Result<Expanded, PlanError> {
        let only = block.only.as_ref().map(|only| only.get_ref().parse::<Filter>()).transpose()?;
        let (each, varying) = self.axes(block);
        let starts = self.combinations(&self.base(), &each);
        let repeated = parallel::map(
            parallel::cores(),
            &starts,
            || (),
            |(), start| self.from(start, &varying, block, only.as_ref()),
        );
        let mut expanded = Expanded::default();
        for one in repeated {
            expanded.cells.extend(one.cells);
            expanded.coverage.extend(one.coverage);
        }
        Ok(expanded)
    }

    /// The cells of a block whose axes vary from a start.
    fn from(
        &self,
        start: &Assignment,
        varying: &[&AxisConfig],
        block: &BlockConfig,
        only: Option<&Filter>,
    ) -> Expanded {
        let mut coverage = Vec::new();
        let cells = match block.vary {
            Vary::One => self.one_at_a_time(start, varying),
            Vary::All => self.combinations(start, varying),
            Vary::Pairs | Vary::Triples => self.covering(start, varying, block, only, &mut coverage),
        };
        let selected = |assignment: &Assignment| {
            only.is_none_or(|only| only.selects_dims(&self.planner.dims(assignment, "")))
        };
        let cells = cells.into_iter().filter(selected).map(|cell| self.planner.normal(cell)).collect();
        Expanded { cells, coverage }
    }

    fn base(&self) -> Assignment {
        self.planner
            .config
            .axes
            .iter()
            .map(|axis| (axis.name.clone(), self.planner.base(axis).to_owned()))
            .collect()
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

    fn covering(
        &self,
        start: &Assignment,
        axes: &[&AxisConfig],
        block: &BlockConfig,
        only: Option<&Filter>,
        coverage: &mut Vec<Coverage>,
    ) -> Vec<Assignment> {
        let names = BlockNames { planner: self.planner, start, axes };
        let values = names.values();
        let sizes: Vec<usize> = values.iter().map(Vec::len).collect();
        let constraints = names.constraints(only);
        let demands = demands(block, axes);
        let seeds: Vec<Row> =
            self.seeds.iter().filter_map(|seed| row_of(seed, start, axes, &values)).collect();
        let rows = cover(&sizes, &demands, &constraints, &seeds);
        for demand in &demands {
            let found = check(&sizes, &demand.axes, demand.strength, &rows, &constraints.scopes());
            coverage.push(Coverage {
                strength: u32::try_from(demand.strength).unwrap_or(u32::MAX),
                axes: demand.axes.iter().map(|axis| axes[*axis].name.clone()).collect(),
                combinations: found.combinations,
                forbidden: found.forbidden,
                covered: found.covered,
                cells: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            });
        }
        let assignment = |row: &Row| {
            let chosen = axes.iter().zip(&values).zip(row);
            chosen.fold(start.clone(), |cell, ((axis, values), &index)| {
                with(&cell, &axis.name, values[index].clone())
            })
        };
        rows.iter().map(assignment).collect()
    }
}

/// Triples that a cell of a plan may stand for in what is counted: a table of them is a bit of each, and a row covers many.
const COVERED: u128 = 1000;

/// How many combinations of `strength` values these axes have.
fn subsets(sizes: &[u128], strength: usize) -> u128 {
    // Elementary symmetric polynomials: by how many values have been chosen so far.
    let mut chosen = vec![0_u128; strength + 1];
    chosen[0] = 1;
    for size in sizes {
        for count in (1..=strength).rev() {
            chosen[count] = chosen[count].saturating_add(chosen[count - 1].saturating_mul(*size));
        }
    }
    chosen[strength]
}

/// What a covering block asks for: pairs or triples of all of its axes, and triples of those that are strengthened.
fn demands(block: &BlockConfig, axes: &[&AxisConfig]) -> Vec<Demand> {
    let all: Vec<usize> = (0..axes.len()).collect();
    let strong = |axis: &usize| block.strengthen.iter().any(|name| *name.get_ref() == axes[*axis].name);
    let strengthened: Vec<usize> = all.iter().copied().filter(strong).collect();
    let triples = |axes: Vec<usize>| Demand { strength: 3, axes };
    let mut demands = vec![Demand { strength: 2, axes: all.clone() }];
    if block.vary == Vary::Triples {
        demands.push(triples(all));
    } else if strengthened.len() > 2 {
        demands.push(triples(strengthened));
    }
    demands
}

/// An earlier cell as a row of a block, if it differs from the block's start in no other axis. An axis that it does not
/// have is at its base value.
fn row_of(
    seed: &Assignment,
    start: &Assignment,
    axes: &[&AxisConfig],
    values: &[Vec<String>],
) -> Option<Row> {
    let varies = |name: &str| axes.iter().any(|axis| axis.name == name);
    let fits =
        start.iter().all(|(name, value)| varies(name) || seed.get(name).is_none_or(|own| own == value));
    let index = |(axis, values): (&&AxisConfig, &Vec<String>)| match seed.get(&axis.name) {
        Some(value) => values.iter().position(|known| known == value),
        None => Some(0),
    };
    if fits { axes.iter().zip(values).map(index).collect() } else { None }
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
