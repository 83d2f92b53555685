//! Covering arrays: rows in which every pair of values of different axes occurs at least once.
//!
//! The generator is greedy and deterministic: the same sizes and constraints give the same rows. It knows nothing of
//! the checker in [`crate::certificate`], which counts what the rows really cover.

/// The index of a value for each axis. Index 0 is the axis' base value.
pub type Row = Vec<usize>;

/// Rows that cover every pair of values that `allowed` rows can have.
///
/// `sizes` are the numbers of values of the axes, `deciding` the axes that decide whether a row is allowed. A pair for
/// which no allowed row is found is left out.
#[must_use]
pub fn pairs(sizes: &[usize], deciding: &[usize], allowed: &dyn Fn(&[usize]) -> bool) -> Vec<Row> {
    let mut open: Vec<Pair> = all_pairs(sizes).collect();
    let mut rows: Vec<Row> = Vec::new();
    while let Some(first) = open.first().copied() {
        let Some(seed) = complete(first, sizes, deciding, allowed) else {
            open.remove(0);
            continue;
        };
        let row = improve(seed, first, sizes, &open, allowed);
        open.retain(|pair| !pair.is_in(&row));
        rows.push(row);
    }
    rows
}

/// Two axes and a value of each; `left` is below `right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    left: (usize, usize),
    right: (usize, usize),
}

impl Pair {
    fn is_in(self, row: &[usize]) -> bool {
        row[self.left.0] == self.left.1 && row[self.right.0] == self.right.1
    }

    fn has_axis(self, axis: usize) -> bool {
        self.left.0 == axis || self.right.0 == axis
    }
}

fn all_pairs(sizes: &[usize]) -> impl Iterator<Item = Pair> + '_ {
    (0..sizes.len()).flat_map(move |left| {
        (left + 1..sizes.len()).flat_map(move |right| {
            (0..sizes[left]).flat_map(move |a| {
                (0..sizes[right]).map(move |b| Pair { left: (left, a), right: (right, b) })
            })
        })
    })
}

/// Most rows that are tried to complete a pair.
const TRIES: usize = 100_000;

/// An allowed row with this pair: base values elsewhere where that is allowed, else the nearest one in counting order
/// over the axes that decide.
fn complete(
    pair: Pair,
    sizes: &[usize],
    deciding: &[usize],
    allowed: &dyn Fn(&[usize]) -> bool,
) -> Option<Row> {
    let free: Vec<usize> = deciding.iter().copied().filter(|axis| !pair.has_axis(*axis)).collect();
    let mut row = vec![0; sizes.len()];
    row[pair.left.0] = pair.left.1;
    row[pair.right.0] = pair.right.1;
    for _ in 0..TRIES {
        if allowed(&row) {
            return Some(row);
        }
        let mut position = 0;
        loop {
            let axis = *free.get(position)?;
            row[axis] += 1;
            if row[axis] < sizes[axis] {
                break;
            }
            row[axis] = 0;
            position += 1;
        }
    }
    None
}

/// The row with each other axis, in turn, at the value that covers most of the open pairs.
fn improve(
    mut row: Row,
    kept: Pair,
    sizes: &[usize],
    open: &[Pair],
    allowed: &dyn Fn(&[usize]) -> bool,
) -> Row {
    let gain = |row: &[usize]| open.iter().filter(|pair| pair.is_in(row)).count();
    let mut best = gain(&row);
    loop {
        let before = best;
        for axis in (0..sizes.len()).filter(|axis| !kept.has_axis(*axis)) {
            for value in 0..sizes[axis] {
                let was = std::mem::replace(&mut row[axis], value);
                let gained = gain(&row);
                if gained > best && allowed(&row) {
                    best = gained;
                } else {
                    row[axis] = was;
                }
            }
        }
        if best == before {
            return row;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::certificate::check_pairs;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_checker_finds_every_possible_pair_covered(
            sizes in prop::collection::vec(1usize..5, 2..7),
            forbidden in prop::collection::vec(((0usize..7, 0usize..5), (0usize..7, 0usize..5)), 0..4),
        ) {
            let allowed = |row: &[usize]| {
                !forbidden.iter().any(|((a, x), (b, y))| row.get(*a) == Some(x) && row.get(*b) == Some(y) && a != b)
            };
            let all: Vec<usize> = (0..sizes.len()).collect();
            let rows = pairs(&sizes, &all, &allowed);
            prop_assert!(rows.iter().all(|row| allowed(row)));
            let coverage = check_pairs(&sizes, &rows, &all, &allowed);
            prop_assert_eq!(coverage.covered + coverage.forbidden, coverage.combinations);
            prop_assert_eq!(&rows, &pairs(&sizes, &all, &allowed));
        }
    }

    #[test]
    fn ten_axes_of_three_values_need_far_fewer_rows_than_all_combinations() {
        let rows = pairs(&[3; 10], &[], &|_| true);
        assert!(rows.len() <= 20, "{} rows", rows.len());
    }
}
