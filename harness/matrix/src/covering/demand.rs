//! What is still open: combinations of values that no row has yet.

use std::ops::Range;

use super::Row;

/// Every combination of `strength` values of these axes, in at least one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Values that vary together: 2 for pairs.
    pub strength: usize,
    /// The axes, in ascending order.
    pub axes: Vec<usize>,
}

/// Which combinations are open.
pub(super) struct Open {
    groups: Vec<Group>,
    /// The groups that each axis is in, as it sees them.
    of_axis: Vec<Vec<Seat>>,
    /// The other axes of a seat's group, with how far apart their values are: a slice for each seat.
    others: Vec<(usize, usize)>,
    open: Vec<bool>,
    sizes: Vec<usize>,
    /// Everything before it is closed.
    next: usize,
}

/// Axes whose values are combined, where their combinations begin, and how many of these are open.
struct Group {
    axes: Vec<usize>,
    start: usize,
    left: usize,
}

/// A group as one of its axes sees it.
struct Seat {
    group: usize,
    /// How far apart the axis' values are.
    stride: usize,
    /// Where the other axes stand.
    others: Range<usize>,
}

impl Open {
    pub(super) fn new(sizes: &[usize], demands: &[Demand]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut total = 0;
        for demand in demands {
            for axes in subsets(&demand.axes, demand.strength) {
                let combinations: usize = axes.iter().map(|axis| sizes[*axis]).product();
                groups.push(Group { axes, start: total, left: combinations });
                total += combinations;
            }
        }
        let mut of_axis: Vec<Vec<Seat>> = sizes.iter().map(|_| Vec::new()).collect();
        let mut others = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let mut width = 1;
            let mut strides = Vec::with_capacity(group.axes.len());
            for &axis in group.axes.iter().rev() {
                strides.push((axis, width));
                width *= sizes[axis];
            }
            for &(axis, stride) in &strides {
                let from = others.len();
                others.extend(strides.iter().filter(|(other, _)| *other != axis));
                of_axis[axis].push(Seat { group: index, stride, others: from..others.len() });
            }
        }
        Self { groups, of_axis, others, open: vec![true; total], sizes: sizes.to_vec(), next: 0 }
    }

    /// The first open combination.
    pub(super) fn first(&mut self) -> Option<Vec<(usize, usize)>> {
        self.next += self.open[self.next..].iter().position(|open| *open)?;
        let group = &self.groups[self.group_of(self.next)];
        let mut rest = self.next - group.start;
        let mut values: Vec<(usize, usize)> = Vec::with_capacity(group.axes.len());
        for &axis in group.axes.iter().rev() {
            values.push((axis, rest % self.sizes[axis]));
            rest /= self.sizes[axis];
        }
        Some(values)
    }

    /// Closes what a row covers, and says how much that is.
    pub(super) fn close(&mut self, row: &Row) -> usize {
        let mut closed = 0;
        for group in self.groups.iter_mut().filter(|group| group.left > 0) {
            let place = place(group, row, &self.sizes);
            if std::mem::replace(&mut self.open[place], false) {
                group.left -= 1;
                closed += 1;
            }
        }
        closed
    }

    /// Closes the first open combination, which no row can have.
    pub(super) fn give_up(&mut self) {
        let group = self.group_of(self.next);
        self.groups[group].left -= 1;
        self.open[self.next] = false;
    }

    fn group_of(&self, place: usize) -> usize {
        self.groups.partition_point(|group| group.start <= place) - 1
    }

    /// For each value of an axis, the open combinations that it is part of in a row that is the same elsewhere.
    pub(super) fn gains(&self, row: &[usize], axis: usize) -> Vec<usize> {
        let mut gains = vec![0; self.sizes[axis]];
        for seat in &self.of_axis[axis] {
            let group = &self.groups[seat.group];
            if group.left == 0 {
                continue;
            }
            let others = &self.others[seat.others.clone()];
            let base = others.iter().fold(group.start, |base, (other, stride)| base + row[*other] * stride);
            for (gain, open) in gains.iter_mut().zip(self.open[base..].iter().step_by(seat.stride)) {
                *gain += usize::from(*open);
            }
        }
        gains
    }
}

fn place(group: &Group, row: &[usize], sizes: &[usize]) -> usize {
    group.start + group.axes.iter().fold(0, |place, &axis| place * sizes[axis] + row[axis])
}

/// Every choice of so many of these axes.
fn subsets(axes: &[usize], strength: usize) -> Vec<Vec<usize>> {
    match (strength, axes.split_first()) {
        (0, _) => vec![Vec::new()],
        (_, None) => Vec::new(),
        (_, Some((&first, rest))) => {
            let with = subsets(rest, strength - 1).into_iter().map(|mut subset| {
                subset.insert(0, first);
                subset
            });
            with.chain(subsets(rest, strength)).collect()
        }
    }
}
