//! Constraints compiled for a block: tables over indices of values, so that a covering array is found in milliseconds.

use std::collections::BTreeSet;

use crate::certificate::Scope;
use crate::covering::Rules;
use crate::filter::{Filter, Matcher};

/// What rows of a block must not be.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    forbidden: Vec<Constraint>,
}

/// What a row must not be, and the axes that decide on that.
#[derive(Debug)]
struct Constraint {
    condition: Condition,
    axes: Vec<usize>,
}

/// A condition on a row of indices.
#[derive(Debug)]
pub(super) enum Condition {
    /// It holds everywhere or nowhere.
    Always(bool),
    /// The axis has one of the values that are marked.
    Has {
        axis: usize,
        marked: Vec<bool>,
    },
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// Where a filter's names lead in a block.
pub(super) trait Names {
    /// The axis that decides on the dimension of this name, with the dimension's value for each value of the axis.
    fn varying(&self, name: &str) -> Option<(usize, Vec<String>)>;
    /// The value of a dimension that no axis of the block decides on.
    fn fixed(&self, name: &str) -> Option<String>;
}

impl Constraints {
    pub(super) fn forbid(&mut self, condition: Condition) {
        let axes = condition.axes();
        self.forbidden.push(Constraint { condition, axes });
    }

    /// The same for the checker: each rule with the axes that it looks at.
    pub(super) fn scopes<'c>(&'c self) -> Vec<Scope<'c>> {
        let scope = |constraint: &'c Constraint| Scope {
            axes: constraint.axes.clone(),
            forbids: Box::new(|row: &[usize]| constraint.condition.holds(row)),
        };
        self.forbidden.iter().map(scope).collect()
    }
}

impl Rules for Constraints {
    fn broken(&self, row: &[usize]) -> Option<&[usize]> {
        let broken = self.forbidden.iter().find(|constraint| constraint.condition.holds(row));
        broken.map(|constraint| constraint.axes.as_slice())
    }

    fn forbid(&self, fixed: &[(usize, usize)]) -> bool {
        let axes = fixed.iter().map(|(axis, _)| axis + 1).max().unwrap_or(0);
        let mut row = vec![0; axes];
        fixed.iter().for_each(|(axis, value)| row[*axis] = *value);
        let settled = |axis: &usize| fixed.iter().any(|(held, _)| held == axis);
        self.forbidden
            .iter()
            .any(|constraint| constraint.axes.iter().all(settled) && constraint.condition.holds(&row))
    }
}

impl Condition {
    pub(super) fn of(filter: &Filter, names: &dyn Names) -> Self {
        match filter {
            Filter::All => Self::Always(true),
            Filter::None => Self::Always(false),
            Filter::Is { name, matchers } => {
                let matches = |value: &str| matchers.iter().any(|matcher: &Matcher| matcher.matches(value));
                match names.varying(name) {
                    Some((axis, values)) => {
                        Self::Has { axis, marked: values.iter().map(|value| matches(value)).collect() }
                    }
                    None => Self::Always(names.fixed(name).is_some_and(|value| matches(&value))),
                }
            }
            Filter::Not(inner) => Self::not(Self::of(inner, names)),
            Filter::And(left, right) => Self::and(Self::of(left, names), Self::of(right, names)),
            Filter::Or(left, right) => {
                Self::Or(Box::new(Self::of(left, names)), Box::new(Self::of(right, names)))
            }
        }
    }

    /// The axis, of so many values, has this one.
    pub(super) fn is(axis: usize, value: usize, size: usize) -> Self {
        Self::Has { axis, marked: (0..size).map(|index| index == value).collect() }
    }

    pub(super) fn and(left: Self, right: Self) -> Self {
        Self::And(Box::new(left), Box::new(right))
    }

    pub(super) fn not(inner: Self) -> Self {
        Self::Not(Box::new(inner))
    }

    fn holds(&self, row: &[usize]) -> bool {
        match self {
            Self::Always(holds) => *holds,
            Self::Has { axis, marked } => marked.get(row[*axis]).copied().unwrap_or(false),
            Self::Not(inner) => !inner.holds(row),
            Self::And(left, right) => left.holds(row) && right.holds(row),
            Self::Or(left, right) => left.holds(row) || right.holds(row),
        }
    }

    fn axes(&self) -> Vec<usize> {
        let mut axes = BTreeSet::new();
        self.collect_axes(&mut axes);
        axes.into_iter().collect()
    }

    fn collect_axes(&self, axes: &mut BTreeSet<usize>) {
        match self {
            Self::Always(_) => {}
            Self::Has { axis, .. } => {
                axes.insert(*axis);
            }
            Self::Not(inner) => inner.collect_axes(axes),
            Self::And(left, right) | Self::Or(left, right) => {
                left.collect_axes(axes);
                right.collect_axes(axes);
            }
        }
    }
}
