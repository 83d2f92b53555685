//! The checker of covering arrays. It shares no code with the generator, so that a fault of one shows in the other.

use std::collections::BTreeSet;

/// What rows cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairCoverage {
    /// Pairs of values of different axes.
    pub combinations: u64,
    /// Of these, in no allowed row whatever the other axes are.
    pub forbidden: u64,
    /// Of the possible ones, in at least one of the rows.
    pub covered: u64,
}

/// Most rows that are tried to find out whether a pair that is not covered could be.
const TRIES: usize = 200_000;

/// Counts the pairs that the allowed ones among `rows` cover. A pair that is not covered counts as forbidden only if
/// no allowed row with it exists, whatever the axes that decide on that are; where that cannot be found out in bounded time it counts as possible.
#[must_use]
pub fn check_pairs(
    sizes: &[usize],
    rows: &[Vec<usize>],
    deciding: &[usize],
    allowed: &dyn Fn(&[usize]) -> bool,
) -> PairCoverage {
    let mut seen = BTreeSet::new();
    for row in rows.iter().filter(|row| allowed(row)) {
        for (right, &b) in row.iter().enumerate() {
            for (left, &a) in row[..right].iter().enumerate() {
                seen.insert((left, a, right, b));
            }
        }
    }
    let mut coverage = PairCoverage { combinations: 0, forbidden: 0, covered: seen.len() as u64 };
    for right in 0..sizes.len() {
        for left in 0..right {
            for a in 0..sizes[left] {
                for b in 0..sizes[right] {
                    coverage.combinations += 1;
                    let fixed = [(left, a), (right, b)];
                    if !seen.contains(&(left, a, right, b)) && is_impossible(sizes, &fixed, deciding, allowed)
                    {
                        coverage.forbidden += 1;
                    }
                }
            }
        }
    }
    coverage
}

/// Counts through the rows with these values like an odometer.
fn is_impossible(
    sizes: &[usize],
    fixed: &[(usize, usize)],
    deciding: &[usize],
    allowed: &dyn Fn(&[usize]) -> bool,
) -> bool {
    let mut row = vec![0; sizes.len()];
    fixed.iter().for_each(|(axis, value)| row[*axis] = *value);
    for _ in 0..TRIES {
        if allowed(&row) {
            return false;
        }
        let next = deciding.iter().find(|axis| {
            let axis = **axis;
            let free = !fixed.iter().any(|(held, _)| *held == axis);
            if free && row[axis] + 1 < sizes[axis] {
                row[axis] += 1;
                return true;
            }
            if free {
                row[axis] = 0;
            }
            false
        });
        if next.is_none() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_as_by_hand() {
        let rows = [vec![0, 0], vec![1, 1]];
        let all = check_pairs(&[2, 2], &rows, &[0, 1], &|_| true);
        assert_eq!(all, PairCoverage { combinations: 4, forbidden: 0, covered: 2 });
        let equal_only = check_pairs(&[2, 2], &rows, &[0, 1], &|row| row[0] == row[1]);
        assert_eq!(equal_only, PairCoverage { combinations: 4, forbidden: 2, covered: 2 });
    }

    #[test]
    fn a_row_that_is_not_allowed_covers_nothing() {
        let coverage = check_pairs(&[2, 2], &[vec![0, 1]], &[0, 1], &|row| row != [0, 1]);
        assert_eq!(coverage, PairCoverage { combinations: 4, forbidden: 1, covered: 0 });
    }
}
