//! `report.html`: one page that needs nothing but itself.

mod assets;
mod details;
mod index;
mod packed;
mod page;

use askama::Template;

use super::Report;
use crate::text::document;
pub(crate) use assets::policy;

/// Renders a run as one HTML page.
///
/// # Errors
/// Why the data could not be packed, or the template filled.
pub fn html(report: &Report<'_>) -> Result<String, String> {
    let index = packed::packed(&index::Index::of(report))?;
    let details = packed::packed(&details::Details::of(report))?;
    page::Page::of(report, index, details)?.render().map(document).map_err(|error| error.to_string())
}
