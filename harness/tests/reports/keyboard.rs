//! The page without a mouse, and for people who do not see it.

use super::page::open;
use super::sample::{bad, good};

const FOCUS: &str = "document.activeElement.textContent";
const FOCUSED_CELL: &str = "document.activeElement.dataset.cell";
const IS_OPEN: &str = "document.getElementById('drawer').open";

#[test]
fn tabs_are_changed_with_arrows_and_the_way_back_returns() {
    let Some(mut page) = open(&good(), "") else { return };
    page.eval("document.getElementById('tab-answers').focus()");
    page.press("ArrowRight");
    assert_eq!(page.text(FOCUS), "Matrix");
    assert_eq!(page.text("document.querySelector('[aria-selected=true]').textContent"), "Matrix");
    assert_eq!(page.text("location.hash"), "#tab=matrix");
    page.eval("history.back()");
    page.wait("document.querySelector('[aria-selected=true]').textContent === 'Answers'");
}

#[test]
fn the_matrix_is_one_stop_and_arrows_move_in_it() {
    let Some(mut page) = open(&good(), "tab=matrix") else { return };
    assert_eq!(page.eval("document.querySelectorAll('#grid button[tabindex=\"0\"]').length"), 1);
    page.eval("document.querySelector('#grid button[tabindex=\"0\"]').focus()");
    let first = page.text(FOCUSED_CELL);
    page.press("ArrowRight");
    assert_ne!(page.text(FOCUSED_CELL), first);
    page.press("ArrowLeft");
    assert_eq!(page.text(FOCUSED_CELL), first);
    page.press("ArrowDown");
    assert_ne!(page.text(FOCUSED_CELL), first);
    page.press("Home");
    assert_eq!(page.text(FOCUSED_CELL), first);
    assert_eq!(page.eval("document.querySelectorAll('#grid button[tabindex=\"0\"]').length"), 1);
}

#[test]
fn the_drawer_holds_the_focus_and_escape_gives_it_back() {
    let Some(mut page) = open(&good(), "tab=matrix") else { return };
    page.eval("document.querySelector('#grid button[tabindex=\"0\"]').focus()");
    let cell = page.text(FOCUSED_CELL);
    page.press("Enter");
    page.wait(IS_OPEN);
    assert_eq!(page.text(FOCUS), "Close");
    for key in ["Tab", "Shift+Tab"] {
        for _ in 0..40 {
            page.press(key);
            assert_eq!(
                page.eval("document.getElementById('drawer').contains(document.activeElement)"),
                true,
                "{key}"
            );
        }
    }
    page.press("Escape");
    page.wait(&format!("!{IS_OPEN}"));
    page.wait("location.hash === '#tab=matrix'");
    assert_eq!(page.text(FOCUSED_CELL), cell);
}

#[test]
fn the_drawer_goes_from_cell_to_cell() {
    let Some(mut page) = open(&good(), "cell=engine%2Fllama") else { return };
    page.wait(IS_OPEN);
    page.press("j");
    page.wait("document.getElementById('drawer').dataset.shown !== 'engine/llama'");
    page.press("k");
    page.wait("document.getElementById('drawer').dataset.shown === 'engine/llama'");
}

#[test]
fn the_list_is_walked_with_arrows_and_opened_with_enter() {
    let Some(mut page) = open(&bad(), "tab=matrix&shape=list") else { return };
    page.eval("document.querySelector('.row[tabindex=\"0\"]').focus()");
    page.press("End");
    assert_eq!(page.text("document.activeElement.getAttribute('aria-rowindex')"), "8");
    page.press("Home");
    page.press("ArrowDown");
    assert_eq!(page.text("document.activeElement.getAttribute('aria-rowindex')"), "2");
    page.press("Enter");
    page.wait(IS_OPEN);
    page.press("Escape");
    page.wait(&format!("!{IS_OPEN}"));
    assert_eq!(page.text("document.activeElement.getAttribute('aria-rowindex')"), "2");
}

#[test]
fn colours_follow_the_system_until_the_button_is_pressed() {
    let Some(mut page) = open(&good(), "") else { return };
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = page.text(paper);
    page.prefer("dark");
    let dark = page.text(paper);
    assert_ne!(light, dark);
    page.click("#theme");
    assert_eq!(page.text(paper), light);
    page.click("#theme");
    assert_eq!(page.text(paper), dark);
}

#[test]
fn a_narrow_window_scrolls_in_one_direction_only() {
    let Some(mut page) = open(&bad(), "") else { return };
    page.resize(400, 800);
    for tab in ["answers", "matrix", "compare", "coverage", "run"] {
        page.click(&format!("#tab-{tab}"));
        assert_eq!(page.eval("document.documentElement.scrollWidth > innerWidth"), false, "{tab}");
    }
}

#[test]
fn on_paper_the_answers_are_shown_and_the_rest_on_request() {
    let Some(mut page) = open(&good(), "") else { return };
    page.call("Emulation.setEmulatedMedia", &serde_json::json!({ "media": "print" }));
    let shown = page.text("document.querySelector('main').innerText");
    assert!(shown.contains("Which system is safest?"), "{shown}");
    assert!(!shown.contains("The matrix") && !shown.contains("Coverage certificate"), "{shown}");
    page.eval("window.print = () => dispatchEvent(new Event('beforeprint'))");
    page.click("#print-all");
    assert!(page.eval("document.querySelectorAll('#grid [data-cell]').length").as_u64() > Some(0));
    let shown = page.text("document.querySelector('main').innerText");
    for part in ["The matrix", "Coverage certificate", "Verdicts"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("How to filter") && !shown.contains("Two runs"), "{shown}");
    page.eval("dispatchEvent(new Event('afterprint'))");
    assert!(!page.text("document.querySelector('main').innerText").contains("The matrix"));
}
