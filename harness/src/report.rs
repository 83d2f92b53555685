//! Renderings of [`Results`]: a page for people, Markdown for summaries, JUnit for other tools.
//!
//! `results.json` is the truth. A rendering adds nothing to it: `story` puts it in words, `pivot` in tables,
//! and the renderings differ only in their form.

mod attempt;
mod crossing;
mod html;
mod junit;
mod markdown;
mod pivot;
mod story;
mod style;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use crossing::{Crossings, Question};
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use pivot::{Pivot, Row, Slot};
pub use story::{Answer, Line, Story, Tally, Told, by_kind, kind_words};
pub use style::{Style, Tone};

use crate::results::Results;

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
pub fn write(results: &Results, out: &Path) -> Result<[PathBuf; 3], ReportError> {
    let page = out.join("report.html");
    let summary = out.join("report.md");
    let tests = out.join("junit.xml");
    put(&page, html(results))?;
    put(&summary, Ok(markdown(results)))?;
    put(&tests, junit(results))?;
    Ok([page, summary, tests])
}

fn put(path: &Path, rendered: Result<String, String>) -> Result<(), ReportError> {
    let text = rendered.map_err(|reason| ReportError::Render { path: path.to_owned(), reason })?;
    fs::write(path, text).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}
