//! Disks that have no room or cannot be written.

use intact_fixtures::{Disk, with_disks};

use super::desk::{Desk, chunks, session_file};

#[test]
fn a_full_disk_fails_the_save_says_what_to_do_and_loses_nothing() {
    with_disks(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::new(&folder.path().join("disk"), "1m");
        let desk = Desk::at(disk.path().join("store").to_str().expect("UTF-8"));
        let mut kept = Vec::new();
        let mut refused = 0;
        // More than fits, saved again and again: a save that fails leaves what was there.
        for number in 0..40 {
            let (name, said) = (format!("session {}", number % 12), format!("save {number}"));
            let own = chunks(2, &said, 50_000);
            let file = session_file(folder.path(), &name, &said, &own);
            let outcome = desk.run(["import".as_ref(), "--replace".as_ref(), file.as_os_str()]);
            match outcome.code {
                Some(0) => {
                    kept.retain(|(kept, _, _)| *kept != name);
                    kept.push((name, said, own));
                }
                Some(96) => {
                    refused += 1;
                    let err = outcome.err.split_whitespace().collect::<Vec<_>>().join(" ");
                    assert!(err.contains("No space left") && err.contains("make a little room"), "{err}");
                }
                code => panic!("{code:?}: {}", outcome.err),
            }
        }
        assert!(refused > 10 && kept.len() > 5, "{refused} refused, {} kept", kept.len());
        for (name, said, own) in &kept {
            let found = desk.export(name, folder.path());
            assert_eq!((&found.said, &found.chunks), (said, own), "{name}");
        }
        // Cleaning up needs room for a few small files, and then makes much more.
        disk.turn_into("size=1100k");
        let removed = desk.json(["prune", "--keep", "2"]);
        assert!(removed["freed_bytes"].as_u64() > Some(0), "{removed}");
        desk.json(["gc", "--grace", "0s"]);
        let file = session_file(folder.path(), "after", "room again", &chunks(2, "after", 50_000));
        assert_eq!(desk.run(["import".as_ref(), file.as_os_str()]).code, Some(0));
        assert_eq!(desk.run(["verify"]).code, Some(0));
    });
}

#[test]
fn a_read_only_store_can_be_listed_checked_and_read_but_not_written() {
    with_disks(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::new(&folder.path().join("disk"), "4m");
        let desk = Desk::at(disk.path().join("store").to_str().expect("UTF-8"));
        let file = session_file(folder.path(), "ada", "hello", &chunks(2, "ada", 5000));
        assert_eq!(desk.run(["import".as_ref(), file.as_os_str()]).code, Some(0));
        disk.turn_into("ro");
        for reading in [["ls"], ["stats"], ["verify"]] {
            assert_eq!(desk.run(reading).code, Some(0), "{reading:?}");
        }
        assert_eq!(desk.export("ada", folder.path()).said, "hello");
        let writing = [
            vec!["import", "--replace", file.to_str().expect("UTF-8")],
            vec!["gc"],
            vec!["prune", "--keep", "0"],
        ];
        for arguments in writing {
            let said = desk.run(&arguments);
            let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.code == Some(96) && err.contains("cannot be written"), "{arguments:?}: {err}");
        }
        assert_eq!(desk.export("ada", folder.path()).said, "hello");
    });
}
