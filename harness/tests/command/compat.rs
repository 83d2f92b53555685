//! `compat`, and what `check --tag` cites of its table.

use std::fs;

use intact_harness::verdict::Verdict;

use super::cli::{golden_session, intact};

#[path = "../reports/sample.rs"]
#[expect(dead_code, reason = "it is a sample of other tests too")]
mod sample;

use sample::{axis, cell, of};

const RELEASES: [&str; 3] = ["b5686", "b8233", "0.6.0"];

fn run(folder: &std::path::Path) {
    let mut cells = Vec::new();
    for from in RELEASES {
        for to in RELEASES {
            let verdict = if from == to { Verdict::Exact } else { Verdict::Recomputed };
            let mut cell =
                cell("engine", "llama", &[("writer", from), ("reader", to), ("kv", "q8_0")], verdict);
            cell.dims.insert("family".into(), "plain".into());
            cells.push(cell);
        }
    }
    let mut results = of(cells, Vec::new());
    results.plan.axes.extend([axis("reader", "", &RELEASES), axis("writer", "", &RELEASES)]);
    results.write(&folder.join("results.json")).expect("written");
}

/// What the page says of every way from the release of a session file is what a check of that file cites.
#[test]
fn a_check_cites_what_the_page_answers_for_every_release() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path());
    let text = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let said = intact(["compat", &text("."), "--out", &text("compat")]);
    assert_eq!(said.code, 0, "{}", said.err);
    let promised = "sessions of intact, 0.6.0: reads 2 releases back, to b5686: all that the table has";
    assert!(said.out.contains(promised), "{}", said.out);
    let badge = fs::read_to_string(folder.path().join("compat/badge.json")).expect("a badge");
    assert!(badge.contains("\"message\": \"0.6.0 reads 2 releases back\""), "{badge}");
    let page = fs::read_to_string(folder.path().join("compat/index.html")).expect("a page");
    let data =
        page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>")).expect("data").0;
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");

    let session = golden_session(folder.path(), "chat");
    let session = session.to_str().expect("UTF-8");
    for to in RELEASES {
        let answer = &data["answers"][format!("session|b5686|{to}|q8_0|plain")];
        let place = usize::try_from(answer["words"].as_u64().expect("an answer")).expect("small");
        let words = data["texts"][place].as_str().expect("a text");
        let said = intact(["check", session, "--tag", to, "--table", &text("compat/compat.json")]);
        let cited = format!("what was tried, b5686 to {to}, q8_0, models of kind plain: {words}");
        assert!(said.out.contains(&cited), "{cited}: {}{}", said.out, said.err);
    }
    let none = intact(["check", session, "--tag", "b8233", "--table", session]);
    assert_eq!(none.code, 96, "{}", none.out);
    assert!(none.err.contains("is not a compatibility table of version 1"), "{}", none.err);
}

#[test]
fn what_is_somebody_elses_is_not_replaced_and_a_run_without_releases_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path());
    let text = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::create_dir(folder.path().join("compat")).expect("a folder");
    fs::write(folder.path().join("compat/index.html"), "mine").expect("written");
    let said = intact(["compat", &text("."), "--out", &text("compat")]);
    assert_eq!(said.code, 96, "{}", said.out);
    assert_eq!(fs::read_to_string(folder.path().join("compat/index.html")).expect("read"), "mine");
    sample::good().write(&folder.path().join("results.json")).expect("written");
    let said = intact(["compat", &text("."), "--out", &text("other")]);
    assert_eq!(said.code, 101, "{}", said.out);
    assert!(said.err.contains("intact run --plan release"), "{}", said.err);
}
