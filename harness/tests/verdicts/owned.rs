//! What is not ours survives every command that is pointed at it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use intact_harness::exit::Exit;

use crate::scene::Scene;

/// Tests of what commands may write to.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a folder of somebody else survives every command", a_folder_of_somebody_else_survives_every_command),
    ("a run takes its own folder again, and only that", a_run_takes_its_own_folder_again),
    ("what is read is not written over", what_is_read_is_not_written_over),
    ("a scratch folder is gone when a run has ended", a_scratch_folder_is_gone_when_a_run_has_ended),
];

/// Every name that a run's folder or a bundle has, as somebody else could have it.
const NAMES: [&str; 21] = [
    "run.json",
    "plan.json",
    "events.jsonl",
    "artifacts.jsonl",
    "artifacts/a",
    "artifacts/ab/abababababababababababababababababababababababababababababababab",
    "parts/0/run/run.json",
    "parts/0/produce/notes",
    "results.json",
    "intact.toml",
    "expectations.toml",
    "report.html",
    "report.md",
    "junit.xml",
    "badge.svg",
    "work-notes/a",
    ".intact/claim",
    ".intact/work-x/a",
    "replay.sh",
    "README.md",
    "models/0/model.gguf",
];

/// Commands that write into the folder `theirs`.
const COMMANDS: [&str; 9] = [
    "run --out theirs",
    "run --resume theirs",
    "produce --out theirs",
    "produce --resume --out theirs",
    "consume --from saved --out theirs",
    "consume --artifacts depot --out theirs",
    "merge part --out theirs",
    "merge --artifacts depot --out theirs",
    "repro engine/one/base --from part --out theirs",
];

fn write(folder: &Path, name: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, format!("{{}} of mine: {name}")).expect("written");
}

/// Every file below a folder with what is in it, and every folder.
fn all(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = fs::read(&path).expect("read");
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

fn a_folder_of_somebody_else_survives_every_command() {
    let scene = Scene::new("nothing", None);
    let filter = "-E model(one)&ctx(512)";
    for words in ["run --out part --artifacts depot", "produce --out saved --artifacts depot"] {
        let said = scene.intact(&format!("{words} {filter}"));
        assert_eq!(said.code, 0, "{words}: {}{}", said.out, said.err);
    }
    let theirs = scene.path("theirs");
    // Everything at once, and each name alone: it must not take a second one to be noticed.
    let alone = NAMES.iter().map(std::slice::from_ref);
    for names in alone.chain([&NAMES[..]]) {
        names.iter().for_each(|name| write(&theirs, name));
        let before = all(&theirs);
        for words in COMMANDS {
            let said = scene.intact(words);
            assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{words}: {}{}", said.out, said.err);
            assert_eq!(all(&theirs), before, "{words} over {names:?}: {}", said.err);
            let told = said.err.contains("theirs") || said.err.contains("run.json");
            assert!(told, "{words} over {names:?}: {}", said.err);
        }
        fs::remove_dir_all(&theirs).expect("removed");
    }
}

fn a_run_takes_its_own_folder_again() {
    let scene = Scene::new("nothing", None);
    let run = "run --out out -E model(one)&ctx(512)";
    assert_eq!(scene.intact(run).code, 0);
    let before = all(&scene.path("out"));
    // Files of the user's beside those of the run.
    for name in ["notes.txt", "work-notes/a", "artifacts/mine", "perf.json"] {
        write(&scene.path("out"), name);
    }
    let said = scene.intact(run);
    assert_eq!(said.code, 0, "{}", said.err);
    let after = all(&scene.path("out"));
    for name in ["notes.txt", "work-notes/a", "artifacts/mine", "perf.json"] {
        assert!(after.contains_key(&scene.path("out").join(name)), "{name} is gone");
    }
    assert!(before.keys().all(|path| after.contains_key(path)), "it is a run again");
    // A run that was killed before it had a manifest.
    fs::remove_file(scene.path("out/run.json")).expect("removed");
    let said = scene.intact(run);
    assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{}", said.err);
    assert!(said.err.contains("nothing in it was changed"), "{}", said.err);
}

fn what_is_read_is_not_written_over() {
    let scene = Scene::new("nothing", None);
    let filter = "-E model(one)&ctx(512)";
    assert_eq!(scene.intact(&format!("produce --out saved {filter}")).code, 0);
    assert_eq!(scene.intact(&format!("run --out ran {filter}")).code, 0);
    let before = (all(&scene.path("saved")), all(&scene.path("ran")));
    for words in [
        "consume --from saved --out saved",
        "consume --from saved --out ./saved/",
        "merge ran --out ran",
        "repro engine/one/base --from ran --out ran",
    ] {
        let said = scene.intact(words);
        assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{words}: {}", said.err);
        assert!(said.err.contains("--out"), "{words}: {}", said.err);
        assert_eq!((all(&scene.path("saved")), all(&scene.path("ran"))), before, "{words}");
    }
}

fn a_scratch_folder_is_gone_when_a_run_has_ended() {
    for (misbehaviour, code) in [("nothing", 0), ("garbage", 100)] {
        let scene = Scene::new(misbehaviour, None);
        assert_eq!(scene.intact("run --out out -E model(one)&ctx(512)").code, code);
        assert!(!scene.path("out/.intact").exists());
    }
}
