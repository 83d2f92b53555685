//! Covering arrays: rows in which every combination of so many values of different axes occurs at least once.
//!
//! The generator is greedy and deterministic: the same axes, rules and seeds give the same rows. It knows nothing of
//! the checker in [`crate::certificate`], which counts what the rows really cover.

mod demand;

pub(crate) use demand::Demand;
use demand::Open;

/// The index of a value for each axis. Index 0 is the axis' base value.
pub(crate) type Row = Vec<usize>;

/// What rows must not be.
pub(crate) trait Rules {
    /// Whether a row is allowed.
    fn allow(&self, row: &[usize]) -> bool {
        self.broken(row).is_none()
    }

    /// The axes of a rule that forbids a row; `None` where it is allowed.
    fn broken(&self, row: &[usize]) -> Option<&[usize]>;

    /// Whether these values alone break a rule, whatever the other axes of a row are. Need not know.
    fn forbid(&self, _fixed: &[(usize, usize)]) -> bool {
        false
    }
}

/// Rows that cover every combination that `demands` name and allowed rows can have.
///
/// `sizes` are the numbers of values of the axes. Of the `seeds`, the rows of an earlier array, those that are allowed
/// and still cover something are kept and come first. A combination for which no allowed row is found is left out.
#[must_use]
pub(crate) fn cover(sizes: &[usize], demands: &[Demand], rules: &dyn Rules, seeds: &[Row]) -> Vec<Row> {
    let mut open = Open::new(sizes, demands);
    let mut rows: Vec<Row> = Vec::new();
    for seed in seeds {
        if rules.allow(seed) && open.close(seed) > 0 {
            rows.push(seed.clone());
        }
    }
    while let Some(first) = open.first() {
        let row = if rules.forbid(&first) { None } else { complete(&first, sizes, rules) };
        let Some(mut row) = row else {
            open.give_up();
            continue;
        };
        improve(&mut row, &first, sizes, &open, rules);
        open.close(&row);
        rows.push(row);
    }
    rows
}

/// Most steps of the search for a row with a combination.
const STEPS: usize = 20_000;

/// An allowed row with these values: base values elsewhere, but for what rules make necessary.
fn complete(fixed: &[(usize, usize)], sizes: &[usize], rules: &dyn Rules) -> Option<Row> {
    let mut row = vec![0; sizes.len()];
    let mut settled = vec![false; sizes.len()];
    for &(axis, value) in fixed {
        row[axis] = value;
        settled[axis] = true;
    }
    let mut steps = STEPS;
    repaired(row, settled, sizes, rules, &mut steps)
}

/// A row that differs only in axes that are not settled. One of those that the broken rule looks at has to change; an
/// axis for which no change helped is settled at what it is.
fn repaired(
    row: Row,
    mut settled: Vec<bool>,
    sizes: &[usize],
    rules: &dyn Rules,
    steps: &mut usize,
) -> Option<Row> {
    let Some(axes) = rules.broken(&row) else { return Some(row) };
    *steps = steps.checked_sub(1)?;
    for &axis in axes {
        if settled[axis] {
            continue;
        }
        settled[axis] = true;
        for value in (0..sizes[axis]).filter(|value| *value != row[axis]) {
            let mut changed = row.clone();
            changed[axis] = value;
            if let Some(found) = repaired(changed, settled.clone(), sizes, rules, steps) {
                return Some(found);
            }
        }
    }
    None
}

/// Gives each other axis, in turn, the value that covers most of what is open.
fn improve(row: &mut Row, kept: &[(usize, usize)], sizes: &[usize], open: &Open, rules: &dyn Rules) {
    loop {
        let mut changed = false;
        for axis in (0..sizes.len()).filter(|axis| !kept.iter().any(|(held, _)| held == axis)) {
            let was = row[axis];
            let gains = open.gains(row, axis);
            let mut best = (gains[was], was);
            for (value, gain) in gains.into_iter().enumerate().filter(|(value, _)| *value != was) {
                row[axis] = value;
                if gain > best.0 && rules.allow(row) {
                    best = (gain, value);
                }
            }
            row[axis] = best.1;
            changed |= best.1 != was;
        }
        if !changed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::certificate::{Scope, check};

    type Pair = ((usize, usize), (usize, usize));

    struct Forbidden(Vec<(Vec<usize>, Pair)>);

    impl Forbidden {
        fn pairs(pairs: &[Pair]) -> Self {
            Self(pairs.iter().map(|pair| (vec![pair.0.0, pair.1.0], *pair)).collect())
        }
    }

    impl Rules for Forbidden {
        fn broken(&self, row: &[usize]) -> Option<&[usize]> {
            let has = |axis: usize, value: usize| row.get(axis) == Some(&value);
            let breaks = |((a, x), (b, y)): Pair| a != b && has(a, x) && has(b, y);
            self.0.iter().find(|(_, pair)| breaks(*pair)).map(|(axes, _)| axes.as_slice())
        }
    }

    fn scopes(forbidden: &[Pair]) -> Vec<Scope<'_>> {
        let scope = |&((a, x), (b, y)): &Pair| Scope {
            axes: vec![a, b],
            forbids: Box::new(move |row: &[usize]| {
                a != b && row.get(a) == Some(&x) && row.get(b) == Some(&y)
            }),
        };
        forbidden.iter().map(scope).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_checker_finds_every_possible_combination_covered(
            sizes in prop::collection::vec(1usize..5, 3..7),
            forbidden in prop::collection::vec(((0usize..3, 0usize..5), (0usize..3, 0usize..5)), 0..4),
            strength in 2usize..4,
        ) {
            let demands = [Demand { strength, axes: (0..sizes.len()).collect() }];
            let rules = Forbidden::pairs(&forbidden);
            let rows = cover(&sizes, &demands, &rules, &[]);
            prop_assert!(rows.iter().all(|row| rules.allow(row)));
            let found = check(&sizes, &demands[0].axes, strength, &rows, &scopes(&forbidden));
            prop_assert_eq!(found.covered + found.forbidden, found.combinations);
            prop_assert_eq!(&rows, &cover(&sizes, &demands, &rules, &[]));
        }

        #[test]
        fn growing_an_axis_keeps_every_old_row(
            mut sizes in prop::collection::vec(2usize..4, 3..7),
            grown in 0usize..3,
        ) {
            let demands = [Demand { strength: 2, axes: (0..sizes.len()).collect() }];
            let rules = Forbidden(Vec::new());
            let old = cover(&sizes, &demands, &rules, &[]);
            sizes[grown] += 1;
            let new = cover(&sizes, &demands, &rules, &old);
            prop_assert_eq!(&new[..old.len()], &old[..]);
            prop_assert!(new.iter().skip(old.len()).all(|row| row[grown] + 1 == sizes[grown]));
        }
    }

    #[test]
    fn ten_axes_of_three_values_need_far_fewer_rows_than_all_combinations() {
        let demand = |strength| [Demand { strength, axes: (0..10).collect() }];
        let pairs = cover(&[3; 10], &demand(2), &Forbidden(Vec::new()), &[]);
        assert!(pairs.len() <= 20, "{} rows", pairs.len());
        let triples = cover(&[3; 10], &demand(3), &Forbidden(Vec::new()), &[]);
        assert!(triples.len() <= 90, "{} rows", triples.len());
    }

    #[test]
    fn one_array_can_cover_pairs_of_all_axes_and_triples_of_some() {
        let sizes = [3; 8];
        let demands =
            [Demand { strength: 2, axes: (0..8).collect() }, Demand { strength: 3, axes: vec![0, 1, 2] }];
        let rows = cover(&sizes, &demands, &Forbidden(Vec::new()), &[]);
        for demand in &demands {
            let found = check(&sizes, &demand.axes, demand.strength, &rows, &[]);
            assert_eq!(found.covered, found.combinations, "{demand:?}");
        }
        assert!(rows.len() < 40, "{} rows", rows.len());
    }

    #[test]
    fn a_combination_that_needs_an_unusual_value_elsewhere_is_found() {
        // Axis 1 is 2 only where axis 0 is; axis 4 at 1 needs axis 1 at 2.
        let all = |axis: usize, values: &[usize], with: (usize, usize)| -> Vec<Pair> {
            values.iter().map(|value| ((axis, *value), with)).collect()
        };
        let rules = Forbidden::pairs(&[all(0, &[0, 1], (1, 2)), all(1, &[0, 1], (4, 1))].concat());
        let demands = [Demand { strength: 2, axes: (0..5).collect() }];
        let rows = cover(&[3, 3, 2, 2, 2], &demands, &rules, &[]);
        assert!(rows.iter().any(|row| row[4] == 1), "{rows:?}");
    }
}
