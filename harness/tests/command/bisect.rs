//! `bisect` with a program that knows where the break is, over releases whose workers only seem to be there.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::cli::{Said, said};

/// A home in which every release seems to have a worker, and an empty working folder.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let tags: toml::Table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tags.toml"))
            .expect("the table of releases")
            .parse()
            .expect("TOML");
    for release in tags["release"].as_array().expect("releases") {
        let folder = home.path().join("home/tags").join(release["tag"].as_str().expect("a tag"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("intact-worker"), "").expect("written");
    }
    fs::create_dir(home.path().join("here")).expect("a folder");
    home
}

fn bisect(home: &TempDir, arguments: &[&str]) -> Said {
    let command = Command::new(env!("CARGO_BIN_EXE_intact"))
        .arg("bisect")
        .args(arguments)
        .current_dir(home.path().join("here"))
        .env("INTACT_HOME", home.path().join("home"))
        .env("NO_COLOR", "1")
        .output();
    said(&command.expect("the command runs"))
}

/// A program for which everything from 10,000 on fails, and one release cannot be tried.
const PROGRAM: &str =
    "case $INTACT_RELEASE in b9842) exit 125;; b1????|0.*) test -z \"$INTACT_RELEASE_WORKER\";; esac";

#[test]
fn the_first_release_that_fails_is_named_and_the_search_goes_on_where_it_ended() {
    let home = home();
    let said_first = bisect(&home, &["b5590", "0.6.0", "--command", PROGRAM]);
    assert_eq!(said_first.code, 0, "{}", said_first.err);
    let told = "llama.cpp b9553 works and b10068 fails: it broke between them. Those between them could not be tried: b9842;";
    assert!(said_first.out.contains(told), "{}", said_first.out);
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("here/bisect.json")).expect("a record"))
            .expect("JSON");
    let steps = record["tried"].as_array().expect("a list").len();
    assert!(steps <= 9, "42 releases are halved: {steps} were tried");

    let again = bisect(&home, &["b5590", "0.6.0", "--command", PROGRAM]);
    let before = format!("bisect.json: {} releases were tried before\nb9842    skipped", steps - 1);
    assert!(again.out.starts_with(&before), "what could not be tried is tried again: {}", again.out);
    let end = |text: &str| text[text.find("\nllama.cpp ").expect("an end")..].to_owned();
    assert_eq!(end(&again.out), end(&said_first.out));

    let other = bisect(&home, &["b5590", "0.6.0", "--command", "false"]);
    assert_eq!(other.code, 96, "{}", other.out);
    assert!(other.err.contains("bisect.json is the record of another search"), "{}", other.err);
}

#[test]
fn what_cannot_be_found_is_said() {
    let home = home();
    fs::write(home.path().join("here/mine.json"), "{}").expect("written");
    for (arguments, code, told) in [
        (&["0.6.0", "b5590", "--command", "true"][..], 96, "b5590 does not come after 0.6.0"),
        (&["b5590", "0.6.0", "--command", "true"], 101, "the one that is said to fail works"),
        (&["b5590", "b6002", "--command", "false"], 101, "the one that is said to work fails too"),
        (&["b5590", "b6002", "--command", "exit 125"], 101, "one of the two ends cannot be tried"),
        (&["b5590", "b1", "--command", "true"], 96, "no llama.cpp release is called `b1`"),
        (&["b5590", "b8391", "--command", "true"], 96, "did you mean `b8390`?"),
        (&["b5590", "0.6.0", "-E", "kv(", "--record", "other.json"], 94, "kv("),
        (
            &["b5590", "0.6.0", "--command", "true", "--record", "mine.json"],
            96,
            "is not a record of intact bisect",
        ),
        (&["b5590", "0.6.0", "--file", "mine.json"], 2, "--model"),
        (&["b5590", "0.6.0"], 2, "--file"),
    ] {
        let said = bisect(&home, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(told), "{arguments:?}: {told} in {}", said.err);
        let _gone = fs::remove_file(home.path().join("here/bisect.json"));
    }
    assert_eq!(fs::read_to_string(home.path().join("here/mine.json")).expect("there"), "{}");
}

/// A sequence file of one cell, whose K and V are quantized, as a release of 2026-11 writes it.
fn quantized_state() -> Vec<u8> {
    let head: [u32; 5] = [0x6767_7371, 4, 2, 7, 8];
    let cell: [u32; 6] = [1, 1, 0, 1, 0, 0];
    // One layer, neither K nor V rotated; a row of q8_0 is a block of 34 bytes.
    let layers: [u32; 3] = [1, 0, 0];
    let row: [u32; 3] = [8, 34, 0];
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    [words(&head), words(&cell), words(&layers), words(&row), vec![0; 34], words(&row), vec![0; 34]].concat()
}

/// A worker that never answers, in place of that of every release, and a file to ask it about.
fn home_that_hangs() -> TempDir {
    use std::os::unix::fs::PermissionsExt;

    let home = home();
    for release in fs::read_dir(home.path().join("home/tags")).expect("releases").flatten() {
        let worker = release.path().join("intact-worker");
        fs::write(&worker, "#!/bin/sh\nsleep 60\n").expect("written");
        fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).expect("may be run");
    }
    fs::write(home.path().join("here/slot.bin"), quantized_state()).expect("written");
    fs::write(home.path().join("here/model.gguf"), "").expect("written");
    fs::create_dir(home.path().join("temporary")).expect("a folder");
    home
}

#[test]
fn nothing_is_left_of_a_search_that_is_interrupted() {
    let search = ["bisect", "b5590", "0.6.0", "--file", "slot.bin", "--model", "model.gguf"];
    nothing_is_left_of(&search, "-TERM");
    nothing_is_left_of(&["lint-state", "b5590", "b8390"], "-TERM");
    nothing_is_left_of(&["lint-state", "b5590", "b8390"], "-INT");
}

fn nothing_is_left_of(words: &[&str], signal: &str) {
    let home = home_that_hangs();
    let temporary = home.path().join("temporary");
    let mut search = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(words)
        .current_dir(home.path().join("here"))
        .env("INTACT_HOME", home.path().join("home"))
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the command runs");
    let count = || fs::read_dir(&temporary).expect("read").count();
    let until = |done: &dyn Fn() -> bool| {
        (0..3000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            done()
        })
    };
    assert!(until(&|| count() > 0), "what the releases read is kept somewhere meanwhile");
    let ended = Command::new("kill").args([signal, &search.id().to_string()]).status().expect("kill runs");
    assert!(ended.success());
    search.wait().expect("it ends");
    assert!(until(&|| count() == 0), "something is left in the folder for temporary files");
}

/// A small repository whose build makes a library that only says what it is: from the fifth commit on it is broken, and the third
/// does not build.
fn tree(folder: &Path) {
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"])
            .args(words)
            .current_dir(folder)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::create_dir_all(folder).expect("a folder");
    git(&["init", "--quiet"]);
    for number in 1..=9 {
        let library = if number < 5 { "reads" } else { "misreads" };
        let build = if number == 3 {
            "echo no such header >&2; exit 1".to_owned()
        } else {
            format!("mkdir -p build/bin && echo {library} {number} >build/bin/libllama.so")
        };
        fs::write(folder.join("build.sh"), build).expect("written");
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", &format!("Change {number}")]);
        git(&["tag", &format!("c{number}")]);
    }
}

#[test]
fn commits_of_a_source_tree_are_built_and_searched_and_the_tree_stays_as_it_is() {
    let home = home();
    let source = home.path().join("here/llama.cpp");
    tree(&source);
    let program = "grep -q ^reads \"$INTACT_RELEASE_WORKER/libllama.so\"";
    let words = ["c1", "c9", "--tree", "llama.cpp", "--build", "sh build.sh", "--command", program];
    let said = bisect(&home, &words);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let found = |text: &str| said.out.contains(text);
    assert!(found("is the first commit that fails;") && found("; Change 5)"), "{}", said.out);
    let steps = said.out.lines().take_while(|line| !line.is_empty()).count();
    assert!(steps <= 6, "{}", said.out);
    assert!(!source.join("build").exists(), "nothing is built in the tree itself");
    let again = bisect(&home, &words);
    assert!(again.out.contains("releases were tried before") || again.out.contains("were tried before"));

    fs::remove_file(home.path().join("here/bisect.json")).expect("removed");
    let skipped =
        bisect(&home, &["c2", "c5", "--tree", "llama.cpp", "--build", "sh build.sh", "--command", program]);
    assert!(skipped.out.contains("it does not build: no such header"), "{}", skipped.out);
    assert!(skipped.out.contains("; Change 5)"), "{}", skipped.out);
    let _gone = fs::remove_file(home.path().join("here/bisect.json"));
    for (words, told) in [(["c9", "c1"], "does not come after"), (["c1", "c77"], "has no commit `c77`")] {
        let said = bisect(&home, &[words[0], words[1], "--tree", "llama.cpp", "--command", "true"]);
        assert_eq!((said.code, said.err.contains(told)), (96, true), "{}", said.err);
    }
}
