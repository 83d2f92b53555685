//! The checker of covering arrays. It shares no code with the generator, so that a fault of one shows in the other.

use std::fmt;

/// What rows cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Combinations of values of different axes.
    pub combinations: u64,
    /// Of these, in no allowed row whatever the other axes are.
    pub forbidden: u64,
    /// Of the possible ones, in at least one of the rows.
    pub covered: u64,
}

/// Says of a row whether it is forbidden.
pub(crate) type Forbids<'a> = dyn Fn(&[usize]) -> bool + 'a;

/// One rule, with the axes that it looks at.
pub(crate) struct Scope<'a> {
    /// The axes.
    pub axes: Vec<usize>,
    /// Whether it forbids a row; only these axes' values matter.
    pub forbids: Box<Forbids<'a>>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scope").field("axes", &self.axes).finish_non_exhaustive()
    }
}

/// Most rows that are looked at to find out whether a combination that is not covered could be.
const TRIES: usize = 200_000;

/// Counts the combinations of `strength` values of these axes that the allowed ones among `rows` have. One that none
/// has counts as forbidden only if no allowed row with it exists; where that cannot be found out in bounded time it
/// counts as possible.
#[must_use]
pub(crate) fn check(
    sizes: &[usize],
    axes: &[usize],
    strength: usize,
    rows: &[Vec<usize>],
    rules: &[Scope<'_>],
) -> Found {
    let allowed: Vec<&Vec<usize>> =
        rows.iter().filter(|row| !rules.iter().any(|rule| (rule.forbids)(row))).collect();
    let mut found = Found::default();
    let mut chosen: Vec<usize> = (0..strength).collect();
    while chosen.last().is_some_and(|last| *last < axes.len()) {
        let group: Vec<usize> = chosen.iter().map(|position| axes[*position]).collect();
        count(sizes, &group, &allowed, rules, &mut found);
        next_choice(&mut chosen, axes.len());
    }
    found
}

/// Counts the combinations of one group of axes.
fn count(sizes: &[usize], group: &[usize], rows: &[&Vec<usize>], rules: &[Scope<'_>], found: &mut Found) {
    let mut values = vec![0; group.len()];
    let total: usize = group.iter().map(|axis| sizes[*axis]).product();
    let mut seen = vec![false; total];
    for row in rows {
        seen[number(sizes, group, group.iter().map(|axis| row[*axis]))] = true;
    }
    for _ in 0..total {
        found.combinations += 1;
        if seen[number(sizes, group, values.iter().copied())] {
            found.covered += 1;
        } else if is_impossible(sizes, group, &values, rules) {
            found.forbidden += 1;
        }
        for (position, axis) in group.iter().enumerate() {
            values[position] += 1;
            if values[position] < sizes[*axis] {
                break;
            }
            values[position] = 0;
        }
    }
}

/// The number of a combination, the first axis' value counting least.
fn number(sizes: &[usize], group: &[usize], values: impl Iterator<Item = usize>) -> usize {
    let mut unit = 1;
    let mut number = 0;
    for (axis, value) in group.iter().zip(values) {
        number += value * unit;
        unit *= sizes[*axis];
    }
    number
}

/// The next choice of positions below `of`, in order; past the last one, a position that is too large.
fn next_choice(chosen: &mut [usize], of: usize) {
    let strength = chosen.len();
    for position in (0..strength).rev() {
        if chosen[position] + (strength - position) < of || position == 0 {
            chosen[position] += 1;
            for later in position + 1..strength {
                chosen[later] = chosen[later - 1] + 1;
            }
            return;
        }
    }
}

/// Whether every row with these values is forbidden: where a rule forbids a row, every allowed one differs from it in an
/// axis of that rule.
fn is_impossible(sizes: &[usize], group: &[usize], values: &[usize], rules: &[Scope<'_>]) -> bool {
    let mut row = vec![0; sizes.len()];
    let mut free = vec![true; sizes.len()];
    for (&axis, &value) in group.iter().zip(values) {
        row[axis] = value;
        free[axis] = false;
    }
    // A rule over these axes alone needs no search.
    if rules.iter().any(|rule| rule.axes.iter().all(|axis| !free[*axis]) && (rule.forbids)(&row)) {
        return true;
    }
    let mut tries = TRIES;
    let possible = is_possible(&mut row, &mut free, rules, sizes, &mut tries);
    !possible && tries > 0
}

fn is_possible(
    row: &mut Vec<usize>,
    free: &mut Vec<bool>,
    rules: &[Scope<'_>],
    sizes: &[usize],
    tries: &mut usize,
) -> bool {
    let Some(rule) = rules.iter().find(|rule| (rule.forbids)(row)) else { return true };
    *tries = tries.saturating_sub(1);
    if *tries == 0 {
        return false;
    }
    let open: Vec<usize> = rule.axes.iter().copied().filter(|axis| free[*axis]).collect();
    let mut possible = false;
    for &axis in &open {
        free[axis] = false;
        let was = row[axis];
        for value in 0..sizes[axis] {
            row[axis] = value;
            if value != was && is_possible(row, free, rules, sizes, tries) {
                possible = true;
                break;
            }
        }
        row[axis] = was;
        if possible {
            break;
        }
    }
    for axis in open {
        free[axis] = true;
    }
    possible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<'a>(axes: &[usize], forbids: impl Fn(&[usize]) -> bool + 'a) -> Scope<'a> {
        Scope { axes: axes.to_vec(), forbids: Box::new(forbids) }
    }

    #[test]
    fn pairs_are_counted_as_by_hand() {
        let rows = [vec![0, 0], vec![1, 1]];
        let all = check(&[2, 2], &[0, 1], 2, &rows, &[]);
        assert_eq!(all, Found { combinations: 4, forbidden: 0, covered: 2 });
        let unequal = rule(&[0, 1], |row| row[0] != row[1]);
        let equal_only = check(&[2, 2], &[0, 1], 2, &rows, &[unequal]);
        assert_eq!(equal_only, Found { combinations: 4, forbidden: 2, covered: 2 });
    }

    #[test]
    fn triples_are_counted_as_by_hand() {
        let rows = [vec![0, 0, 0, 0], vec![1, 1, 1, 1]];
        let found = check(&[2; 4], &[0, 1, 2, 3], 3, &rows, &[]);
        assert_eq!(found, Found { combinations: 32, forbidden: 0, covered: 8 });
    }

    #[test]
    fn a_row_that_is_not_allowed_covers_nothing() {
        let forbidden = rule(&[0, 1], |row| row == [0, 1]);
        let found = check(&[2, 2], &[0, 1], 2, &[vec![0, 1]], &[forbidden]);
        assert_eq!(found, Found { combinations: 4, forbidden: 1, covered: 0 });
    }

    #[test]
    fn a_combination_that_two_rules_together_forbid_is_impossible() {
        let rules = [
            rule(&[0, 2], |row| row[0] == 1 && row[2] == 0),
            rule(&[1, 2], |row| row[1] == 1 && row[2] == 1),
        ];
        let found = check(&[2, 2, 2], &[0, 1], 2, &[vec![0, 0, 0]], &rules);
        assert_eq!(found, Found { combinations: 4, forbidden: 1, covered: 1 });
    }
}
