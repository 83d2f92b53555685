//! `chat` and `check` on sealed sessions, with the engine behind them: what is sealed stays sealed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::cli::{Said, intact, line, said, worker};

const PASSPHRASE: &str = "correct horse";
/// Something that is said, and that nobody else may read.
const SECRET: &str = "the treasure is under the oak";

/// A folder to talk in, and one for what is plain for a moment.
struct Scene {
    folder: TempDir,
    scratch: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        Self { folder: folder(), scratch: folder() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a subcommand with a model, with this passphrase if any, and with these lines piped in.
    fn run(&self, arguments: &[&str], passphrase: Option<&str>, lines: &[&str]) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_intact"));
        child.args(arguments).arg("--model").arg(intact_fixtures::cached("llama").expect("a fixture model"));
        child.args(["--context", "512", "--threads", "1"]);
        if !arguments.contains(&"--worker") {
            child.arg("--worker").arg(worker());
        }
        if arguments.contains(&"--store") {
            // What is remembered of stores is not to stay in the home of whoever runs the tests.
            child.env("INTACT_HOME", self.file("home"));
        }
        child.arg("--scratch").arg(self.scratch.path()).current_dir(self.folder.path());
        child.env("NO_COLOR", "1").env_remove("INTACT_PASSPHRASE");
        child.envs(passphrase.map(|passphrase| ("INTACT_PASSPHRASE", passphrase)));
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that ends at once reads none of them.
        lines.iter().for_each(|line| drop(writeln!(stdin, "{line}")));
        drop(stdin);
        let said = said(&child.wait_with_output().expect("ended"));
        let left = fs::read_dir(self.scratch.path()).expect("a folder").count();
        assert_eq!(left, 0, "nothing plain stays: {}", said.err);
        said
    }

    /// Runs `chat` so, which has to end well.
    fn chat(&self, arguments: &[&str], passphrase: Option<&str>, lines: &[&str]) -> String {
        self.chat_to(0, arguments, passphrase, lines)
    }

    /// Runs `chat` so; something that it is asked for is refused.
    fn refused(&self, arguments: &[&str], passphrase: Option<&str>, lines: &[&str]) -> String {
        self.chat_to(96, arguments, passphrase, lines)
    }

    fn chat_to(&self, code: i32, arguments: &[&str], passphrase: Option<&str>, lines: &[&str]) -> String {
        let words: Vec<_> =
            ["chat", "--greedy", "--max-tokens", "4"].iter().chain(arguments).copied().collect();
        let said = self.run(&words, passphrase, lines);
        assert_eq!(said.code, code, "{}", said.err);
        assert!(!passphrase.is_some_and(|passphrase| said.err.contains(passphrase)), "{}", said.err);
        line(&said.err)
    }

    /// A session of this name, sealed with the passphrase.
    fn sealed(&self, name: &str) -> PathBuf {
        let told = self.chat(&["--sealed", "--session", name], Some(PASSPHRASE), &[SECRET, "/save"]);
        assert!(told.contains("(sealed)"), "{told}");
        self.file(&format!("{name}.json"))
    }

    fn key(&self, name: &str) -> (String, String) {
        let file = self.file(name);
        let recipient = intact([Path::new("key"), &file]).out.trim_end().to_owned();
        (file.display().to_string(), recipient)
    }
}

fn is_sealed(file: &Path) -> bool {
    fs::read(file).expect("a session file").starts_with(b"age-encryption.org/")
}

/// The number of tokens that a load has restored.
fn restored(told: &str) -> u32 {
    let before = told.split(" tokens restored").next().expect("something");
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn a_sealed_conversation_goes_on_and_stays_sealed() {
    let scene = Scene::new();
    let file = scene.sealed("chat");
    let size = |file: &Path| fs::metadata(file.with_extension("kv")).expect("an image").len();
    let before = size(&file);
    // Nothing but the passphrase is said: a session that was sealed stays so.
    let told = scene.chat(&["--load", "chat.json"], Some(PASSPHRASE), &["And the map?", "/save"]);
    assert!(told.contains("loaded chat: direct") && told.contains("(sealed)"), "{told}");
    assert!(is_sealed(&file) && size(&file) > before);
    let again = scene.chat(&["--load", "chat.json", "--sealed"], Some(PASSPHRASE), &[]);
    assert!(again.contains("loaded chat: direct") && restored(&again) > restored(&told), "{again}");
    for entry in fs::read_dir(scene.folder.path()).expect("a folder") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("read");
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}

#[test]
fn a_wrong_key_no_key_and_no_encryption_are_refused() {
    let scene = Scene::new();
    scene.sealed("chat");
    scene.chat(&["--session", "open"], None, &["Hello", "/save"]);
    let (key, _) = scene.key("ada.key");
    let cases: [(&[&str], Option<&str>, &str); 4] = [
        (&["--load", "chat.json"], None, "a passphrase is needed to open it; none was given"),
        (&["--load", "chat.json"], Some("battery staple"), "a passphrase is another one"),
        (&["--load", "chat.json", "--key", &key], None, "a passphrase is needed"),
        (&["--load", "open.json", "--sealed"], Some(PASSPHRASE), "the session is not encrypted"),
    ];
    for (arguments, passphrase, why) in cases {
        let said = scene.run(&[&["chat"], arguments].concat(), passphrase, &["Hello", "/save"]);
        let told = line(&said.err);
        assert!(said.code == 96 && said.out.is_empty(), "{arguments:?}: {told}");
        assert!(told.contains("not loaded: ") && told.contains(why), "{arguments:?}: {told}");
    }
    let refused = scene.run(&["chat", "--recipient", "age1nobody"], None, &[]);
    assert!(refused.code == 96 && refused.err.contains("age1"), "{}", refused.err);
}

#[test]
fn a_session_for_a_recipient_is_saved_when_it_is_said_for_whom() {
    let scene = Scene::new();
    let (key, recipient) = scene.key("ada.key");
    let file = scene.file("chat.json");
    scene.chat(&["--recipient", &recipient], None, &[SECRET, "/save"]);
    assert!(is_sealed(&file));
    let before = [&file, &file.with_extension("kv")].map(|file| fs::read(file).expect("read"));
    let opened = ["--load", "chat.json", "--key", &key];
    let told = scene.refused(&opened, None, &["And the map?", "/save", "/save other.json"]);
    assert!(told.contains("loaded chat: direct") && told.contains("see --recipient"), "{told}");
    assert_eq!(told.matches("not saved: the session is to stay encrypted").count(), 2, "{told}");
    assert_eq!(before, [&file, &file.with_extension("kv")].map(|file| fs::read(file).expect("read")));
    assert!(!scene.file("other.json").exists() && !scene.file("other.kv").exists());

    let told =
        scene.chat(&[&opened[..], &["--recipient", &recipient]].concat(), None, &["And the map?", "/save"]);
    assert!(told.contains("(sealed)") && is_sealed(&file), "{told}");
    assert!(scene.chat(&opened, None, &[]).contains("loaded chat: direct"));
}

#[test]
fn neither_is_written_over_the_other() {
    let scene = Scene::new();
    let sealed = scene.sealed("chat");
    let before = fs::read(&sealed).expect("read");
    let told = scene.refused(&["--session", "open"], None, &["Hello", "/save chat.json", "/save"]);
    assert!(told.contains("not saved: ") && told.contains("is sealed, and this session is not"), "{told}");
    assert_eq!(fs::read(&sealed).expect("read"), before);

    // Also not when another session takes the id of a sealed one.
    let open = scene.file("open.json");
    let before = fs::read(&open).expect("read");
    let told = scene.refused(
        &["--load", "chat.json"],
        Some(PASSPHRASE),
        &["/new", "Hello", "/save", "/save --replace chat.json", "/save --replace open.json"],
    );
    assert!(told.contains("neither loaded nor saved here"), "the talk that was loaded stays: {told}");
    assert!(told.contains("(sealed)") && told.contains("is there and not sealed"), "{told}");
    assert_eq!(fs::read(&open).expect("read"), before);
    assert!(is_sealed(&sealed));
}

#[test]
fn a_compressed_session_stays_compressed() {
    let scene = Scene::new();
    scene.chat(&["--session", "chat"], None, &["Hello", "/save"]);
    let made = intact(["seal".as_ref(), "--compress".as_ref(), scene.file("chat.json").as_os_str()]);
    assert_eq!(made.code, 0, "{}", made.err);
    let told = scene.chat(&["--load", "chat-sealed.json"], None, &["Hello again", "/save chat-sealed.json"]);
    assert!(told.contains("loaded chat: direct") && told.contains("(compressed)"), "{told}");
    let again = scene.chat(&["--load", "chat-sealed.json"], None, &[]);
    assert!(again.contains("loaded chat: direct") && restored(&again) > restored(&told), "{again}");
}

#[test]
fn a_store_keeps_a_sealed_conversation_for_whoever_has_the_key() {
    let scene = Scene::new();
    let ada = ["--store", "store", "--session", "ada"];
    let told = scene.chat(&[&ada[..], &["--sealed"]].concat(), Some(PASSPHRASE), &[SECRET, "/save"]);
    assert!(told.contains("saved as ada, save 1") && told.contains("(sealed)"), "{told}");
    for passphrase in [None, Some("battery staple")] {
        let refused = scene.run(&[&["chat"], &ada[..]].concat(), passphrase, &["Hello", "/save"]);
        assert!(refused.code == 96 && line(&refused.err).contains("is encrypted"), "{}", refused.err);
    }
    let told = scene.chat(&ada, Some(PASSPHRASE), &["And the map?", "/save"]);
    assert!(told.contains("loaded ada: direct") && told.contains("saved as ada, save 2"), "{told}");
    assert!(told.contains("(sealed)"), "{told}");

    // A damaged chunk costs the KV and not the conversation.
    let chunks = scene.file("store/chunks");
    for folder in fs::read_dir(&chunks).expect("a folder") {
        for entry in fs::read_dir(folder.expect("a folder").path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let mut bytes = fs::read(&path).expect("read");
            if !bytes.starts_with(b"age-encryption.org/") {
                bytes[50] ^= 1;
                fs::write(&path, bytes).expect("written");
            }
        }
    }
    let told = scene.chat(&ada, Some(PASSPHRASE), &[]);
    assert!(told.contains("the KV image is left out") && told.contains("loaded ada: reprefilled"), "{told}");
}

#[test]
fn what_was_put_in_the_place_of_a_newer_or_a_sealed_session_is_noticed_where_that_was_seen() {
    let scene = Scene::new();
    let ada = ["--store", "store", "--session", "ada"];
    let sealed = [&ada[..], &["--sealed"]].concat();
    scene.chat(&sealed, Some(PASSPHRASE), &[SECRET, "/save"]);
    let sessions = fs::read_dir(scene.file("store/sessions")).expect("a folder");
    let heads = sessions.map(|entry| entry.expect("an entry").path()).next().expect("a session");
    let told = scene.chat(&ada, Some(PASSPHRASE), &["And the map?", "/save"]);
    assert!(told.contains("saved as ada, save 2") && !told.contains("was seen here before"), "{told}");

    // Who can write the store takes the newer one away: everything is as well sealed as it was.
    fs::remove_file(heads.join("000000000002.json")).expect("removed");
    let told = scene.chat(&ada, Some(PASSPHRASE), &[]);
    assert!(told.contains("it is at save 1, and save 2 was seen here before"), "{told}");
    let store = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.arg("store").args(words).args(["--store", "store"]).current_dir(scene.folder.path());
        let command = command.env("INTACT_HOME", scene.file("home")).env("INTACT_PASSPHRASE", PASSPHRASE);
        said(&command.output().expect("it runs"))
    };
    let exported = store(&["export", "ada", "--to", "old.json"]);
    assert!(line(&exported.err).contains("save 2 was seen here before"), "{}", exported.err);

    // Or puts one there that is not sealed.
    scene.chat(&["--session", "ada"], None, &["Hello", "/save plain.json"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    command.args(["store", "import", "plain.json", "--replace", "--plain-over-sealed", "--store", "store"]);
    command.current_dir(scene.folder.path()).env("INTACT_HOME", scene.file("another"));
    assert_eq!(said(&command.output().expect("it runs")).code, 0);
    let told = scene.refused(&ada, Some(PASSPHRASE), &["Hello", "/save"]);
    assert!(told.contains("it is not sealed, and was when it was seen here before"), "{told}");
}

#[test]
fn a_sealed_session_is_checked_against_a_model_with_its_key() {
    let scene = Scene::new();
    scene.sealed("chat");
    let checked = scene.run(&["check", "chat.json"], Some(PASSPHRASE), &[]);
    assert!(checked.code == 0 && checked.out.contains("Route: direct"), "{}{}", checked.out, checked.err);
    let refused = scene.run(&["check", "chat.json"], None, &[]);
    assert!(refused.code == 96 && line(&refused.err).contains("is encrypted"), "{}", refused.err);
}

#[cfg(unix)]
#[test]
fn the_worker_gets_no_passphrase() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new();
    let spy = scene.file("spy");
    let script = format!("#!/bin/sh\nenv > environment\nexec '{}'\n", worker().display());
    fs::write(&spy, script).expect("written");
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).expect("executable");
    let told = scene.chat(&["--sealed", "--worker", "./spy"], Some(PASSPHRASE), &["Hello", "/save"]);
    assert!(told.contains("(sealed)"), "{told}");
    let environment = fs::read_to_string(scene.file("environment")).expect("written");
    assert!(environment.contains("PATH=") && !environment.contains(PASSPHRASE), "{environment}");
}
