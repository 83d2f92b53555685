use super::*;
use crate::perf::history::{Recorded, tracks};
use crate::perf::row::Row;

fn row(operation: Operation, tokens: u32) -> Row {
    Row { model: "kv <7b>".into(), kv: "f16".into(), tokens, operation }
}

fn entry(rows: &[(Operation, u32, f64)]) -> Entry {
    let recorded = |(operation, tokens, seconds): &(Operation, u32, f64)| Recorded {
        row: row(*operation, *tokens),
        bytes: None,
        seconds: vec![*seconds],
    };
    Entry {
        version: 1,
        recorded: "2026-01-01T00:00:00Z".into(),
        environment: crate::environment::here(),
        release: "b1".into(),
        subject: "1".into(),
        commit: None,
        rows: rows.iter().map(recorded).collect(),
    }
}

#[test]
fn every_path_and_the_floor_are_drawn_over_tokens() {
    let lengths = [256, 1024, 4096];
    let rows: Vec<_> = lengths
        .into_iter()
        .flat_map(|tokens| {
            let time = f64::from(tokens) * 1e-6;
            [(Operation::LoadDirect, tokens, time), (Operation::Copy, tokens, time / 10.0)]
        })
        .collect();
    let charts = over_tokens(&[entry(&rows)]);
    assert_eq!(charts.len(), 1);
    assert_eq!(charts[0].lines.iter().map(|line| line.floor).collect::<Vec<_>>(), [false, true]);
    let svg = charts[0].svg().expect("drawn");
    for part in ["<svg", "load, direct", "copy of the bytes", "kv &lt;7b&gt;", "tokens"] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
}

#[test]
fn the_newest_figures_are_drawn() {
    let old = entry(&[(Operation::LoadDirect, 256, 1.0), (Operation::SaveFull, 256, 3.0)]);
    let new = entry(&[(Operation::LoadDirect, 256, 2.0)]);
    let charts = over_tokens(&[old, new]);
    let of = |at: usize| charts[0].lines[at].points.clone();
    assert_eq!([of(0), of(1)], [vec![(256.0, 3.0)], vec![(256.0, 2.0)]]);
}

#[test]
fn a_step_is_drawn_between_the_entries_where_it_happened() {
    let entries: Vec<_> = (0..10)
        .map(|number| entry(&[(Operation::LoadDirect, 256, if number < 5 { 1.0 } else { 2.0 })]))
        .collect();
    let track = &tracks(&entries)[0];
    let chart = over_time(track, &[Step { at: 5, ratio: 2.0, p: 0.01 }]);
    assert_eq!(chart.steps, [5.5]);
    assert!(chart.svg().expect("drawn").contains("entry of the history"));
}

#[test]
fn charts_of_one_point_or_none_are_drawn_too() {
    for points in [vec![], vec![(512.0, 0.001)]] {
        let line = Line { name: "a".into(), points, floor: false };
        let chart = Chart { title: "t".into(), counted: "tokens", lines: vec![line], steps: Vec::new() };
        assert!(chart.svg().expect("drawn").starts_with("<svg"));
    }
}
