//! `report.html`: one page that needs nothing but itself.

mod embed;
mod page;

use askama::Template;

use crate::results::Results;

/// Renders a run as one self-contained page.
///
/// # Errors
/// Why the page could not be rendered.
pub fn html(results: &Results) -> Result<String, String> {
    let data = embed::json(results).map_err(|error| error.to_string())?;
    page::Page::of(results, data).render().map_err(|error| error.to_string())
}
