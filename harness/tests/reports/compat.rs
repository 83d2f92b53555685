//! The page "will my sessions survive" in a real browser: what it answers for every way, and how it looks.

use intact_harness::compat::{Kept, Question, Table};
use intact_harness::results::Results;
use intact_harness::verdict::Verdict;
use serde_json::{Value, json};

use super::access::nothing_serious_on;
use super::browser::Page;
use super::sample::{HOSTILE, axis, cell, of};

const RELEASES: [&str; 4] = ["b5686", "b8233", "b9842", "0.6.0"];

/// Sessions of intact cross everywhere, those of one kind are evaluated again on a way; files break at the last release.
fn run() -> Results {
    let mut cells = Vec::new();
    for from in RELEASES {
        for to in RELEASES {
            for (model, kv) in [("llama", "f16"), ("llama", "q8_0"), ("mamba2", "f16")] {
                let again = model == "mamba2" && from == "b8233";
                let verdict = if again { Verdict::Recomputed } else { Verdict::Exact };
                cells.push(cell("engine", model, &[("writer", from), ("reader", to), ("kv", kv)], verdict));
            }
            let is_broken = from != to && [from, to].contains(&"0.6.0");
            let verdict = if is_broken { Verdict::Corrupt } else { Verdict::Exact };
            let dims = [("writer", from), ("reader", to), ("kv", "f16"), ("container", "sequence-file")];
            let mut file = cell("blind", "llama", &dims, verdict);
            file.message = HOSTILE.to_owned();
            cells.push(file);
        }
    }
    let mut results = of(cells, Vec::new());
    results.plan.axes.extend([
        axis("reader", "", &RELEASES),
        axis("writer", "", &RELEASES),
        axis("container", "", &["sequence-file"]),
    ]);
    results
}

fn table() -> Table {
    Table::of(&[run()]).expect("a table")
}

fn open(fragment: &str) -> Option<Page> {
    Page::open(&table().page().expect("a page"), fragment)
}

#[test]
fn the_page_answers_every_way_as_the_table_does() {
    let table = table();
    let Some(mut page) = open("") else { return };
    let choices: Vec<Value> = ["kept", "from", "to", "kv", "kind"]
        .map(|name| {
            page.eval(&format!("[...document.getElementById('{name}').options].map((one) => one.value)"))
        })
        .into();
    let all = page.eval(&format!(
        "(() => {{ const all = []; const at = (id) => document.getElementById(id); const [kepts, froms, tos, kvs, kinds] = {}; \
         for (const kept of kepts) for (const from of froms) for (const to of tos) for (const kv of kvs) for (const kind of kinds) {{ \
         Object.entries({{ kept, from, to, kv, kind }}).forEach(([id, value]) => {{ at(id).value = value; }}); \
         at('ask').dispatchEvent(new Event('change')); \
         all.push([kept, from, to, kv, kind, at('words').textContent, [...at('cells').children].map((one) => one.textContent)]); \
         }} return all; }})()",
        json!(choices)
    ));
    let Value::Array(all) = all else { panic!("{all}") };
    assert_eq!(all.len(), 2 * 4 * 4 * 3 * 3, "every choice of every list");
    for one in &all {
        let text = |at: usize| one[at].as_str().expect("a text");
        let any = |at: usize| Some(text(at)).filter(|word| !word.is_empty());
        let kept = Kept::ALL.into_iter().find(|kept| kept.name() == text(0)).expect("kept");
        let question = Question { kept, from: text(1), to: text(2), kv: any(3), kind: any(4) };
        let answer = table.answer(&question);
        assert_eq!(text(5), answer.words(), "{question:?}");
        let cells: Vec<&str> = answer.cells.iter().map(|id| id.cell.as_str()).collect();
        assert_eq!(one[6], json!(cells), "{question:?}");
    }
    // Nobody chooses so fast, and the browser says so.
    assert!(page.console().iter().all(|line| line.contains("Throttling navigation")), "{:?}", page.console());
}

#[test]
fn what_is_chosen_is_in_the_address_and_a_tile_chooses_its_way() {
    let Some(mut page) = open("kept=sequence-file&from=b8233&to=0.6.0&kv=f16") else { return };
    let answer = page.text("document.getElementById('answer').innerText");
    assert!(answer.contains("No: they come back wrong and nobody is told"), "{answer}");
    assert!(answer.contains("onerror=alert(1)"), "what was said is text: {answer}");
    assert_eq!(page.text("document.title"), "Will my sessions survive? · intact");
    page.click("#grid tbody tr:nth-child(1) td:nth-of-type(2) button");
    let address = page.text("location.hash");
    assert!(address.contains("from=b5686&to=b8233"), "{address}");
    assert!(page.text("document.getElementById('words').textContent").starts_with("Yes"));
    let promises = page.text("document.querySelector('.promises').innerText");
    assert!(promises.contains("0.6.0 reads 3 releases back, to b5686: all that the table has"), "{promises}");
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn the_page_is_for_everybody_and_fits_its_window() {
    let html = table().page().expect("a page");
    nothing_serious_on(&html, &["", "kept=sequence-file&from=b8233&to=0.6.0"]);
    for width in [1280, 400] {
        let Some(mut page) = Page::open(&html, "") else { return };
        page.resize(width, 900);
        assert_eq!(
            page.eval("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
            true,
            "at {width}"
        );
    }
}
