//! Which cage the commands give their workers.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use intact_protocol::{CAGED_FILES, CAGED_NETWORK, Cage};
use tempfile::TempDir;

use super::chat::with;
use super::cli::{Said, intact, worker};

/// A worker that notes its cage before it is the built-in one.
struct Noting(TempDir);

impl Noting {
    fn new() -> Self {
        let noting = Self(tempfile::tempdir().expect("a folder"));
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$INTACT_CAGE\" >> '{}'\nexec '{}' \"$@\"\n",
            noting.at("cages").display(),
            worker().display()
        );
        fs::write(noting.program(), script).expect("written");
        fs::set_permissions(noting.program(), fs::Permissions::from_mode(0o700)).expect("set");
        noting
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self) -> PathBuf {
        self.at("worker")
    }

    /// Runs a command with this worker. Gives the cages of the workers that it started.
    fn with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> (Said, Vec<Cage>) {
        let _none_yet = fs::remove_file(self.at("cages"));
        let arguments: Vec<_> = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let own = ["--worker".into(), self.program().into_os_string()];
        let said = intact(arguments.iter().chain(&own));
        let told = fs::read_to_string(self.at("cages")).unwrap_or_default();
        let cage = |line: &str| Cage::of_variable(line).expect("a cage").expect("not off");
        (said, told.lines().map(cage).collect())
    }
}

fn model() -> PathBuf {
    intact_fixtures::cached("llama").expect("a fixture").canonicalize().expect("a file")
}

fn state(folder: &Path) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases/b8783/q8_0.ggsq");
    let copy = folder.join("slot.ggsq");
    fs::copy(golden, &copy).expect("copied");
    copy
}

#[test]
fn adopt_and_check_touch_the_model_and_the_session_alone() {
    let noting = Noting::new();
    let (model, state) = (model(), state(noting.0.path()));
    let [model, file] = [&model, &state].map(|path| path.to_str().expect("text"));
    let (said, cages) = noting.with(["adopt", file, "--model", model, "--context", "1024"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let [cage] = cages.as_slice() else { panic!("{cages:?}") };
    assert_eq!(cage.read, [PathBuf::from(file), PathBuf::from(model)]);
    assert_eq!(cage.write, [noting.0.path()]);

    let session = noting.at("slot.json");
    let (said, cages) =
        noting.with(["check", session.to_str().expect("text"), "--model", model, "--context", "1024"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let [cage] = cages.as_slice() else { panic!("{cages:?}") };
    let beside = [session, noting.at("slot.kv"), noting.at("session.manifest.json"), model.into()];
    assert_eq!(*cage, Cage { read: beside.into(), write: Vec::new() });
}

#[test]
fn a_run_writes_to_its_scratch_folder_alone_and_every_worker_says_that_it_is_kept_to_it() {
    let noting = Noting::new();
    let out = noting.at("out");
    let filter = "model(llama) & subject(engine) & format(2.1) & session(turns)";
    let arguments = ["run", "-E", filter, "--out", out.to_str().expect("text")];
    let (said, cages) = noting.with(arguments);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let (playing, greeted): (Vec<_>, Vec<_>) = cages.iter().partition(|cage| !cage.write.is_empty());
    assert!(!playing.is_empty() && !greeted.is_empty(), "{cages:?}");
    for cage in greeted {
        assert_eq!(*cage, Cage::default(), "one that only says who it is");
    }
    for cage in playing {
        let [folder] = cage.write.as_slice() else { panic!("{cage:?}") };
        assert!(folder.starts_with(&out) && folder != &out, "{cage:?}");
        assert!(cage.read.iter().all(|file| file.extension().is_some_and(|name| name == "gguf")), "{cage:?}");
    }
    let results = fs::read_to_string(out.join("results.json")).expect("results");
    for feature in [CAGED_FILES, CAGED_NETWORK] {
        if !results.contains(feature) {
            eprintln!("NOT TESTED: this system has no way to be {feature}");
        }
    }
}

#[test]
fn what_a_chat_saves_where_its_worker_may_not_write_is_put_there_for_it() {
    let noting = Noting::new();
    fs::copy(model(), noting.at("model.gguf")).expect("copied");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let [far, near] = [elsewhere.path(), noting.0.path()].map(|folder| folder.join("chat.json"));
    let save = format!("/save {}", far.display());
    let own = "/save chat.json";
    let settings = ["chat", "--context", "1024", "--max-tokens", "8"];
    let lines = ["How do you do?", &save, own, "And now?", &save, own, &format!("/load {}", far.display())];
    let said = with(&noting.0, &noting.program(), &settings, &lines);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.err.matches(" bytes written: ").count(), 4, "{}", said.err);
    assert!(said.err.contains("direct"), "{}", said.err);
    let cage = fs::read_to_string(noting.at("cages")).expect("noted");
    let cage = Cage::of_variable(cage.trim()).expect("a cage").expect("not off");
    let reached = |file: &Path| cage.write.iter().any(|folder| file.starts_with(folder));
    assert!(reached(&near) && !reached(&far), "{cage:?}");
    for file in [&far, &near] {
        let verified = intact([Path::new("verify"), file]);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    }
    // What is another's is no more replaced there than anywhere.
    let other = with(&noting.0, &noting.program(), &settings, &["How do you do?", &save]);
    assert_eq!(other.code, 96, "{}", other.err);
    assert!(other.err.contains("/save --replace FILE"), "{}", other.err);
}
