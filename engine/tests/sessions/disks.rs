//! Disks that are full, and folders that cannot be written to: the old session stays, the live one too.

use std::fs;
use std::path::Path;

use intact_engine::{EngineError, SaveOptions, sidecar_path};
use intact_fixtures::{Disk, with_disks};
use intact_format::route::Route;

use crate::support::{TURNS, converse, engine, load, say, score};

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_disk_that_runs_full_costs_the_save_and_not_the_session() {
    with_disks(|| {
        for kib in [8, 64, 200, 420] {
            let folder = tempfile::tempdir().expect("a folder");
            let disk = Disk::new(folder.path(), "3m");
            let file = folder.path().join("it.json");
            let mut engine = engine("llama");
            converse(&mut engine, "it");
            engine.save("it", &SaveOptions::to(&file)).expect("there is room for one");
            let tokens = engine.session("it").expect("live").timeline().tokens().len();
            // All that is left but a little.
            let ballast = folder.path().join("ballast");
            let mut size = 3 << 20;
            while fs::write(&ballast, vec![0; size]).is_err() {
                size -= 4096;
            }
            fs::write(&ballast, vec![0; size.saturating_sub(kib << 10)]).expect("less");

            let mut failures = 0;
            for turn in 0..8 {
                say(&mut engine, "it", TURNS[turn % 3]);
                match engine.save("it", &SaveOptions::to(&file)) {
                    Ok(_) => {}
                    Err(EngineError::Place(error)) => {
                        failures += 1;
                        assert!(error.to_string().contains("it."), "{error}");
                        assert_eq!(names(folder.path()), ["ballast", "it.json", "it.kv"], "{error}");
                    }
                    Err(error) => panic!("{error}"),
                }
                let receipt = load(&mut crate::support::engine("llama"), &file).receipt;
                assert_eq!(receipt.route, Route::Direct, "{kib} KiB left, turn {turn}: {receipt:?}");
                assert!(receipt.tokens_restored + 1 >= tokens, "{kib} KiB left, turn {turn}");
            }
            assert!(failures > 0 || kib > 100, "{kib} KiB are not enough for eight turns");
            // With room again, the session that lived on is saved as a whole.
            fs::remove_file(&ballast).expect("removed");
            engine.save("it", &SaveOptions::to(&file)).expect("saved");
            let mut reader = crate::support::engine("llama");
            assert_eq!(load(&mut reader, &file).receipt.route, Route::Direct);
            assert!(score(&mut reader, "it") == score(&mut engine, "it"), "{kib} KiB");
            drop(disk);
        }
    });
}

#[test]
fn a_read_only_folder_costs_the_save_and_can_be_loaded_from() {
    with_disks(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::new(folder.path(), "4m");
        let file = folder.path().join("it.json");
        let mut engine = engine("llama");
        converse(&mut engine, "it");
        engine.save("it", &SaveOptions::to(&file)).expect("saved");
        disk.turn_into("ro");
        let before = [&file, &sidecar_path(&file)].map(|file| fs::read(file).expect("bytes"));
        say(&mut engine, "it", TURNS[0]);
        let refused = engine.save("it", &SaveOptions::to(&file)).expect_err("read-only");
        assert!(matches!(refused, EngineError::Place(_)), "{refused}");
        assert!(refused.to_string().to_lowercase().contains("read-only"), "{refused}");
        assert_eq!(before, [&file, &sidecar_path(&file)].map(|file| fs::read(file).expect("bytes")));
        let expected = score(&mut engine, "it");
        assert!(!expected.is_empty(), "the session lives on");
        assert_eq!(load(&mut engine, &file).receipt.route, Route::Direct);
    });
}
