//! Tables of made-up runs, and that the page says of every way what the table answers.

use intact_format::passport::Passport;

use super::{Badge, End, Kept, Outcome, Question, Table, TableError};
use crate::report::tests::{base, cell};
use crate::results::{AxisInfo, Results};
use crate::verdict::Verdict;

/// Releases of which there are session files in the fixtures.
const RELEASES: [&str; 3] = ["b5686", "b8233", "0.6.0"];

/// A run over three releases: sessions of intact cross, and llama.cpp's own files do not cross to the last one.
fn run() -> Results {
    let ways = RELEASES.iter().flat_map(|from| RELEASES.map(|to| (*from, to)));
    let mut cells: Vec<_> = ways
        .flat_map(|(from, to)| {
            let crosses_last = from != to && (from == "0.6.0" || to == "0.6.0");
            let dims = |kv| [("writer", from), ("reader", to), ("kv", kv)];
            let files = if crosses_last { Verdict::Corrupt } else { Verdict::Exact };
            let quantized = if crosses_last { Verdict::Recomputed } else { Verdict::Exact };
            let mut own =
                cell("blind", &[("writer", from), ("reader", to), ("container", "sequence-file")], files);
            own.message = if crosses_last { "other <b>tokens</b> follow".into() } else { String::new() };
            [cell("engine", &dims("f16"), Verdict::Equivalent), cell("engine", &dims("q8_0"), quantized), own]
        })
        .collect();
    // None of these says anything of a way between releases.
    cells.push(cell(
        "engine",
        &[("writer", "b5686"), ("reader", "0.6.0"), ("flash", "off")],
        Verdict::Corrupt,
    ));
    cells.push(cell("engine", &[("writer", "b5686"), ("reader", "b8233")], Verdict::NotRun));
    cells.push(cell("node", &[("writer", "node@1.0.0"), ("reader", "node@2.0.0")], Verdict::Corrupt));
    let mut results = base(cells);
    let releases = RELEASES.map(str::to_owned).to_vec();
    let containers = vec!["sequence-file".to_owned()];
    for (name, values) in [("reader", releases.clone()), ("writer", releases), ("container", containers)] {
        results.plan.axes.push(AxisInfo { name: name.into(), about: String::new(), values });
    }
    results
}

fn table() -> Table {
    Table::of(&[run()]).expect("a table")
}

fn question<'a>(kept: Kept, from: &'a str, to: &'a str) -> Question<'a> {
    Question { kept, from, to, kv: None, kind: None }
}

#[test]
fn an_answer_is_the_worst_of_what_was_tried_and_names_its_cells() {
    let table = table();
    assert_eq!(table.releases, ["b5686", "b8233", "0.6.0"], "oldest first");
    assert_eq!((table.kv_types.join(" "), table.kinds.join(" ")), ("f16 q8_0".into(), "plain".into()));
    let all = table.answer(&question(Kept::Session, "b5686", "0.6.0"));
    assert_eq!((all.outcome, all.cells.len(), all.of_it), (Some(Outcome::EvaluatedAgain), 2, 1));
    assert_eq!(
        all.words(),
        "Yes, they come back, and their tokens are evaluated again for that (1 of them): 2 sessions were tried."
    );
    let f16 = table.answer(&Question { kv: Some("f16"), ..question(Kept::Session, "b5686", "0.6.0") });
    assert_eq!(f16.words(), "Yes, they come back as they were: 1 session was tried.");
    let files = table.answer(&question(Kept::SequenceFile, "b8233", "0.6.0"));
    assert_eq!((files.outcome, files.said), (Some(Outcome::Wrong), "other <b>tokens</b> follow"));
    for (kept, from, kv) in
        [(Kept::RawSequence, "b8233", "f16"), (Kept::Session, "b1", "f16"), (Kept::Session, "b8233", "q4_0")]
    {
        let answer = table.answer(&Question { kv: Some(kv), ..question(kept, from, "0.6.0") });
        assert_eq!((answer.outcome, answer.cells.len()), (None, 0));
        assert!(answer.words().starts_with("Not known"), "{}", answer.words());
    }
}

#[test]
fn how_far_back_is_counted_from_cells_and_ends_where_nothing_is_known() {
    let of = |table: &Table, kept, release: &str| {
        let found = table.guarantees.iter().find(|one| (one.kept, one.release.as_str()) == (kept, release));
        found.cloned().expect("a guarantee")
    };
    let table = table();
    let newest = of(&table, Kept::Session, "0.6.0");
    assert_eq!((newest.reads_back, newest.oldest.as_deref(), newest.cells), (2, Some("b5686"), 4));
    assert_eq!(newest.words, "reads 2 releases back, to b5686: all that the table has");
    let files = of(&table, Kept::SequenceFile, "0.6.0");
    assert_eq!((files.reads_back, files.back_ends), (0, End::Lost));
    assert_eq!(
        of(&table, Kept::SequenceFile, "b8233").words,
        "reads 1 release back, to b5686: all that the table has"
    );
    assert_eq!(
        of(&table, Kept::Session, "b5686").words,
        "the oldest of the table; read by the next 2 releases"
    );

    let mut gap = run();
    gap.cells
        .retain(|cell| (cell.dims["writer"].as_str(), cell.dims["reader"].as_str()) != ("b5686", "0.6.0"));
    let gap = Table::of(&[gap]).expect("a table");
    let newest = of(&gap, Kept::Session, "0.6.0");
    assert_eq!((newest.reads_back, newest.back_ends), (1, End::Unknown));
    assert_eq!(newest.words, "reads 1 release back, to b8233: nothing is known of the one before that");
}

#[test]
fn badges_say_what_was_counted() {
    let badge = |kept| table().badge(kept);
    let Badge { message, color, .. } = badge(Kept::Session).expect("a badge");
    assert_eq!((message.as_str(), color.as_str()), ("0.6.0 reads 2 releases back", "green"));
    let Badge { message, color, .. } = badge(Kept::SequenceFile).expect("a badge");
    assert_eq!((message.as_str(), color.as_str()), ("0.6.0 reads no release back", "red"));
    assert_eq!(badge(Kept::RawSequence), None);
}

/// The document is what it was, word for word.
#[test]
fn the_document_is_what_machines_read() {
    let mut small = run();
    small.cells.retain(|cell| cell.dims["writer"] == "b8233" && cell.dims["reader"] == "0.6.0");
    let table = Table::of(&[small]).expect("a table");
    insta::assert_snapshot!(table.json().expect("JSON"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("compat.json");
    std::fs::write(&file, table.json().expect("JSON")).expect("written");
    assert_eq!(Table::read(&file).expect("read back"), table);
    std::fs::write(&file, "{}").expect("written");
    assert!(matches!(Table::read(&file), Err(TableError::Malformed { .. })));
    assert!(matches!(Table::of(&[base(Vec::new())]), Err(TableError::Empty)));
}

/// What `check --tag` cites, and what the page has for it to choose, are one answer, for every way of the table.
#[test]
fn the_page_says_of_every_way_what_a_check_cites() {
    let table = table();
    let page = table.page().expect("a page");
    assert!(!page.contains("<b>"), "what was said is text");
    let data =
        page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>")).expect("data").0;
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    let words = |key: &str| match data["answers"][key]["words"].as_u64() {
        Some(place) => {
            data["texts"][usize::try_from(place).expect("small")].as_str().expect("a text").to_owned()
        }
        None => data["unknown"].as_str().expect("a text").to_owned(),
    };
    let mut ways = 0;
    for from in RELEASES {
        for to in RELEASES {
            for kv in ["f16", "q8_0", "q4_0"] {
                let cited = table.cited(&passport(from, kv), to);
                let said = words(&format!("session|{from}|{to}|{kv}|plain"));
                assert!(
                    cited.contains(&format!("{from} to {to}, {kv}, models of kind plain: {said}")),
                    "{cited}"
                );
                ways += 1;
            }
        }
    }
    assert_eq!(ways, 27);
    // A release is the same under its other name.
    assert_eq!(
        table.cited(&passport("v0.6.0", "f16"), "b8233"),
        table.cited(&passport("0.6.0", "f16"), "b8233")
    );
}

/// The passport of a session file of the fixtures, as if another release and type had saved it.
fn passport(release: &str, kv: &str) -> Passport {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/golden/releases/b5686/q8_0.json");
    let document = std::fs::read(file).expect("a fixture");
    let read = intact_format::session::read(&document, intact_format::version::FormatVersion::CURRENT);
    let mut passport = read.expect("a session").document.passport.expect("a passport");
    release.clone_into(&mut passport.release);
    passport.cache.type_k = kv.parse().expect("a type");
    passport.cache.type_v = passport.cache.type_k;
    passport
}
