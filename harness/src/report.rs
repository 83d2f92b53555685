//! Renderings of [`Results`]: a page for people, Markdown for summaries, JUnit for other tools.
//!
//! `results.json` is the truth. A rendering adds nothing to it: `story` puts it in words, `pivot` in tables,
//! and the renderings differ only in their form.

mod attempt;
mod changes;
mod coverage;
mod crossing;
mod html;
mod junit;
mod markdown;
mod pivot;
mod questions;
mod story;
mod style;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use changes::{Change, ChangeKind, Changes};
pub use coverage::{AxisGround, Ground, Used};
pub use crossing::{Crossings, Question};
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use pivot::{Pivot, Row, Slot};
pub use questions::questions;
pub use story::{Answer, Line, Story, Tally, Told, by_kind, kind_words};
pub use style::{Style, Tone};

use crate::results::Results;

/// What a report is made of: a run, and what it is compared with.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The run.
    pub results: &'a Results,
    /// What changed since an earlier run, where one was given.
    pub changes: Option<Changes>,
}

impl<'a> Report<'a> {
    /// A report of a run alone.
    #[must_use]
    pub const fn of(results: &'a Results) -> Self {
        Self { results, changes: None }
    }

    /// A report that compares the run with an earlier one.
    #[must_use]
    pub fn since(results: &'a Results, baseline: &Results) -> Self {
        Self { changes: Some(Changes::between(baseline, results)), ..Self::of(results) }
    }
}

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file could not be written.
    #[error("the report {path} cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The rendering itself failed.
    #[error("the report {path} cannot be rendered: {reason}")]
    Render {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Writes `report.html`, `report.md` and `junit.xml` into the folder `out`, and gives their paths in this order.
///
/// # Errors
/// [`ReportError`], for the first file that fails.
pub fn write(report: &Report<'_>, out: &Path) -> Result<[PathBuf; 3], ReportError> {
    let page = out.join("report.html");
    let summary = out.join("report.md");
    let tests = out.join("junit.xml");
    put(&page, html(report))?;
    put(&summary, Ok(markdown(report)))?;
    put(&tests, junit(report.results))?;
    Ok([page, summary, tests])
}

fn put(path: &Path, rendered: Result<String, String>) -> Result<(), ReportError> {
    let text = rendered.map_err(|reason| ReportError::Render { path: path.to_owned(), reason })?;
    fs::write(path, text).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

/// A point in time to the minute, as people read it.
fn when(timestamp: &str) -> String {
    let parsed = timestamp.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| timestamp.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
