//! After a failure: the smallest combinations of values that every failing cell shares with no passing one.

use std::collections::{BTreeMap, BTreeSet};

use crate::results::{AxisInfo, Cell, Dims, Suspect};

/// Most values that a combination has.
const LARGEST: usize = 3;
/// Failing cells that are looked at; others that they explain are counted all the same.
const LOOKED_AT: usize = 200;

/// Explains the failing ones among judged cells: for each, the smallest combination of values that no passing cell has.
/// Combinations that explain more failures come first, and those that explain nothing new are left out.
#[must_use]
pub(crate) fn suspects(axes: &[AxisInfo], cells: &[&Cell]) -> Vec<Suspect> {
    let judged: Vec<&&Cell> = cells.iter().filter(|cell| cell.verdict.is_verdict()).collect();
    let (passing, mut unexplained): (Vec<&Cell>, Vec<&Cell>) =
        judged.into_iter().copied().partition(|cell| cell.matched);
    let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let bases = bases(axes);
    let mut found = Vec::new();
    while let Some(values) = best(&names, &bases, &passing, &unexplained) {
        let cells = unexplained.iter().filter(|cell| has(&cell.dims, &values)).map(|cell| cell.id.clone());
        let cells: Vec<String> = cells.collect();
        let others = passing.iter().filter(|cell| differs_in_one(&cell.dims, &values, &names)).count();
        unexplained.retain(|cell| !has(&cell.dims, &values));
        found.push(Suspect { values, cells, passing_neighbours: u32::try_from(others).unwrap_or(u32::MAX) });
    }
    found
}

fn bases(axes: &[AxisInfo]) -> BTreeMap<&str, &str> {
    axes.iter().filter_map(|axis| Some((axis.name.as_str(), axis.values.first()?.as_str()))).collect()
}

/// The smallest combination, and among those of one size the one of most failures.
fn best(names: &[&str], bases: &BTreeMap<&str, &str>, passing: &[&Cell], failing: &[&Cell]) -> Option<Dims> {
    (1..=LARGEST)
        .find_map(|size| {
            let mut candidates: BTreeSet<Dims> = BTreeSet::new();
            for cell in failing.iter().take(LOOKED_AT) {
                let moved: Vec<(&str, &String)> = names
                    .iter()
                    .filter_map(|name| Some((*name, cell.dims.get(*name)?)))
                    .filter(|(name, value)| bases.get(name) != Some(&value.as_str()) && *value != "-")
                    .collect();
                candidates.extend(choices(&moved, size));
            }
            let innocent = |values: &Dims| passing.iter().any(|cell| has(&cell.dims, values));
            let explained = |values: &Dims| failing.iter().filter(|cell| has(&cell.dims, values)).count();
            let guilty = candidates.into_iter().filter(|values| !innocent(values));
            guilty.map(|values| (explained(&values), values)).max_by(|one, other| {
                // The first of equals, so that the outcome does not hang on the order of iteration.
                one.0.cmp(&other.0).then_with(|| other.1.cmp(&one.1))
            })
        })
        .map(|(_, values)| values)
}

fn choices(moved: &[(&str, &String)], size: usize) -> Vec<Dims> {
    match (size, moved.split_first()) {
        (0, _) => vec![Dims::new()],
        (_, None) => Vec::new(),
        (_, Some(((name, value), rest))) => {
            let with = choices(rest, size - 1).into_iter().map(|mut dims| {
                dims.insert((*name).to_owned(), (*value).clone());
                dims
            });
            with.chain(choices(rest, size)).collect()
        }
    }
}

fn has(dims: &Dims, values: &Dims) -> bool {
    values.iter().all(|(name, value)| dims.get(name) == Some(value))
}

/// Whether a cell has all but one of the values.
fn differs_in_one(dims: &Dims, values: &Dims, names: &[&str]) -> bool {
    let known = values.keys().all(|name| names.contains(&name.as_str()));
    known && values.iter().filter(|(name, value)| dims.get(*name) != Some(*value)).count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_cell;
    use crate::verdict::Verdict;

    fn axis(name: &str, values: &[&str]) -> AxisInfo {
        AxisInfo {
            name: name.into(),
            about: String::new(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    /// Every combination of three axes, failing where `fails` says so.
    fn matrix(fails: impl Fn(&str, &str, &str) -> bool) -> (Vec<AxisInfo>, Vec<Cell>) {
        let (models, types, flash) = (["llama", "qwen2", "qwen3"], ["f16", "q8_0"], ["on", "off"]);
        let mut cells = Vec::new();
        for model in models {
            for kv in types {
                for flash in flash {
                    let dims = [("model", model), ("kv", kv), ("flash", flash)];
                    let dims = dims.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                    let id = format!("engine/{model}/kv={kv},flash={flash}");
                    let matched = !fails(model, kv, flash);
                    cells.push(Cell { dims, matched, verdict: Verdict::Exact, ..sample_cell(&id) });
                }
            }
        }
        (vec![axis("model", &models), axis("kv", &types), axis("flash", &flash)], cells)
    }

    fn found(fails: impl Fn(&str, &str, &str) -> bool) -> Vec<String> {
        let (axes, cells) = matrix(fails);
        let suspects = suspects(&axes, &cells.iter().collect::<Vec<_>>());
        suspects.iter().map(|suspect| format!("{suspect} in {}", suspect.cells.len())).collect()
    }

    #[test]
    fn a_value_that_always_fails_is_named_alone() {
        assert_eq!(found(|_, kv, _| kv == "q8_0"), ["kv=q8_0 in 6"]);
    }

    #[test]
    fn values_that_fail_only_together_are_named_together() {
        assert_eq!(found(|_, kv, flash| kv == "q8_0" && flash == "off"), ["flash=off, kv=q8_0 in 3"]);
    }

    #[test]
    fn independent_failures_are_named_apart() {
        let fails = |model: &str, kv: &str, flash: &str| model == "qwen3" || kv == "q8_0" && flash == "off";
        assert_eq!(found(fails), ["model=qwen3 in 4", "flash=off, kv=q8_0 in 2"]);
    }

    #[test]
    fn nothing_is_suspected_where_everything_passes() {
        assert!(found(|_, _, _| false).is_empty());
    }
}
