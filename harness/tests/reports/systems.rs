//! Systems side by side: what a run of several systems shows of each.

use intact_harness::report::{Report, markdown};
use intact_harness::results::{Cell, Part, PropertyAnswer, PropertyResult, Results, SubjectInfo, SystemInfo};
use intact_harness::verdict::Verdict;
use intact_protocol::Oracle;

use super::page::open;
use super::sample::{axis, cell, of, subject};

/// Two versions of another system, one that is not there, and the engine, which adopts.
pub(crate) fn peers() -> Results {
    let mut results = of(
        vec![
            load("node@1", "node@1", "load", Verdict::Exact),
            load("node@1", "node@2", "load", Verdict::Corrupt),
            load("engine", "engine", "load", Verdict::Exact),
            load("node@1", "engine", "adopt", Verdict::Equivalent),
        ],
        Vec::new(),
    );
    let version = |name: &str, there: bool| SystemInfo {
        name: name.into(),
        command: Vec::new(),
        hello: subject(name, Part::Judged).hello.filter(|_| there),
        problem: (!there).then(|| format!("it is not installed: `intact subjects add {name}`")),
    };
    let systems = vec![version("node@1", true), version("node@2", true), version("node@3", false)];
    results.subjects.insert(0, SubjectInfo { systems, ..subject("node", Part::Judged) });
    for (name, values) in [
        ("kv", &["f16"][..]),
        ("reader", &["node@1", "node@2", "node@3", "engine", "blind"]),
        ("writer", &["same", "node@1", "node@2", "node@3", "engine", "blind"]),
        ("operation", &["load", "adopt"]),
    ] {
        results.plan.axes.push(axis(name, "An axis", values));
    }
    let answer = |system: &str, answer: &str, safe, cell: &Cell| PropertyAnswer {
        system: system.into(),
        answer: answer.into(),
        safe,
        cells: vec![cell.id.clone()],
    };
    results.properties = vec![PropertyResult {
        name: "restores".into(),
        question: "Does a saved session come back?".into(),
        answers: vec![
            answer("node@1", "yes, bit for bit", true, &results.cells[0]),
            answer("node@2", "no: the output is wrong", false, &results.cells[1]),
            answer("engine", "yes, bit for bit", true, &results.cells[2]),
        ],
    }];
    results
}

fn load(writer: &str, reader: &str, operation: &str, verdict: Verdict) -> Cell {
    let name = reader.split('@').next().unwrap_or(reader);
    let dims = [("kv", "f16"), ("writer", writer), ("reader", reader), ("operation", operation)];
    let oracle = if name == "node" { Oracle::Probabilities } else { Oracle::Logits };
    Cell {
        oracle: Some(oracle),
        saved_bytes: Some(482_000),
        load_seconds: Some(0.0123),
        ..cell(name, "llama", &dims, verdict)
    }
}

#[test]
fn the_markdown_of_systems_side_by_side() {
    let told = markdown(&Report::of(&peers()));
    let start = told.find("## Systems side by side").expect("the section");
    let end = told[start + 3..].find("\n## ").map_or(told.len(), |end| start + 3 + end);
    insta::assert_snapshot!(&told[start..end]);
}

#[test]
fn the_page_shows_systems_side_by_side_and_opens_the_cell_behind_an_answer() {
    let Some(mut page) = open(&peers(), "tab=systems") else { return };
    let shown = page.text("document.getElementById('part-systems').innerText");
    for words in [
        "Does a saved session come back?",
        "no: the output is wrong",
        "intact, adopting",
        "12.3 ms",
        "probabilities",
        "Not here",
        "intact subjects add node@3",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let (tone, twin) = (
        page.text("document.querySelectorAll('#part-systems details')[2].querySelector('.tile').className"),
        page.text("document.querySelector('.readers .tile[class*=bad]').className"),
    );
    assert_eq!(tone, twin, "a verdict looks the same wherever it is shown");
    let safe = page.text("document.querySelector('#part-systems tr.total').innerText");
    assert!(safe.contains("1 of 1") && safe.contains("0 of 1"), "{safe}");
    page.eval("document.querySelectorAll('#part-systems details')[2].open = true");
    page.click("#part-systems details[open] a.cell");
    page.wait("document.getElementById('drawer').open");
    let drawer = page.text("document.getElementById('drawer').innerText");
    assert!(drawer.contains("corrupt") && drawer.contains("intact run -E"), "{drawer}");
    assert_eq!(page.console(), [""; 0]);
}

#[test]
fn a_run_of_this_system_alone_has_no_such_part() {
    let told = markdown(&Report::of(&super::sample::good()));
    assert!(!told.contains("side by side"), "{told}");
}
