//! The page in a real browser: what it shows, how it is operated, and that no text can do anything in it.

use intact_harness::report::{Report, html};
use intact_harness::results::Results;
use serde::Deserialize;
use serde_json::json;

use super::browser::Page;
use super::sample::{HOSTILE, bad, good};

pub(crate) fn open(results: &Results, fragment: &str) -> Option<Page> {
    Page::open(&html(&Report::of(results)).expect("rendered"), fragment)
}

const CELL: &str = "cell=engine%2Fllama%2Freader_kv%3Dq8_0";
const DRAWER: &str = "document.getElementById('drawer').innerText";
const IS_OPEN: &str = "document.getElementById('drawer').open";
const COUNT: &str = "document.getElementById('count').textContent";

#[test]
fn the_first_screen_answers_four_questions() {
    let Some(mut page) = open(&good(), "") else { return };
    let shown = page.text("document.querySelector('main').innerText");
    for words in [
        "Did saved chat sessions come back intact?",
        "Yes.",
        "Can I upgrade?",
        "Can I roll back?",
        "What got worse?",
        "Which system is safest?",
        "intact (0.6.0): 0 of 3 loads silently wrong or harmful, 1 lost but told",
        "llama.cpp, unchecked",
        "silently wrong, or does harm",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(!shown.contains("Coverage certificate"), "parts behind other tabs are not shown");
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn the_matrix_has_a_tile_for_every_cell() {
    let Some(mut page) = open(&good(), "tab=matrix") else { return };
    assert_eq!(page.eval("document.querySelectorAll('#grid [data-cell]').length"), 7);
    let labels = page.text("[...document.querySelectorAll('#grid [data-cell]')].map((tile) => tile.getAttribute('aria-label')).join()");
    assert!(
        labels.contains("refused-destructive: llama.cpp, unchecked"),
        "a verdict is a word, not only a colour: {labels}"
    );
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn an_address_opens_the_drawer_of_its_cell() {
    let Some(mut page) = open(&good(), CELL) else { return };
    page.wait(IS_OPEN);
    let drawer = page.text(DRAWER);
    for part in [
        "recomputed",
        "engine/llama/reader_kv=q8_0",
        "212 tokens were evaluated again",
        "Values of another type cannot be copied.",
        "llama.cpp, unchecked: refused-destructive",
        "The saved parameters are in force.",
        "the farthest is token 2 with not a number",
        "intact run -E 'id(engine/llama/reader_kv=q8_0)'",
    ] {
        assert!(drawer.contains(part), "{part} in {drawer}");
    }
    assert_eq!(page.eval("document.querySelectorAll('#drawer .plot .bar').length"), 3);
    assert_eq!(page.eval("document.querySelectorAll('#drawer .plot .bar.broken').length"), 1);
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn a_filter_is_written_into_the_address_and_read_from_it() {
    let Some(mut page) = open(&good(), "tab=matrix") else { return };
    page.eval("document.getElementById('filter').focus()");
    page.write("subject(engine) & fault(image-flip)");
    page.wait(&format!("{COUNT} === '1 of 7 cells'"));
    let hash = page.text("location.hash");
    page.visit("tab=claims");
    page.visit(hash.trim_start_matches('#'));
    assert_eq!(page.text(COUNT), "1 of 7 cells");
    assert_eq!(page.text("document.getElementById('filter').value"), "subject(engine) & fault(image-flip)");
}

#[test]
fn a_filter_that_cannot_be_read_says_where_and_keeps_what_was_shown() {
    let Some(mut page) = open(&good(), "tab=matrix&q=modle(llama)") else { return };
    let fault = "document.getElementById('filter-fault').textContent";
    assert_eq!(page.text(fault), "modle(llama)\n^ there is no dimension `modle`; did you mean `model`?");
    assert_eq!(page.text(COUNT), "7 cells");
    assert_eq!(page.text("document.getElementById('filter').getAttribute('aria-invalid')"), "true");
    page.eval("document.getElementById('filter').focus()");
    page.write(" & kv(");
    page.wait(&format!("{fault}.includes('expected `)`')"));
}

#[test]
fn a_value_that_no_cell_has_is_met_with_the_one_that_was_meant() {
    let Some(mut page) = open(&good(), "tab=matrix&q=!verdict(exact) %26 model(lama)") else { return };
    let fault = page.text("document.getElementById('filter-fault').textContent");
    assert!(fault.ends_with("^ no cell has model `lama`; did you mean `llama`?"), "{fault}");
    assert_eq!(page.text(COUNT), "7 cells", "what was shown stays");
    page.visit("tab=matrix&q=verdict(corupt)");
    let fault = page.text("document.getElementById('filter-fault').textContent");
    assert!(fault.contains("did you mean `corrupt`?"), "{fault}");
    page.visit("tab=matrix&q=verdict(hung)");
    assert_eq!(page.text(COUNT), "0 of 7 cells", "a verdict that no cell has is one all the same");
}

#[test]
fn words_are_looked_for_without_any_language() {
    let Some(mut page) = open(&good(), "tab=matrix&q=corrupt") else { return };
    assert_eq!(page.text(COUNT), "1 of 7 cells");
    for (words, count) in
        [("Q8_0%20llama", "2 of 7 cells"), ("unchecked", "3 of 7 cells"), ("nowhere", "0 of 7 cells")]
    {
        page.visit(&format!("tab=matrix&q={words}"));
        assert_eq!(page.text(COUNT), count, "{words}");
    }
    assert_eq!(page.eval("document.getElementById('filter-fault').hidden"), true);
}

#[test]
fn dimensions_at_their_base_are_folded_away() {
    let Some(mut page) = open(&good(), CELL) else { return };
    page.wait(IS_OPEN);
    let shown = page.text(DRAWER);
    assert!(shown.contains("at the base value, or without a base") && shown.contains("reader_kv"), "{shown}");
    assert!(!shown.contains("mamba2") && !shown.contains("family"), "{shown}");
}

#[test]
fn the_drawer_has_room_for_its_figures_in_a_narrow_window() {
    let Some(mut page) = open(&good(), CELL) else { return };
    page.resize(400, 800);
    page.wait(IS_OPEN);
    let widths = page.eval("Math.min(...[...document.querySelectorAll('#drawer dd')].filter((dd) => dd.checkVisibility()).map((dd) => dd.clientWidth))");
    assert!(widths.as_f64() > Some(150.0), "{widths} pixels for a value");
    assert_eq!(page.eval("document.getElementById('drawer').scrollWidth > 400"), false);
}

#[test]
fn heads_of_a_long_table_stay_in_sight_and_another_part_starts_at_its_top() {
    let mut results = good();
    for copy in 0..120 {
        let mut cell = results.cells[1].clone();
        cell.id = format!("{}/copy={copy}", cell.id);
        cell.dims.insert("copy".into(), copy.to_string());
        results.cells.push(cell);
    }
    let Some(mut page) = open(&results, "tab=matrix&rows=copy") else { return };
    let top = "document.querySelector('#grid thead th').getBoundingClientRect().top";
    page.eval("document.querySelector('#grid .scroll').scrollTop = 2000");
    page.wait("document.querySelector('#grid .scroll').scrollTop > 500");
    let (head, table) =
        (page.eval(top), page.eval("document.querySelector('#grid .scroll').getBoundingClientRect().top"));
    assert!(
        (head.as_f64().expect("a number") - table.as_f64().expect("a number")).abs() < 3.0,
        "{head} {table}"
    );
    page.eval("scrollTo(0, 400)");
    page.click("#tab-run");
    assert_eq!(page.eval("scrollY"), 0);
}

/// The cases that the command line's reader of the language passes too.
#[derive(Deserialize)]
struct Cases {
    cell: Vec<serde_json::Value>,
    refuses: serde_json::Value,
}

#[test]
fn the_page_and_the_command_line_read_one_filter_language() {
    let Some(mut page) = open(&good(), "") else { return };
    let cases: Cases = toml::from_str(include_str!("../../../fixtures/filters.toml")).expect("cases");
    let cells = json!(cases.cell);
    let wrong = page.eval(&format!(
        "{cells}.flatMap(({{ selects, dims, ...known }}) => selects.filter(([text, expected]) => {{
            const values = {{ ...dims, ...known }};
            const column = (name, test) => (values[name] === undefined ? null : () => test(values[name]));
            return Filter.compile(Filter.parse(text), column)() !== expected;
        }}).map(([text]) => text))"
    ));
    assert_eq!(wrong, json!([]), "selected otherwise than the table says");
    let refuses = &cases.refuses;
    let wrong = page.eval(&format!(
        "Object.entries({refuses}).filter(([text, [column, message]]) => {{
            try {{ Filter.parse(text); return true; }} catch (fault) {{
                return [...text.slice(0, fault.position)].length !== column || !fault.message.includes(message);
            }}
        }})"
    ));
    assert_eq!(wrong, json!([]), "refused otherwise than the table says");
}

#[test]
fn the_list_shows_the_worst_cells_first() {
    let Some(mut page) = open(&bad(), "tab=matrix&shape=list") else { return };
    let first = page.text("document.querySelector('.row').innerText");
    assert!(first.contains("corrupt") && first.contains("unexpected"), "{first}");
    let verdicts = page.eval("[...document.querySelectorAll('.row b')].map((name) => name.textContent)");
    let order = [
        "corrupt",
        "corrupt",
        "refused-destructive",
        "refused",
        "recomputed",
        "exact",
        "exact",
        "unsupported",
    ];
    assert_eq!(verdicts, json!(order), "unexpected ones first, then by severity");
    page.click(".row");
    page.wait(IS_OPEN);
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    // As the page has it: what acts on a reader is no part of it.
    let cell = format!("engine/{HOSTILE}").replace('\u{1b}', "\u{fffd}");
    let encoded: String = cell.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let Some(mut page) = open(&bad(), &format!("cell={encoded}")) else { return };
    page.wait(IS_OPEN);
    let drawer = page.text(DRAWER);
    assert!(drawer.contains("<img src=x onerror=alert(1)>"), "{drawer}");
    assert!(drawer.contains("Unexpected: this cell should have been exact or equivalent"), "{drawer}");
    for tab in ["matrix", "coverage", "run", "answers"] {
        page.click("#drawer .drawer-bar button:last-child");
        page.click(&format!("#tab-{tab}"));
    }
    assert!(page.text("document.title").starts_with("No."), "the page's own title");
    assert_eq!(page.eval("document.querySelectorAll('img').length"), 0, "no element came out of text");
    assert_eq!(page.eval("document.scripts.length"), 3, "the two documents and the page's script");
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn a_script_that_got_into_the_page_could_not_run() {
    let rendered = html(&Report::of(&good())).expect("rendered");
    let planted = rendered.replace("</main>", "<script>document.title = 'owned'</script><b onclick=\"document.title = 'owned'\" id=planted></b></main>");
    let Some(mut page) = Page::open(&planted, "") else { return };
    page.click("#planted");
    assert!(page.text("document.title").starts_with("Yes."));
    assert!(
        page.console().iter().any(|line| line.contains("Content Security Policy")),
        "{:?}",
        page.console()
    );
}
