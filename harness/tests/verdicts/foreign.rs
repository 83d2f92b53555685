//! Runs' folders, bundles and buckets that somebody else has written.

use std::fs;
#[cfg(unix)]
use std::path::Path;

use intact_harness::exit::Exit;

use crate::scene::{Scene, command};

/// Tests of what others have written.
pub(crate) const TESTS: &[(&str, fn())] = &[
    (
        "programs that somebody else's run names are shown and not started",
        programs_that_somebody_elses_run_names_are_shown_and_not_started,
    ),
    ("what is trusted is one place and these programs", what_is_trusted_is_one_place_and_these_programs),
    (
        "the worker that a run's record names is not started",
        the_worker_that_a_runs_record_names_is_not_started,
    ),
    ("what the user runs is the user's own", what_the_user_runs_is_the_users_own),
    ("a token reaches no worker that does not name it", a_token_reaches_no_worker_that_does_not_name_it),
    #[cfg(unix)]
    ("a link in somebody else's folder is not followed", a_link_in_somebody_elses_folder_is_not_followed),
    ("merging says that parts are believed", merging_says_that_parts_are_believed),
];

/// A scene with a run, what another one saved, a depot and a bundle, all of them as if somebody had sent them: this user has
/// trusted nothing yet.
fn sent() -> Scene {
    let scene = Scene::new("nothing", None);
    for words in [
        "run --out out",
        "produce --out saved",
        "produce --artifacts depot --out job",
        "repro engine/two/ctx=1024 --from out --out bundle",
    ] {
        scene.ends(words, Exit::Fine);
    }
    fs::remove_dir_all(scene.path("home/trusted")).expect("removed");
    // The run's own configuration lies with whoever has sent it.
    fs::rename(scene.path("intact.toml"), scene.path("elsewhere.toml")).expect("moved");
    scene
}

/// Every command that takes a configuration from somebody else, with the file that it takes it from.
const WAYS: [(&str, &str); 7] = [
    ("run --resume out", "out/intact.toml"),
    ("consume --from saved --out consumed", "saved/intact.toml"),
    ("consume --artifacts depot --out fetched", "depot/parts/produce/intact.toml"),
    ("consume --from file://DEPOT --out fetched-too", "depot/parts/produce/intact.toml"),
    ("repro engine/one/base --from out --out again", "out/intact.toml"),
    ("run --config bundle/intact.toml --out played", "bundle/intact.toml"),
    ("consume --from bundle --out replayed", "bundle/intact.toml"),
];

impl Scene {
    fn ends(&self, words: &str, exit: Exit) -> String {
        let depot = self.path("depot").display().to_string();
        let said = self.intact(&words.replace("DEPOT", &depot));
        assert_eq!(said.code, i32::from(exit.code()), "intact {words}: {}{}", said.out, said.err);
        said.out + &said.err
    }

    /// Lets a configuration name a program that leaves a mark, in place of the worker that it names.
    fn turn(&self, config: &str, mark: &str) {
        let text = fs::read_to_string(self.path(config)).expect("read");
        let own = &command("nothing", None)[0];
        let line = text.lines().find(|line| line.contains(own.as_str())).expect("a command");
        let mark = self.path(mark).display().to_string();
        let worker = command("nothing", None).join(" ");
        let evil = format!("command = [\"sh\", \"-c\", \"touch {mark}; exec {worker}\"]");
        self.write(config, &text.replace(line, &evil));
    }
}

fn programs_that_somebody_elses_run_names_are_shown_and_not_started() {
    for (words, config) in WAYS {
        let scene = sent();
        scene.turn(config, "mark");
        let told = scene.ends(words, Exit::Untrusted);
        assert!(!scene.path("mark").exists(), "{words}: it was started");
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        for part in ["engine:", "sh -c", "touch", "--trust"] {
            assert!(flat.contains(part), "{words}: `{part}` in {told}");
        }
        // A bundle's models lie in it, and are found from there alone: that comes later.
        let depot = scene.path("depot").display().to_string();
        let said = scene.intact(&format!("{words} --trust").replace("DEPOT", &depot));
        assert!([0, 96].contains(&said.code), "{words}: {}{}", said.out, said.err);
        assert!(scene.path("mark").exists(), "{words}: it was trusted");
    }
}

fn what_is_trusted_is_one_place_and_these_programs() {
    let scene = sent();
    scene.turn("saved/intact.toml", "mark-one");
    scene.ends("consume --from saved --out one --trust", Exit::Fine);
    fs::remove_file(scene.path("mark-one")).expect("removed");
    scene.ends("consume --from saved --out two", Exit::Fine);
    assert!(scene.path("mark-one").exists(), "it is remembered");
    scene.edit("saved/intact.toml", "mark-one", "mark-two");
    scene.ends("consume --from saved --out three", Exit::Untrusted);
    assert!(!scene.path("mark-two").exists());
    scene.edit("saved/intact.toml", "mark-two", "mark-one");
    fs::rename(scene.path("saved"), scene.path("moved")).expect("moved");
    scene.ends("consume --from moved --out four", Exit::Untrusted);
}

fn the_worker_that_a_runs_record_names_is_not_started() {
    let scene = sent();
    let text = fs::read_to_string(scene.path("out/run.json")).expect("read");
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    scene.write("evil.sh", &format!("#!/bin/sh\ntouch {}\n", scene.path("mark").display()));
    record["worker"] = scene.path("evil.sh").display().to_string().into();
    // A configuration whose worker is intact's own: the record names what takes its place.
    record["config"] = scene.path("evil.toml").display().to_string().into();
    let config = fs::read_to_string(scene.path("elsewhere.toml")).expect("read");
    let line = config.lines().find(|line| line.contains("--as-worker")).expect("a command");
    scene.write("evil.toml", &config.replace(line, "command = [\"intact-worker\"]"));
    scene.write("out/run.json", &record.to_string());
    for words in ["run --resume out", "repro engine/one/base --from out --out again"] {
        let told = scene.ends(words, Exit::Untrusted);
        assert!(told.contains("evil.sh"), "{words}: {told}");
    }
    assert!(!scene.path("mark").exists());
    // `quantize` is no way to save and load: the worker would write a file.
    scene.write(
        "evil.toml",
        &config.replace(line, "command = [\"intact-worker\", \"quantize\", \"a\", \"b\", \"f16\"]"),
    );
    record["worker"] = serde_json::Value::Null;
    scene.write("out/run.json", &record.to_string());
    assert!(scene.ends("run --resume out", Exit::Untrusted).contains("quantize"));
}

fn what_the_user_runs_is_the_users_own() {
    let scene = Scene::new("nothing", None);
    scene.ends("run --out out", Exit::Fine);
    scene.ends("run --config intact.toml --out named", Exit::Fine);
    scene.ends("run --resume out", Exit::Fine);
    scene.ends("repro engine/one/base --from out --out bundle", Exit::Fine);
    assert_ne!(scene.intact("consume --from bundle --out replayed").code, 95, "the bundle was made here");
    scene.ends("produce --artifacts depot --out saved", Exit::Fine);
    scene.ends("consume --artifacts depot --out loaded", Exit::Fine);
    // On another machine, where nothing is remembered, a configuration of that machine is named.
    fs::remove_dir_all(scene.path("home/trusted")).expect("removed");
    scene.ends("consume --artifacts depot --config intact.toml --out there", Exit::Fine);
    // Planning starts workers too.
    scene.turn("out/intact.toml", "mark");
    for words in ["plan --config out/intact.toml", "run --list --config out/intact.toml"] {
        scene.ends(words, Exit::Untrusted);
    }
    assert!(!scene.path("mark").exists());
}

fn a_token_reaches_no_worker_that_does_not_name_it() {
    let scene = Scene::new("nothing", None);
    let seen = scene.path("seen");
    let worker = command("nothing", None).join(" ");
    let text = fs::read_to_string(scene.path("intact.toml")).expect("read");
    let line = text.lines().find(|line| line.contains("--as-worker")).expect("a command");
    let spying = format!("command = [\"sh\", \"-c\", \"env >> {}; exec {worker}\"]", seen.display());
    let secrets = ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GH_TOKEN", "GITHUB_TOKEN", "INTACT_PASSPHRASE"];
    let variables: Vec<(&str, &str)> =
        secrets.iter().map(|name| (*name, "hunter2")).chain([("WANTED", "this"), ("LC_ALL", "C")]).collect();
    for (more, wanted) in [("", false), ("\npass_env = [\"WANTED\"]", true)] {
        scene.write("intact.toml", &text.replace(line, &format!("{spying}{more}")));
        let said = scene.intact_with("run", &variables);
        assert_eq!(said.code, 0, "{}", said.err);
        let told = fs::read_to_string(&seen).expect("it was started");
        assert!(told.contains("LC_ALL=C") && told.contains("PATH="), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(told.contains("WANTED=this"), wanted, "{told}");
        fs::remove_file(&seen).expect("removed");
    }
}

#[cfg(unix)]
fn a_link_in_somebody_elses_folder_is_not_followed() {
    use std::os::unix::fs::symlink;
    let private = "# my diary\nsecret = \"hunter2\"\n";
    for (words, link, target) in [
        ("merge out --out whole", "out/intact.toml", "diary"),
        ("merge out --out whole", "out/events.jsonl", "diary"),
        ("run --resume out", "out/run.json", "diary"),
        ("consume --from saved --out consumed", "saved/intact.toml", "diary"),
        ("consume --from saved --out consumed", "saved/expectations.toml", "diary"),
        ("consume --artifacts depot --out fetched", "depot/parts/produce/intact.toml", "diary"),
        ("consume --artifacts depot --out fetched", "depot/parts/produce", "diary-folder"),
        ("report out", "out/results.json", "diary"),
        ("repro engine/one/base --from out --out again", "out/plan.json", "diary"),
        ("run --resume out --trust --artifacts kept", "out/artifacts/aa", "diary-folder"),
        ("run --trust --out out", "out/artifacts/aa", "diary-folder"),
        ("merge out --out out", "out/parts/0", "diary-folder"),
    ] {
        let scene = sent();
        scene.write("diary", private);
        fs::create_dir(scene.path("diary-folder")).expect("made");
        for file in ["intact.toml", "run.json"] {
            scene.write(&format!("diary-folder/{file}"), private);
        }
        let path = scene.path(link);
        if path.exists() {
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.expect("removed");
        }
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        symlink(scene.path(target), &path).expect("planted");
        let said = scene.intact(words);
        assert_ne!(said.code, 0, "{words} with {link}: {}{}", said.out, said.err);
        let told = said.out + &said.err;
        assert!(!told.contains("hunter2") && !told.contains("diary\""), "{words} with {link}: {told}");
        assert!(
            scene.path("diary").exists() && scene.path("diary-folder/run.json").exists(),
            "{words} with {link}"
        );
        for out in ["whole", "consumed", "fetched", "again", "kept"] {
            assert!(!holds(&scene.path(out), "hunter2"), "{words} with {link}: it was copied");
        }
    }
}

/// Whether a file of a folder, or below it, has a text in it.
#[cfg(unix)]
fn holds(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return holds(&path, text);
        }
        fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    })
}

fn merging_says_that_parts_are_believed() {
    let scene = Scene::new("nothing", None);
    scene.ends("run --partition 1/2 --out one", Exit::Fine);
    scene.ends("run --partition 2/2 --out two", Exit::Fine);
    let told = scene.ends("merge one two --out whole", Exit::Fine);
    assert!(told.contains("believed"), "{told}");
    assert!(scene.ends("merge --help", Exit::Fine).contains("believed"));
}
