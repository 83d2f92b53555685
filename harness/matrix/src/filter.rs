//! The filter language: one for the command line, the matrix, the expectations and the report.
//!
//! A filter is made of predicates over a cell's dimensions, such as `kv(q8_0)` or `reader(>=b8816)`, combined with
//! `&`, `|`, `!` (or `not`) and parentheses; `&` binds tighter than `|`. `all()` and `none()` select everything and
//! nothing. In a predicate's parentheses stand one or more matchers, separated by `|`:
//!
//! | matcher | selects values that |
//! |---|---|
//! | `text` or `=text` | are `text` |
//! | `~text` | contain `text` |
//! | `/regex/` | match the regular expression somewhere |
//! | `#glob` | match the glob (`*`, `?`) as a whole |
//! | `>=v`, `>v`, `<=v`, `<v` | are such versions: numbers compare as numbers, `b8816` as a llama.cpp build |
//!
//! A backslash takes `)`, `|` or itself literally.
//!
//! Beside the dimensions there are `id()`, `plan()`, and, for cells that have run, `verdict()`, `route()` and `changed()`:
//! see [`EXTRA_NAMES`]. `fixtures/filters.toml` is what
//! every reader of the language is tested against.

mod change;
mod matcher;
mod parse;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use intact_base::nearest::nearest;
use thiserror::Error;

use crate::Dims;
use crate::verdict::Verdict;
pub use change::Change;
pub use matcher::{Matcher, Order, compare_versions};

/// Names of predicates that are not dimensions: the cell's id, the plan that it is of, and what is known of it once it
/// has run.
pub const EXTRA_NAMES: [&str; 5] = ["id", "plan", "verdict", "route", "changed"];

/// Names of predicates that select nothing before a cell has run.
pub const AFTERWARDS: [&str; 3] = ["verdict", "route", "changed"];

/// Values that are named where none is near.
const SHOWN: usize = 12;

/// A filter over cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every cell.
    All,
    /// No cell.
    None,
    /// The named dimension matches one of the matchers.
    Is {
        /// The dimension, or one of [`EXTRA_NAMES`].
        name: String,
        /// At least one, but for `changed()`, which selects every cell that changed.
        matchers: Vec<Matcher>,
    },
    /// The cells that the filter does not select.
    Not(Box<Filter>),
    /// The cells that both select.
    And(Box<Filter>, Box<Filter>),
    /// The cells that either selects.
    Or(Box<Filter>, Box<Filter>),
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The cell's id; empty where a cell has none yet.
    pub id: &'a str,
    /// The cell's dimensions.
    pub dims: &'a Dims,
    /// The plan that it is of, where that is known.
    pub plan: Option<&'a str>,
    /// The verdict; `None` before the cell has run. A predicate on it is then false.
    pub verdict: Option<Verdict>,
    /// The route of its load, where one was taken.
    pub route: Option<&'a str>,
    /// How it differs from a baseline, where there is one and it differs.
    pub changed: Option<Change>,
}

/// A filter that could not be read: what, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct FilterError {
    /// The filter.
    pub text: String,
    /// Where it goes wrong, in bytes from its beginning.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.position).unwrap_or(&self.text);
        let column = before.chars().count();
        writeln!(f, "the filter cannot be read: {}", self.message)?;
        writeln!(f, "  {}", self.text)?;
        write!(f, "  {:column$}^", "")
    }
}

impl Filter {
    /// Whether the filter selects this.
    #[must_use]
    pub fn selects(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Is { name, matchers } => {
                let selected =
                    |value| matchers.is_empty() || matchers.iter().any(|matcher| matcher.matches(value));
                subject.value(name).is_some_and(selected)
            }
            Self::Not(inner) => !inner.selects(subject),
            Self::And(left, right) => left.selects(subject) && right.selects(subject),
            Self::Or(left, right) => left.selects(subject) || right.selects(subject),
        }
    }

    /// Whether the filter selects a combination of dimensions, without id and verdict.
    #[must_use]
    pub fn selects_dims(&self, dims: &Dims) -> bool {
        self.selects(Subject::planned("", dims))
    }

    /// Makes sure that every name is one of `known`, [`EXTRA_NAMES`] included by themselves.
    ///
    /// # Errors
    /// The first unknown name, with the nearest known one.
    pub fn check_names(&self, text: &str, known: &[&str]) -> Result<(), FilterError> {
        let Some(name) = self.first_unknown_name(known) else { return Ok(()) };
        let all: Vec<&str> = known.iter().chain(&EXTRA_NAMES).copied().collect();
        let hint = nearest(name, &all).map_or_else(
            || format!("known are {}", all.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Err(FilterError {
            text: text.to_owned(),
            position: text.find(name).unwrap_or(0),
            message: format!("there is no dimension `{name}`; {hint}"),
        })
    }

    /// Makes sure that the filter asks for nothing that is known only of cells that have run.
    ///
    /// # Errors
    /// The first name that does.
    pub fn check_planned(&self, text: &str) -> Result<(), FilterError> {
        let Some(name) = self.names().into_iter().find(|name| AFTERWARDS.contains(name)) else {
            return Ok(());
        };
        Err(FilterError {
            text: text.to_owned(),
            position: text.find(name).unwrap_or(0),
            message: format!("`{name}` is not known before a cell has run; use it on results and reports"),
        })
    }

    /// Makes sure that every value which the filter asks for by its whole text is one that something has.
    ///
    /// `known` are the values of a dimension; none where they are not known.
    ///
    /// # Errors
    /// The first value that nothing has, with the nearest known one.
    pub fn check_values<'k>(
        &self,
        text: &str,
        known: &dyn Fn(&str) -> Option<BTreeSet<&'k str>>,
    ) -> Result<(), FilterError> {
        match self {
            Self::All | Self::None => Ok(()),
            Self::Not(inner) => inner.check_values(text, known),
            Self::And(left, right) | Self::Or(left, right) => {
                left.check_values(text, known).and_then(|()| right.check_values(text, known))
            }
            Self::Is { name, matchers } => {
                let Some(values) = known(name) else { return Ok(()) };
                let unknown = |matcher: &&Matcher| matches!(matcher, Matcher::Exact(value) if !values.contains(value.as_str()));
                let Some(Matcher::Exact(value)) = matchers.iter().find(unknown) else { return Ok(()) };
                let values: Vec<&str> = values.iter().copied().collect();
                let hint = match nearest(value, &values) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if values.len() <= SHOWN => format!("it has {}", values.join(", ")),
                    None => {
                        format!("it has {} and {} more", values[..SHOWN].join(", "), values.len() - SHOWN)
                    }
                };
                // The value stands behind its dimension's name.
                let after = text.find(&format!("{name}(")).unwrap_or(0);
                let position = text[after..].find(value.as_str()).map_or(after, |found| after + found);
                Err(FilterError {
                    text: text.to_owned(),
                    position,
                    message: format!("`{name}` has no value `{value}`; {hint}"),
                })
            }
        }
    }

    /// Every name that the filter uses.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::All | Self::None => Vec::new(),
            Self::Is { name, .. } => vec![name],
            Self::Not(inner) => inner.names(),
            Self::And(left, right) | Self::Or(left, right) => [left.names(), right.names()].concat(),
        }
    }

    fn first_unknown_name(&self, known: &[&str]) -> Option<&str> {
        self.names().into_iter().find(|name| !known.contains(name) && !EXTRA_NAMES.contains(name))
    }
}

impl<'a> Subject<'a> {
    /// A cell that has not run.
    #[must_use]
    pub const fn planned(id: &'a str, dims: &'a Dims) -> Self {
        Self { id, dims, plan: None, verdict: None, route: None, changed: None }
    }

    /// The same, of this plan.
    #[must_use]
    pub const fn in_plan(self, plan: &'a str) -> Self {
        Self { plan: Some(plan), ..self }
    }

    fn value(self, name: &str) -> Option<&'a str> {
        match name {
            "id" => Some(self.id),
            "plan" => self.plan,
            "verdict" => self.verdict.map(Verdict::name),
            "route" => self.route,
            "changed" => self.changed.map(Change::name),
            _ => self.dims.get(name).map(String::as_str),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, 0)
    }
}

impl Filter {
    /// Binding strength: 0 for `|`, 1 for `&`, 2 for `!`; parentheses only where needed.
    fn print(&self, f: &mut fmt::Formatter<'_>, around: u8) -> fmt::Result {
        let (own, left, operator, right) = match self {
            Self::All => return f.write_str("all()"),
            Self::None => return f.write_str("none()"),
            Self::Is { name, matchers } => {
                write!(f, "{name}(")?;
                for (index, matcher) in matchers.iter().enumerate() {
                    write!(f, "{}{matcher}", if index == 0 { "" } else { "|" })?;
                }
                return f.write_str(")");
            }
            Self::Not(inner) => {
                f.write_str("!")?;
                return inner.print(f, 2);
            }
            Self::And(left, right) => (1, left, " & ", right),
            Self::Or(left, right) => (0, left, " | ", right),
        };
        let enclosed = own < around;
        f.write_str(if enclosed { "(" } else { "" })?;
        left.print(f, own)?;
        f.write_str(operator)?;
        right.print(f, own + 1)?;
        f.write_str(if enclosed { ")" } else { "" })
    }
}

#[cfg(test)]
mod tests;
