//! Renderings of [`Results`]: a page for people, Markdown and annotations for CI, JUnit and JSON for other tools, a badge.
//!
//! `results.json` is the truth. A rendering adds nothing to it: `story` puts it in words, `pivot` in tables,
//! and the renderings differ only in their form.

mod annotations;
mod attempt;
mod badge;
mod called;
mod changes;
mod combined;
mod coverage;
mod crossing;
mod digest;
mod first_words;
mod html;
mod junit;
mod markdown;
mod performance;
mod pivot;
mod questions;
mod requantization;
mod safest;
mod story;
mod systems;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use crate::style::{Style, Tone};
pub use annotations::annotations;
pub use badge::badge;
pub use called::called;
pub use changes::{Change, ChangeKind, Changes};
pub use combined::combined;
pub use coverage::{AxisGround, Ground, Used};
pub use crossing::{Crossings, Question};
pub use digest::{DIGEST_VERSION, Digest};
pub use first_words::{FirstWords, Mixture, Word};
pub use html::html;
pub(crate) use html::policy;
pub use junit::junit;
pub use markdown::markdown;
pub use performance::{HISTORY_FILE, Performance, PerformanceError};
pub use pivot::{Pivot, Row, Slot};
pub use questions::questions;
pub use requantization::{Requantization, Span, Turned};
pub use story::{Answer, Common, Line, Story, Tally, Told, by_kind, explained, kind_words};
pub use systems::{Asked, Cost, Given, Party, Systems};

use crate::files::{contain, replace_own};
use crate::results::Results;

/// What a report is made of: a run, and what it is compared with.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The run.
    pub results: &'a Results,
    /// What changed since an earlier run, where one was given.
    pub changes: Option<Changes>,
    /// That run.
    pub baseline: Option<&'a Results>,
    /// How fast sessions are saved and restored, where that was measured.
    pub performance: Option<Performance>,
}

impl<'a> Report<'a> {
    /// A report of a run alone.
    #[must_use]
    pub const fn of(results: &'a Results) -> Self {
        Self { results, changes: None, baseline: None, performance: None }
    }

    /// A report that compares the run with an earlier one.
    #[must_use]
    pub fn since(results: &'a Results, baseline: &'a Results) -> Self {
        let changes = Some(Changes::between(baseline, results));
        Self { changes, baseline: Some(baseline), ..Self::of(results) }
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

/// Files that [`write()`] makes.
pub const FILES: [&str; 4] = ["report.html", "report.md", "junit.xml", "badge.svg"];

/// What is in each of them, whatever the run: what has a file's name and not this is somebody else's.
const MARKS: [&str; 4] = [
    "<p class=\"brand\">intact</p>",
    "# Did saved chat sessions come back intact?",
    "<testsuites name=\"intact\"",
    "<title>intact:",
];

/// Writes `report.html`, `report.md`, `junit.xml` and `badge.svg` into the folder `out`. Files of these names that are no
/// reports stay as they are.
///
/// # Errors
/// [`ReportError`], for the first file that fails.
pub fn write(report: &Report<'_>, out: &Path) -> Result<(), ReportError> {
    let rendered =
        [html(report), Ok(markdown(report)), junit(report.results), badge(report.results)].into_iter();
    for ((name, mark), rendered) in FILES.into_iter().zip(MARKS).zip(rendered) {
        let path = out.join(name);
        let failed = |reason| ReportError::Render { path: path.clone(), reason };
        let written = replace_own(&path, rendered.map_err(failed)?, |there| contain(there, mark));
        written.map_err(|source| ReportError::Write { path: path.clone(), source })?;
    }
    Ok(())
}

/// A point in time to the minute, as people read it.
pub(crate) fn when(timestamp: &str) -> String {
    let parsed = timestamp.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| timestamp.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
