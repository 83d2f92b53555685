use std::fs;

use super::*;
use crate::perf::row::Operation;

fn row(operation: Operation) -> Row {
    Row { model: "llama".into(), kv: "f16".into(), tokens: 512, operation }
}

fn procedure() -> Procedure {
    Procedure { blocks: 8, rounds: 1, confidence: 0.95, resamples: 2000, seed: 7, limits: Limits::default() }
}

/// Eight blocks with a little scatter, the candidate so many times slower.
fn measured(slower: f64) -> Measured {
    let time = |block: usize, turn: usize| 1.0 + ((block * 7 + turn * 3) % 5) as f64 * 0.004;
    let block = |number: usize| Block {
        base: vec![time(number, 0), time(number, 3)],
        candidate: vec![time(number, 1) * slower, time(number, 2) * slower],
    };
    Measured { blocks: (0..8).map(block).collect(), bytes: Some(10) }
}

fn series(rows: &[(Operation, f64)]) -> Series {
    rows.iter().map(|(operation, slower)| (row(*operation), measured(*slower))).collect()
}

fn concluded(first: &[(Operation, f64)], second: &[(Operation, f64)]) -> (Exit, Vec<Verdict>, String) {
    let mut rows = decide(&series(first), &series(second), &procedure());
    let exit = conclude(&mut rows);
    let verdicts = rows.iter().map(|row| row.verdict).collect();
    (exit, verdicts, summary(exit, &rows))
}

#[test]
fn a_comparison_concludes_from_both_measurements() {
    use Operation::{Copy, LoadDirect, SaveFull};
    use Verdict::{Improved, Noisy, Regressed, Unchanged, Unproven};
    type Times<'t> = &'t [(Operation, f64)];
    let table: [(Times, Times, Exit, &[Verdict], &str); 7] = [
        (&[(LoadDirect, 1.0), (Copy, 1.0)], &[], Exit::Fine, &[Unchanged; 2], "Nothing became slower"),
        (
            &[(LoadDirect, 1.2), (Copy, 1.0)],
            &[(LoadDirect, 1.2)],
            Exit::Regression,
            &[Regressed, Unchanged],
            "Slower: load, direct of llama",
        ),
        (
            &[(LoadDirect, 0.8), (Copy, 1.0)],
            &[(LoadDirect, 0.8)],
            Exit::Fine,
            &[Improved, Unchanged],
            "Faster: load",
        ),
        (
            &[(LoadDirect, 1.2), (Copy, 1.0)],
            &[(LoadDirect, 1.0)],
            Exit::Fine,
            &[Unchanged; 2],
            "Nothing became",
        ),
        (
            &[(LoadDirect, 1.2), (Copy, 1.0)],
            &[(LoadDirect, 0.8)],
            Exit::Unproven,
            &[Noisy, Unchanged],
            "1 of the rows",
        ),
        (&[(LoadDirect, 1.2), (Copy, 1.0)], &[], Exit::Unproven, &[Unproven, Unchanged], "1 of the rows"),
        (
            &[(SaveFull, 1.0), (LoadDirect, 1.3), (Copy, 1.3)],
            &[(LoadDirect, 1.3), (Copy, 1.3)],
            Exit::Unproven,
            &[Unproven, Unproven, Regressed],
            "the machine itself changed",
        ),
    ];
    for (first, second, exit, verdicts, told) in table {
        let (found, of_rows, summary) = concluded(first, second);
        assert_eq!((found, of_rows.as_slice()), (exit, verdicts), "{first:?} {second:?}: {summary}");
        assert!(summary.contains(told), "{summary}");
    }
}

#[test]
fn more_blocks_are_wanted_where_a_gated_row_scatters() {
    let mut scattered = measured(1.0);
    for (number, block) in scattered.blocks.iter_mut().enumerate() {
        block.candidate.iter_mut().for_each(|time| *time *= if number % 2 == 0 { 1.5 } else { 0.7 });
    }
    let with = |operation| Series::from([(row(operation), scattered.clone())]);
    assert!(undecided(&with(Operation::LoadDirect), &procedure()));
    assert!(!undecided(&with(Operation::LlamaSave), &procedure()), "it decides nothing");
    assert!(!undecided(&series(&[(Operation::LoadDirect, 1.0)]), &procedure()));
    assert!(
        !undecided(&series(&[(Operation::LoadDirect, 1.5)]), &procedure()),
        "that is for the confirmation"
    );
}

#[test]
fn a_comparison_survives_its_file_and_another_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(COMPARISON_FILE);
    let first = series(&[(Operation::LoadDirect, 1.0), (Operation::Copy, 1.0)]);
    let mut rows = decide(&first, &Series::new(), &procedure());
    let exit = conclude(&mut rows);
    let subject =
        Subject { name: "a".into(), command: vec!["a".into()], version: "1".into(), release: "b1".into() };
    let comparison = Comparison {
        version: COMPARISON_VERSION,
        made: "2026-01-01T00:00:00Z".into(),
        seconds: 1.5,
        environment: crate::environment::here(),
        base: subject.clone(),
        candidate: subject,
        procedure: procedure(),
        exit,
        summary: summary(exit, &rows),
        rows,
        skipped: Vec::new(),
    };
    comparison.write(&path).expect("written");
    assert_eq!(Comparison::read(&path).expect("read"), comparison);
    let text = fs::read_to_string(&path).expect("text").replacen("\"version\": 1", "\"version\": 2", 1);
    fs::write(&path, text).expect("written");
    let refused = Comparison::read(&path).expect_err("another version").to_string();
    assert!(refused.contains("of version 2"), "{refused}");
}
