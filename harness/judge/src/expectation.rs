//! `expectations.toml`: what the repository says that verdicts should be, each with a reason.

mod edit;
mod entry;
mod expected;

use std::collections::BTreeMap;
use std::path::Path;

use intact_format::regular;
use intact_matrix::Part;
use intact_matrix::config::{Config, ConfigError};
use intact_matrix::filter::{Filter, Subject};
use intact_matrix::plan::PlannedCell;
use jiff::civil::Date;

use crate::{Finding, FindingKind, Judgement};
pub use edit::{Edit, NewEntry, UNREVIEWED, reviewed};
pub use entry::{Entry, ExpectationFile, Tolerance};
use entry::{check, problem};
pub use expected::Expected;

/// The `expectations.toml` of this version of the harness, used where there is no other.
pub const DEFAULT_EXPECTATIONS: &str = include_str!("../../../expectations.toml");

/// The expectations of a run.
#[derive(Debug, Clone)]
pub struct Expectations {
    entries: Vec<(Filter, Entry)>,
    /// The configured plan, and those that build on it.
    standard: Vec<String>,
}

/// How a cell compares with what is expected of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is expected.
    pub expected: Expected,
    /// Why the cell does not pass, if it does not.
    pub finding: Option<Finding>,
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], pointing at the line.
    pub fn read(path: &Path, config: &Config) -> Result<Self, ConfigError> {
        Self::parse(&Self::text(path)?, path, config)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`ConfigError::Io`].
    pub fn text(path: &Path) -> Result<String, ConfigError> {
        regular::read_text(path)
            .map_err(|source| ConfigError::Io { path: path.to_owned(), reason: source.to_string() })
    }

    /// Reads text; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`], pointing at the line.
    pub fn parse(text: &str, path: &Path, config: &Config) -> Result<Self, ConfigError> {
        let file: ExpectationFile =
            toml::from_str(text).map_err(|error| ConfigError::toml(&error, text, path))?;
        if file.version != 1 {
            let message =
                format!("version {} of expectations.toml is not known; this is version 1", file.version);
            return Err(ConfigError::at(0..0, message, text, path));
        }
        let known = config.dimensions();
        let entries = file.expect.into_iter().map(|entry| {
            let filter = check(&entry, &known).map_err(|(offset, message)| {
                let start = (entry.when.span().start + offset).min(entry.when.span().end);
                ConfigError::at(start..entry.when.span().end, message, text, path)
            })?;
            Ok((filter, entry))
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()?, standard: standard(config) })
    }

    /// What is wrong with the expectations for this plan: entries that select no judged cell of it, entries that never
    /// count because others come first, and entries that have lapsed.
    #[must_use]
    pub fn findings(&self, cells: &[PlannedCell], plan: &str, today: Date) -> Vec<Finding> {
        let dead = self.dead(cells, plan).into_iter().map(|(_, finding)| finding);
        self.lapsed(today).into_iter().chain(dead).collect()
    }

    /// The entries that decide about no cell of this plan though they should, by their place.
    fn dead(&self, cells: &[PlannedCell], plan: &str) -> Vec<(usize, Finding)> {
        let judged: Vec<&PlannedCell> =
            cells.iter().filter(|cell| cell.part == Part::Judged && cell.filtered.is_none()).collect();
        let mut counting: BTreeMap<usize, usize> = BTreeMap::new();
        for cell in &judged {
            if let Some((index, _)) = self.entry(cell) {
                *counting.entry(index).or_default() += 1;
            }
        }
        let mut findings = Vec::new();
        for (index, (filter, entry)) in self.entries.iter().enumerate() {
            let when = entry.when.get_ref();
            let plans = if entry.plans.is_empty() { &self.standard } else { &entry.plans };
            let elsewhere = !plans.iter().any(|name| name == plan);
            if counting.contains_key(&index) || elsewhere {
                continue;
            }
            let shadowed = judged.iter().any(|cell| filter.selects(subject(cell)));
            let (kind, message) = if shadowed {
                let message =
                    format!("the expectation `{when}` never counts: earlier entries select all its cells");
                (FindingKind::Contradicting, message)
            } else {
                (
                    FindingKind::Unmatched,
                    format!("the expectation `{when}` selects no planned cell: remove it"),
                )
            };
            findings.push((index, Finding { kind, cell: None, message }));
        }
        findings
    }

    /// The entries that have lapsed, and those that nobody has reviewed.
    #[must_use]
    pub fn lapsed(&self, today: Date) -> Vec<Finding> {
        let waiting = self.unreviewed().into_iter().map(|(index, entry)| {
            let (number, when) = (index + 1, entry.when.get_ref());
            let message =
                format!("nobody has reviewed the expectation `{when}`: see `intact expect review {number}`");
            Finding { kind: FindingKind::Unreviewed, cell: None, message }
        });
        let entries = self.entries.iter().filter_map(|(_, entry)| {
            let expires = entry.expires.filter(|expires| *expires < today)?;
            let when = entry.when.get_ref();
            let message = format!("the expectation `{when}` expired on {expires}: remove it, or renew it");
            Some(Finding { kind: FindingKind::Expired, cell: None, message })
        });
        entries.chain(waiting).collect()
    }

    /// Compares a judged cell's verdict with what is expected of it.
    #[must_use]
    pub fn compare(&self, cell: &PlannedCell, judgement: &Judgement) -> Comparison {
        let entry = self.entry(cell).map(|(_, entry)| entry);
        let expected = entry.map_or_else(Expected::default, |entry| Expected {
            outcome: entry.outcome.clone(),
            code: entry.code.clone(),
            reason: Some(entry.reason.clone()),
            issue: entry.issue.clone(),
            entry: Some(entry.when.get_ref().clone()),
        });
        let problem = problem(&expected, entry.and_then(|entry| entry.tolerance), judgement);
        let finding = problem.map(|(kind, message)| Finding { kind, cell: Some(cell.id.clone()), message });
        Comparison { expected, finding }
    }

    /// The place of the entry that counts for a cell.
    #[must_use]
    pub fn governing(&self, cell: Subject<'_>) -> Option<usize> {
        self.entries.iter().position(|(filter, _)| filter.selects(cell))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index).map(|(_, entry)| entry)
    }

    /// The entries that were written for what a run found and that nobody has reviewed, by their place.
    #[must_use]
    pub fn unreviewed(&self) -> Vec<(usize, &Entry)> {
        let waiting = |(_, entry): &(usize, &Entry)| {
            let issue = entry.issue.as_deref().unwrap_or_default();
            [entry.reason.as_str(), issue].iter().any(|text| text.starts_with(UNREVIEWED.trim_end()))
        };
        self.entries.iter().map(|(_, entry)| entry).enumerate().filter(waiting).collect()
    }

    /// Which entries speak of a cell, and which of them counts: a line for each.
    #[must_use]
    pub fn explain(&self, cell: &PlannedCell) -> Vec<String> {
        let speaking =
            self.entries.iter().enumerate().filter(|(_, (filter, _))| filter.selects(subject(cell)));
        let mut lines: Vec<String> = speaking
            .enumerate()
            .map(|(nth, (index, (_, entry)))| {
                let verdicts: Vec<&str> = entry.outcome.iter().map(|verdict| verdict.name()).collect();
                let counts = if nth == 0 { "counts" } else { "does not count: an earlier one does" };
                let code = entry.code.as_ref().map(|code| format!(" with code `{code}`")).unwrap_or_default();
                format!(
                    "entry {} {counts}\n  when     {}\n  outcome  {}{code}\n  reason   {}",
                    index + 1,
                    entry.when.get_ref(),
                    verdicts.join(" or "),
                    entry.reason
                )
            })
            .collect();
        if lines.is_empty() {
            lines.push("no entry speaks of it: it must be exact or equivalent".to_owned());
        }
        if cell.part == Part::Control {
            lines = vec!["it is unprotected, and nothing is expected of it".to_owned()];
        }
        lines
    }

    /// The text without the entries that decided about a cell of the plan before it was edited and do so no more.
    ///
    /// # Errors
    /// [`ConfigError`], where the edited text is not sound.
    pub fn without_dead(
        &self,
        edited: &str,
        path: &Path,
        config: &Config,
        cells: &[PlannedCell],
        plan: &str,
    ) -> Result<String, ConfigError> {
        let whens = |expectations: &Self| -> Vec<(usize, String)> {
            let dead = expectations.dead(cells, plan).into_iter();
            dead.filter_map(|(index, _)| Some((index, expectations.get(index)?.when.get_ref().clone())))
                .collect()
        };
        let before: Vec<String> = whens(self).into_iter().map(|(_, when)| when).collect();
        let now = Self::parse(edited, path, config)?;
        let gone = whens(&now).into_iter().filter(|(_, when)| !before.contains(when));
        let edit = Edit { remove: gone.map(|(index, _)| index).collect(), ..Edit::default() };
        edit.apply(edited).map_err(|error| ConfigError::at(0..0, error.to_string(), edited, path))
    }

    fn entry(&self, cell: &PlannedCell) -> Option<(usize, &Entry)> {
        self.governing(subject(cell)).map(|index| (index, &self.entries[index].1))
    }
}

fn standard(config: &Config) -> Vec<String> {
    let builds = |name: &str| {
        let below = |name: &str| config.plans.get(name)?.builds_on.as_deref();
        // A chain of plans is no longer than there are plans, even where it is a ring.
        let chain = std::iter::successors(Some(name), |name| below(name)).take(config.plans.len());
        chain.into_iter().any(|name| name == config.run.plan)
    };
    config.plans.keys().filter(|name| builds(name)).cloned().collect()
}

fn subject(cell: &PlannedCell) -> Subject<'_> {
    Subject::planned(&cell.id, &cell.dims)
}

#[cfg(test)]
mod tests;
