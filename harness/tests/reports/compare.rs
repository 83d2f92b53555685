//! Two runs beside each other: the page says of them what `--baseline` says, whether the other run came with it or was chosen.

use intact_harness::report::{Changes, Report, html};
use intact_harness::results::{Cell, Results};
use intact_harness::verdict::Verdict;
use serde_json::{Value, json};

use super::browser::Page;
use super::forms::changed;
use super::sample::{cell, good, of};

/// Kind and cell of every change that the page shows, in its order.
fn shown(page: &mut Page) -> Value {
    page.eval(
        "[...document.querySelectorAll('#compared button:not(.chip)')].forEach((more) => more.click())",
    );
    page.eval("[...document.querySelectorAll('#compared tr[data-kind]')].map((row) => [row.dataset.kind, row.querySelector('code').textContent])")
}

fn told(before: &Results, now: &Results) -> Value {
    let changes = Changes::between(before, now);
    json!(changes.cells.iter().map(|change| (change.kind.name(), &change.cell)).collect::<Vec<_>>())
}

/// Two runs in which every verdict, as expected or not, became every other one, of a judged and of an unprotected subject, and
/// in which some cells are gone and some are new.
fn every_change() -> (Results, Results) {
    let (mut before, mut now) = (Vec::new(), Vec::new());
    for subject in ["engine", "blind"] {
        for (first, was) in Verdict::ALL.into_iter().enumerate() {
            for (second, is) in Verdict::ALL.into_iter().enumerate() {
                let number = first * Verdict::ALL.len() + second;
                let made = |verdict, matched| Cell {
                    id: format!("{subject}/{number}"),
                    matched: matched || subject == "blind",
                    ..cell(subject, "llama", &[], verdict)
                };
                if !number.is_multiple_of(7) {
                    before.push(made(was, number.is_multiple_of(2)));
                }
                if !number.is_multiple_of(11) {
                    now.push(made(is, number.is_multiple_of(3)));
                }
            }
        }
    }
    (of(before, Vec::new()), of(now, Vec::new()))
}

#[test]
fn the_page_says_of_two_runs_what_the_command_line_says() {
    for (before, now) in [changed(), every_change()] {
        let rendered = html(&Report::since(&now, &before)).expect("rendered");
        let Some(mut page) = Page::open(&rendered, "tab=compare") else { return };
        assert_eq!(shown(&mut page), told(&before, &now));
        assert_eq!(page.console(), [""; 0]);
    }
}

#[test]
fn a_run_that_is_chosen_is_compared_like_one_that_came_with_the_page() {
    let (before, now) = every_change();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("results.json");
    before.write(&file).expect("written");
    let rendered = html(&Report::of(&now)).expect("rendered");
    let Some(mut page) = Page::open(&rendered, "tab=compare") else { return };
    let document = page.call("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
    let found = page.call("DOM.querySelector", &json!({ "nodeId": document, "selector": "#other-run" }));
    let choose = |page: &mut Page, file: &std::path::Path| {
        page.call("DOM.setFileInputFiles", &json!({ "nodeId": found["nodeId"], "files": [file] }));
    };
    choose(&mut page, &file);
    page.wait("document.querySelector('#compared table')");
    assert_eq!(shown(&mut page), told(&before, &now));
    let facts = page.text("document.getElementById('compared').innerText");
    assert!(facts.contains("engine 0.1.0 (0.6.0)"), "{facts}");

    let stranger = folder.path().join("package.json");
    std::fs::write(&stranger, "{}").expect("written");
    choose(&mut page, &stranger);
    page.wait(
        "document.querySelector('#compare [role=alert]').textContent.includes('not a results.json of intact')",
    );
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn changes_of_one_kind_are_shown_alone_and_lead_to_their_cells() {
    let (before, now) = changed();
    let rendered = html(&Report::since(&now, &before)).expect("rendered");
    let Some(mut page) = Page::open(&rendered, "tab=compare") else { return };
    page.click("#compared [data-kind=new-failure]");
    let rows = page.eval("document.querySelectorAll('#compared tr[data-kind]').length");
    assert_eq!(rows, 1);
    page.click("#compared tr[data-kind] a");
    page.wait("document.getElementById('drawer').open");
    let drawer = page.text("document.getElementById('drawer').innerText");
    assert!(drawer.contains("in the other run this cell was recomputed"), "{drawer}");
}

#[test]
fn a_run_compared_with_itself_has_no_changes() {
    let run = good();
    let rendered = html(&Report::since(&run, &run)).expect("rendered");
    let Some(mut page) = Page::open(&rendered, "tab=compare") else { return };
    let shown = page.text("document.getElementById('compared').innerText");
    assert!(shown.contains("Nothing changed: 7 cells are as they were."), "{shown}");
}
