//! Markdown, JUnit and the words that all renderings share.

use intact_harness::report::{Report, Story, Tone, html, junit, markdown};
use intact_harness::results::Results;

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::sample::{HOSTILE, bad, degraded, good};

#[test]
fn the_markdown_of_a_run_that_passes() {
    insta::assert_snapshot!(markdown(&Report::of(&good())));
}

#[test]
fn the_markdown_of_a_run_that_does_not() {
    insta::assert_snapshot!(markdown(&Report::of(&bad())));
}

#[test]
fn the_junit_of_a_run_that_does_not() {
    insta::assert_snapshot!(junit(&bad()).expect("rendered"));
}

#[test]
fn a_run_that_lost_nothing_says_yes_and_one_that_did_says_no() {
    let story = Story::of(&good());
    assert_eq!(story.tone, Tone::Good);
    assert!(story.headline.starts_with("Yes."), "{}", story.headline);
    let story = Story::of(&bad());
    assert_eq!(story.tone, Tone::Bad);
    assert!(story.headline.starts_with("No. 1 of 4"), "{}", story.headline);
}

#[test]
fn a_loss_that_was_expected_is_told_apart_from_one_that_was_not() {
    let story = Story::of(&degraded(true));
    assert_eq!(story.tone, Tone::Good);
    assert!(story.headline.starts_with("Yes.") && story.headline.contains("1 of 4"), "{}", story.headline);
    assert!(story.lead.contains("1 came back with an expected loss"), "{}", story.lead);

    let story = Story::of(&degraded(false));
    assert_eq!(story.tone, Tone::Weak);
    assert!(story.headline.starts_with("Not quite. 1 of 4"), "{}", story.headline);
    assert!(story.lead.contains("1 came back degraded"), "{}", story.lead);
}

#[test]
fn the_unprotected_path_is_compared_in_the_same_cells() {
    let story = Story::of(&good());
    assert!(
        story
            .without
            .sentence
            .contains("went wrong in 2 of 3 cells, 1 of them without any error. The protected path was right or refused in every one"),
        "{}",
        story.without.sentence
    );
}

#[test]
fn a_run_without_a_single_verdict_claims_nothing() {
    let empty = Results { cells: Vec::new(), controls: Vec::new(), ..good() };
    let story = Story::of(&empty);
    assert_eq!(story.tone, Tone::Blank);
    assert!(
        story.headline.starts_with("Not known: no cell of a judged system was run."),
        "{}",
        story.headline
    );
    for rendered in [Ok(markdown(&Report::of(&empty))), junit(&empty), html(&Report::of(&empty))] {
        assert!(!rendered.expect("rendered").is_empty());
    }
}

#[test]
fn hostile_text_stays_text() {
    let page = html(&Report::of(&bad())).expect("rendered");
    assert!(!page.contains("<script>document"), "a script of its own");
    assert!(!page.contains("<img src=x"), "an element of its own");
    assert_eq!(page.matches("</script>").count(), 3, "the two documents and the page's script end once each");

    let summary = markdown(&Report::of(&bad()));
    let markup = Parser::new_ext(&summary, Options::ENABLE_TABLES).find(|event| {
        matches!(event, Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Image { .. }))
    });
    assert_eq!(markup, None, "{summary}");

    let tests = junit(&bad()).expect("rendered");
    assert!(!tests.contains("<script>") && !tests.contains('\u{1b}'), "{tests}");
    assert!(!HOSTILE.is_empty());
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = html(&Report::of(&good())).expect("rendered");
    let page = page.replace("http://www.w3.org/2000/svg", "the name of drawings, which is no address");
    for reference in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!page.contains(reference), "the page refers to {reference}");
    }
}
