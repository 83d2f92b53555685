//! What a power cut, a kill or a failing call leaves of every operation that changes files: the old state or the new one.
//!
//! Each operation runs in a process of its own, whose calls are written down (`recorder.c`, preloaded). Then every prefix of
//! them is played back as a disk may have it: what was not flushed is there, is not, is torn at the borders of blocks, or is
//! there without what came before it. Each such state is opened. And each call in turn is made to fail.
//!
//! `INTACT_CRASHES=20000` sets how many states are opened at least, of all operations together; the default is small.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod disk;
mod operation;
mod record;

use std::collections::BTreeSet;
use std::path::Path;

use disk::{Disk, Noise, Survival};
use operation::{CARELESS, OPERATIONS, Operation, Outcome, wanted};
use record::{Recorder, Step};

/// States of one operation.
#[derive(Default)]
struct Tally {
    steps: usize,
    states: usize,
    old: usize,
    new: usize,
    failed_calls: usize,
}

/// Opens a state; it must be the old one or the new one, and the operation must work in it.
fn judge(operation: &Operation, state: &Disk, tally: &mut Tally) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    state.write(&root);
    let outcome = (operation.check)(&root)?;
    tally.states += 1;
    match outcome {
        Outcome::Old => tally.old += 1,
        Outcome::New => tally.new += 1,
    }
    // What a crash left must not stand in the way of the next try.
    if tally.states.is_multiple_of(5) {
        let again = (operation.run)(&root);
        let done = (operation.check)(&root);
        if done != Ok(Outcome::New) {
            return Err(format!("the next try gave {again:?}, then {done:?}"));
        }
    }
    Ok(outcome)
}

/// Plays back every prefix of what the operation did. Tells of the first state that is lost or mixed.
fn enumerate(
    operation: &Operation,
    before: &Disk,
    steps: &[Step],
    states: usize,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let rounds = states.div_ceil(steps.len() + 1).max(6);
    for round in 0..8 * rounds {
        if tally.states >= states && round >= 6 {
            break;
        }
        for end in 0..=steps.len() {
            let survival = Survival::of_round(round);
            let state = before.after(&steps[..end], survival, &mut noise);
            if !seen.insert(state.fingerprint()) {
                continue;
            }
            let wrong = match judge(operation, &state, tally) {
                Err(reason) => reason,
                // Who was told that it is done can rely on it.
                Ok(Outcome::Old) if end == steps.len() && operation.is_lasting => {
                    "it was done, and was taken back".to_owned()
                }
                Ok(_) => continue,
            };
            let (name, count, listing) = (operation.name, steps.len(), state.listing());
            return Err(format!("{name}, after {end} of {count} steps, {survival:?}: {wrong}\n{listing}"));
        }
    }
    Ok(())
}

/// Makes each call fail in turn.
fn fail_each(operation: &Operation, recorder: &Recorder, calls: usize, every: usize, tally: &mut Tally) {
    const ERRORS: [(&str, i32); 5] =
        [("EIO", 5), ("ENOSPC", 28), ("EINTR", 4), ("EXDEV", 18), ("EINVAL", 22)];
    // Some calls fail without a fault, and are not among the steps.
    for call in 1..=calls + 16 {
        for (at, (name, error)) in ERRORS.into_iter().enumerate() {
            if !(call * ERRORS.len() + at).is_multiple_of(every) {
                continue;
            }
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("root");
            (operation.prepare)(&root);
            let files = names(&root);
            let done = recorder.record(operation, &root, Some((call, error)));
            if !done.has_failed_call {
                return;
            }
            tally.failed_calls += 1;
            let found = (operation.check)(&root);
            let told = match (&found, done.is_success) {
                (Ok(Outcome::New), true) | (Ok(Outcome::Old), false) => true,
                // The saved file is there, but its folder could not be flushed, or the like.
                (Ok(Outcome::New), false) => operation.may_fail_late,
                _ => false,
            };
            let context = || format!("{}, call {call} fails with {name}: {}", operation.name, done.output);
            assert!(told, "{}: it is {found:?}", context());
            if !done.is_success && matches!(found, Ok(Outcome::Old)) && operation.cleans_up {
                let left: Vec<_> = names(&root).difference(&files).cloned().collect();
                // The call that was to remove it may be the one that failed.
                assert!(left.is_empty() || done.failed_removal, "{}: it left {left:?}", context());
            }
            assert!((operation.run)(&root).is_ok(), "{}: the next try fails", context());
            assert!(
                matches!((operation.check)(&root), Ok(Outcome::New)),
                "{}: after the next try",
                context()
            );
        }
    }
}

fn names(root: &Path) -> BTreeSet<String> {
    Disk::read(root).names()
}

#[test]
fn every_crash_leaves_the_old_state_or_the_new_one() {
    let recorder = Recorder::build();
    // The smaller operations do not have so many.
    let share = wanted() / 5 + 1;
    let (mut states, mut steps, mut failed) = (0, 0, 0);
    for operation in &OPERATIONS {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        (operation.prepare)(&root);
        assert!(matches!((operation.check)(&root), Ok(Outcome::Old)), "{}: before", operation.name);
        let before = Disk::read(&root);
        let done = recorder.record(operation, &root, None);
        assert!(done.is_success, "{}: {}", operation.name, done.output);
        assert!(matches!((operation.check)(&root), Ok(Outcome::New)), "{}: afterwards", operation.name);
        let replayed = before.after(&done.steps, Survival::All, &mut Noise(1));
        assert_eq!(
            replayed.fingerprint(),
            Disk::read(&root).fingerprint(),
            "{}: the record is whole",
            operation.name
        );

        let mut tally = Tally { steps: done.steps.len(), ..Tally::default() };
        enumerate(operation, &before, &done.steps, share, &mut tally)
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        let every = if wanted() >= 20_000 { 1 } else { 9 };
        fail_each(operation, &recorder, done.calls, every, &mut tally);
        println!(
            "{}: {} steps, {} states ({} old, {} new), {} failed calls",
            operation.name, tally.steps, tally.states, tally.old, tally.new, tally.failed_calls
        );
        assert!(tally.old > 0 && tally.new > 0, "{}: both were seen", operation.name);
        states += tally.states;
        steps += tally.steps;
        failed += tally.failed_calls;
    }
    assert!(states >= wanted(), "{states} states, and {} are wanted", wanted());
    println!(
        "{} operations of {steps} steps: {states} states, {failed} failed calls, 0 lost or mixed",
        OPERATIONS.len()
    );
}

/// The enumeration has to find what is wrong with a save that flushes nothing.
#[test]
fn a_save_without_flushes_is_found_out() {
    let recorder = Recorder::build();
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    (CARELESS.prepare)(&root);
    let before = Disk::read(&root);
    let done = recorder.record(&CARELESS, &root, None);
    assert!(done.is_success, "{}", done.output);
    let wrong = enumerate(&CARELESS, &before, &done.steps, 200, &mut Tally::default());
    println!("found: {}", wrong.expect_err("nothing was found"));
}

/// Carries out an operation in the process that is recorded.
#[test]
#[ignore = "the process that is recorded; the test above starts it"]
fn subject() {
    let (Ok(name), Ok(root)) = (std::env::var(record::OPERATION), std::env::var(record::ROOT)) else {
        return;
    };
    let operation =
        OPERATIONS.iter().chain([&CARELESS]).find(|operation| operation.name == name).expect("an operation");
    if let Err(error) = (operation.run)(Path::new(&root)) {
        println!("it failed: {error}");
        std::process::exit(3);
    }
    std::process::exit(0);
}
