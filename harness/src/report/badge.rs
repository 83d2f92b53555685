//! A badge: the outcome in one small drawing, for a README.

use askama::Template;

use super::{Story, Tone};
use crate::results::Results;
use crate::text::document;

/// Width of a character in the badge's font, roughly; the drawing stretches the text to what is computed here.
const CHARACTER: usize = 7;
const PADDING: usize = 12;

#[derive(Template)]
#[template(path = "report/badge.svg", escape = "html")]
struct Badge {
    left: usize,
    width: usize,
    label: &'static str,
    text: String,
    left_text: usize,
    text_width: usize,
    colour: &'static str,
}

/// Renders a run as an SVG badge.
///
/// # Errors
/// Why the template could not be filled.
pub fn badge(results: &Results) -> Result<String, String> {
    let story = Story::of(results);
    let (text, colour) = (story.short, colour(story.tone));
    let label = "intact";
    let (left, right) = (label.len() * CHARACTER + PADDING, text.chars().count() * CHARACTER + PADDING);
    let badge = Badge {
        left,
        width: left + right,
        label,
        left_text: left + PADDING / 2,
        text_width: right - PADDING,
        text,
        colour,
    };
    badge.render().map(document).map_err(|error| error.to_string())
}

const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Good | Tone::Fair => "#2f7d54",
        Tone::Safe => "#2d6a8a",
        Tone::Weak => "#9a5b00",
        Tone::Bad => "#bf2c26",
        Tone::Blank => "#6a655d",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::verdict::Verdict;

    #[test]
    fn a_badge_tells_the_outcome_in_words_and_not_by_colour_alone() {
        let mut results = base(vec![cell("engine", &[], Verdict::Exact)]);
        let drawing = badge(&results).expect("rendered");
        assert!(drawing.starts_with("<svg") && drawing.contains("1 as expected"), "{drawing}");
        assert!(drawing.contains("<title>intact: 1 as expected</title>"), "{drawing}");
        results.cells[0].verdict = Verdict::Corrupt;
        results.gate.passed = false;
        assert!(badge(&results).expect("rendered").contains("1 of 1 not intact"));
    }
}
