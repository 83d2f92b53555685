//! A page of twenty thousand cells: how large it is, how much of it is in the document, and how soon it can be used.

use std::path::Path;

use intact_harness::report::{Report, html};
use intact_harness::results::{Cell, Counts, Results};

use super::browser::Page;
use super::sample::good;

const CELLS: usize = 20_000;
/// Bytes that a page of so many cells may have.
const LARGEST: usize = 15 << 20;
/// Elements that the matrix may be made of at first: a browser lays out many more in a second.
const ELEMENTS: u64 = 12_000;

/// The cells of a run again and again, each time in other places of the matrix and with other figures.
fn multiplied(results: &Results) -> Results {
    let copies = CELLS.div_ceil(results.cells.len());
    let copy = |copy: usize| results.cells.iter().map(move |cell| copied(cell, copy));
    let cells: Vec<Cell> = (0..copies).flat_map(copy).take(CELLS).collect();
    Results { counts: Counts::of(&cells), cells, ..results.clone() }
}

fn copied(cell: &Cell, copy: usize) -> Cell {
    let mut cell = cell.clone();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let other = 1.0 + copy as f64 / 977.0;
    cell.id = format!("{},copy={copy}", cell.id);
    cell.dims.insert("copy".into(), copy.to_string());
    cell.message = format!("{} ({copy})", cell.message);
    cell.seconds *= other;
    for distance in [&mut cell.nmse, &mut cell.kl].into_iter().flatten() {
        *distance *= other;
    }
    if let Some(receipt) = &mut cell.receipt {
        receipt.timings.steps.values_mut().for_each(|seconds| *seconds *= other);
        receipt.notes.iter_mut().for_each(|note| note.push_str(&format!(" ({copy})")));
    }
    cell.reproduce = format!("intact run -E 'id({})'", cell.id);
    cell
}

#[test]
fn twenty_thousand_cells_make_a_page_that_is_small_and_light() {
    let results = multiplied(&good());
    let page = html(&Report::of(&results)).expect("rendered");
    assert!(page.len() < LARGEST, "{} bytes", page.len());
    let Some(mut page) = Page::open(&page, "tab=matrix") else { return };
    let elements = page.eval("document.querySelectorAll('*').length").as_u64().expect("a number");
    assert!(elements < ELEMENTS, "{elements} elements");
    page.click(".shapes button:last-child");
    assert!(
        page.eval("document.querySelectorAll('.row').length").as_u64() < Some(100),
        "rows beyond the screen"
    );
    page.eval("document.getElementById('list').scrollTop = 500 * 56");
    page.wait("document.querySelector('.row[aria-rowindex=\"501\"]')");
}

/// `INTACT_RESULTS=DIR/results.json cargo test -p intact-harness --test reports -- --ignored --nocapture twenty`
#[test]
#[ignore = "prints how long a page of twenty thousand cells takes"]
fn measure_a_page_of_twenty_thousand_cells() {
    let results = std::env::var_os("INTACT_RESULTS")
        .map_or_else(good, |file| Results::read(Path::new(&file)).expect("a results file"));
    let results = multiplied(&results);
    let started = std::time::Instant::now();
    let rendered = html(&Report::of(&results)).expect("rendered");
    println!("{CELLS} cells: {} bytes, rendered in {:.2?}", rendered.len(), started.elapsed());
    let Some(mut page) = Page::blank(&rendered) else { return };
    let changed = |filter: &str| {
        format!(
            "(() => {{ const from = performance.now(); const box = document.getElementById('filter'); box.value = '{filter}'; \
             box.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - from; }})()"
        )
    };
    for (name, fragment) in
        [("first screen", ""), ("matrix", "tab=matrix"), ("list", "tab=matrix&shape=list")]
    {
        for turn in 1..=3 {
            page.visit("tab=run");
            page.call("Page.reload", &serde_json::json!({}));
            page.visit(fragment);
            page.call("Page.reload", &serde_json::json!({}));
            page.wait("document.documentElement.dataset.ready !== undefined");
            let interactive = page.eval("performance.getEntriesByName('interactive')[0].startTime");
            println!("{name}, {turn}: interactive after {interactive} ms");
        }
    }
    for filter in ["subject(engine) & !verdict(exact)", "id(/copy=[0-9]*7$/)", ""] {
        println!("filter {filter:?}: {} ms", page.eval(&changed(filter)));
    }
    let opened = "(async () => { const from = performance.now(); location.hash = 'cell=' + encodeURIComponent(document.querySelector('.row code').textContent); \
                  while (!document.getElementById('drawer').open) await new Promise(requestAnimationFrame); return performance.now() - from; })()";
    println!("drawer: {} ms", page.eval(opened));
}
