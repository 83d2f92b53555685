use super::*;
use crate::perf::row::Operation;

fn entry(seconds: f64, cpu: &str) -> Entry {
    let row = Row { model: "llama".into(), kv: "f16".into(), tokens: 512, operation: Operation::LoadDirect };
    Entry {
        version: ENTRY_VERSION,
        recorded: "2026-01-01T00:00:00Z".into(),
        environment: Environment { cpu: Some(cpu.into()), ..crate::environment::here() },
        release: "b1".into(),
        subject: "1".into(),
        commit: None,
        rows: vec![Recorded { row, bytes: Some(3), seconds: vec![seconds, seconds * 2.0, seconds * 9.0] }],
    }
}

#[test]
fn entries_are_appended_and_a_line_that_is_being_written_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/history.jsonl");
    let entries = [entry(1.0, "a"), entry(2.0, "a")];
    entries.iter().for_each(|entry| append(&path, entry).expect("appended"));
    assert_eq!(read(&path).expect("read"), entries);

    let mut text = fs::read_to_string(&path).expect("text");
    text.push_str(r#"{"version":1,"rec"#);
    fs::write(&path, &text).expect("written");
    assert_eq!(read(&path).expect("read"), entries);
}

#[test]
fn a_torn_entry_is_replaced_by_the_next_one_and_what_is_no_history_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    append(&path, &entry(1.0, "a")).expect("appended");
    let whole = fs::read_to_string(&path).expect("text");
    fs::write(&path, format!("{whole}{}", &whole[..9])).expect("written");
    append(&path, &entry(2.0, "a")).expect("appended");
    assert_eq!(read(&path).expect("read"), [entry(1.0, "a"), entry(2.0, "a")]);
    for foreign in ["a note without an end", "# Notes\n\nof mine\n", "{\"a\": 1}", "{\"a\": 1}\n"] {
        fs::write(&path, foreign).expect("written");
        assert!(matches!(append(&path, &entry(1.0, "a")), Err(HistoryError::Malformed { .. })), "{foreign}");
        assert_eq!(fs::read_to_string(&path).expect("text"), foreign);
    }
}

#[test]
fn a_line_that_is_no_entry_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    append(&path, &entry(1.0, "a")).expect("appended");
    let good = fs::read_to_string(&path).expect("text");
    for (bad, told) in [
        ("{}", "missing field"),
        (good.trim_end().replace("\"version\":1", "\"version\":9").as_str(), "of version 9"),
        (good.trim_end().replacen('{', "{\"speed\":1,", 1).as_str(), "unknown field"),
    ] {
        fs::write(&path, format!("{good}{bad}\n")).expect("written");
        let error = read(&path).expect_err("refused").to_string();
        assert!(error.contains(":2:") && error.contains(told), "{error}");
    }
    assert!(matches!(read(&folder.path().join("none")), Err(HistoryError::Io { .. })));
}

#[test]
fn only_figures_of_one_machine_are_strung_together() {
    let entries = [entry(1.0, "a"), entry(5.0, "b"), entry(3.0, "a")];
    let tracks = tracks(&entries);
    let points: Vec<_> = tracks.iter().map(|track| track.points.clone()).collect();
    assert_eq!(points, [vec![(0, 2.0), (2, 6.0)], vec![(1, 10.0)]]);
}
