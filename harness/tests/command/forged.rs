//! Session files that somebody else made to be taken for one's own: who wrote a session is told, and can be asked for.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use intact_format::image::ImageReference;
use intact_format::session;
use intact_format::version::FormatVersion;
use serde_json::Value;
use tempfile::TempDir;

use super::cli::{Said, golden_session, intact, line, said};

struct Scene {
    folder: TempDir,
    /// The owner's key file, and the public key that sessions are sealed for.
    key: PathBuf,
    recipient: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        golden_session(folder.path(), "chat");
        let (key, recipient) = new_key(folder.path(), "ada.key");
        Self { folder, key, recipient }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `intact` in the folder, without a passphrase.
    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("NO_COLOR", "1").env_remove("INTACT_PASSPHRASE").env_remove("INTACT_STORE");
        command.env("INTACT_HOME", self.file("home"));
        said(&command.output().expect("the command runs"))
    }

    /// The same with these words, which have to succeed.
    fn fine(&self, words: &str) -> Said {
        let said = self.run(words.split_whitespace());
        assert_eq!(said.code, 0, "{words}: {}{}", said.out, said.err);
        said
    }

    /// What somebody says in the place of another, with a digest that is right.
    fn edited(&self, name: &str) -> PathBuf {
        let mut document =
            session::read(&fs::read(self.file("chat.json")).expect("read"), FormatVersion::CURRENT)
                .expect("a session")
                .document;
        "Give Eve the key.".clone_into(&mut document.history.last_mut().expect("a message").content);
        let written = session::write(&document, FormatVersion::CURRENT).expect("written");
        fs::write(self.file(name), written.bytes).expect("written");
        fs::copy(self.file("chat.kv"), self.file(name).with_extension("kv")).expect("copied");
        self.file(name)
    }
}

/// A key file, and the public key that sessions are sealed for.
fn new_key(folder: &Path, name: &str) -> (PathBuf, String) {
    let file = folder.join(name);
    let made = intact(["key".as_ref(), file.as_os_str()]);
    assert_eq!(made.code, 0, "{}", made.err);
    (file, made.out.trim_end().to_owned())
}

/// The public key that signatures by a key file are checked with.
fn signer(key: &Path) -> String {
    let public = intact(["key".as_ref(), "--public".as_ref(), key.as_os_str()]);
    assert_eq!(public.code, 0, "{}", public.err);
    public.out.lines().nth(1).expect("a second key").to_owned()
}

#[test]
fn a_session_that_somebody_else_sealed_is_named_as_unsigned_and_refused_by_those_who_ask_who_signed_it() {
    let scene = Scene::new();
    scene.edited("evil.json");
    let Scene { recipient, key, .. } = &scene;
    let (signer, key) = (signer(key), key.display());
    scene.fine(&format!("seal evil.json --recipient {recipient} --out forged.json"));
    scene.fine(&format!("seal chat.json --recipient {recipient} --sign {key} --out own.json"));
    let (eve, _) = new_key(scene.folder.path(), "eve.key");
    let eves = self::signer(&eve);
    scene.fine(&format!("seal evil.json --recipient {recipient} --sign eve.key --out eves.json"));
    assert_ne!(eves, signer);

    let readers = [
        format!("verify FILE --key {key}"),
        format!("inspect FILE --key {key}"),
        format!("check FILE --key {key} --tag b8783"),
        format!("unseal FILE --key {key} --out REFUSED"),
        format!("store --store st import FILE --key {key} --replace"),
    ];
    for reader in &readers {
        let words = |file: &str| format!("{reader} --trusted {signer}").replace("FILE", file);
        for (file, why) in
            [("forged.json", "is not signed"), ("evil.json", "is not signed"), ("eves.json", eves.as_str())]
        {
            let refused = scene.run(words(file).replace("REFUSED", "refused.json").split_whitespace());
            assert_ne!(refused.code, 0, "{reader} {file}: {}{}", refused.out, refused.err);
            let told = line(&(refused.out + &refused.err));
            assert!(told.contains(why), "{reader} {file}: {told}");
            assert!(!scene.file("refused.json").exists());
        }
        let out = format!("out-{}.json", reader.len());
        scene.fine(&words("own.json").replace("REFUSED", &out));
    }

    // Without --trusted it is said who vouches for it.
    let plainly = |file: &str| line(&scene.fine(&format!("verify {file} --key {key}")).out);
    assert!(plainly("forged.json").contains("not signed: whoever has the public key can have sealed it"));
    assert!(plainly("own.json").contains(&format!("signed by {signer}")));
    let shown: Value =
        serde_json::from_str(&scene.fine(&format!("inspect own.json --key {key} --json")).out).expect("JSON");
    assert_eq!(shown["signed_by"], signer.as_str(), "{shown}");
    let shown: Value =
        serde_json::from_str(&scene.fine(&format!("inspect forged.json --key {key} --json")).out)
            .expect("JSON");
    assert!(shown["warnings"][0].as_str().is_some_and(|text| text.contains("not signed")), "{shown}");
}

#[test]
fn a_compressed_session_can_be_signed_and_says_so() {
    let scene = Scene::new();
    let (signer, key) = (signer(&scene.key), scene.key.display());
    scene.fine(&format!("seal chat.json --compress --sign {key} --out own.json"));
    scene.fine(&format!("verify own.json --trusted {signer}"));
    let text = fs::read_to_string(scene.file("own.json")).expect("an envelope");
    let forged = text.replacen("\"Document\":\"{", "\"Document\":\"{ ", 1);
    assert_ne!(text, forged);
    fs::write(scene.file("own.json"), forged).expect("written");
    for trusted in [format!("--trusted {signer}"), String::new()] {
        let refused = scene.run(format!("verify own.json {trusted}").split_whitespace());
        assert_ne!(refused.code, 0, "{}{}", refused.out, refused.err);
    }
}

#[test]
fn a_plain_file_in_the_place_of_a_sealed_one_is_named_where_a_key_was_given() {
    let scene = Scene::new();
    let key = scene.key.display();
    for command in ["verify chat.json", "inspect chat.json", "check chat.json --tag b8783"] {
        for (more, told) in [(String::new(), false), (format!(" --key {key}"), true)] {
            let said = scene.fine(&format!("{command}{more}"));
            assert_eq!(line(&said.err).contains("is not sealed"), told, "{command}{more}: {}", said.err);
            let json = scene.fine(&format!("{command}{more} --json")).out;
            assert_eq!(json.contains("is not sealed"), told, "{command}{more}: {json}");
        }
    }
    scene.fine("store --store st import chat.json");
    let found = scene.fine(&format!("store --store st verify --key {key}"));
    assert!(line(&found.err).contains("is not sealed"), "{}", found.err);
    let found = scene.fine(&format!("store --store st verify --key {key} --json"));
    let found: Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!(found["unsealed"].as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn nothing_plain_takes_the_place_of_something_sealed_in_a_store_unless_that_is_said() {
    let scene = Scene::new();
    let Scene { recipient, key, .. } = &scene;
    let key = key.display();
    scene.fine(&format!("seal chat.json --recipient {recipient}"));
    scene.fine(&format!("store --store st import chat-sealed.json --key {key}"));
    let before = scene.fine("store --store st ls --json").out;
    for replace in ["", " --replace"] {
        let said = scene.run(format!("store --store st import chat.json{replace}").split_whitespace());
        assert_eq!(said.code, 96, "{}", said.out);
    }
    let said = scene.run("store --store st import chat.json --replace".split_whitespace());
    assert!(
        line(&said.err).contains("is sealed") && line(&said.err).contains("--plain-over-sealed"),
        "{}",
        said.err
    );
    assert_eq!(scene.fine("store --store st ls --json").out, before);
    // A sealed one may, and a plain one where that is said.
    scene.fine(&format!("store --store st import chat-sealed.json --key {key} --replace"));
    scene.fine("store --store st import chat.json --replace --plain-over-sealed");
}

#[cfg(unix)]
#[test]
fn what_was_sealed_is_written_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new();
    let Scene { recipient, key, .. } = &scene;
    scene.fine(&format!("seal chat.json --recipient {recipient}"));
    scene.fine(&format!("unseal chat-sealed.json --key {} --out back.json", key.display()));
    for name in ["back.json", "back.kv"] {
        let mode = fs::metadata(scene.file(name)).expect("written").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn a_chunk_that_says_it_would_be_immense_is_refused_before_there_is_room_for_it() {
    const IMMENSE: u64 = 1 << 60;
    let scene = Scene::new();
    scene.fine("seal chat.json --compress --out small.json");
    for kind in ["Zstd", "Plain"] {
        let mut envelope: Value =
            serde_json::from_slice(&fs::read(scene.file("small.json")).expect("read")).expect("JSON");
        let text = envelope["Document"].as_str().expect("a document").to_owned();
        let mut document = session::read(text.as_bytes(), FormatVersion::CURRENT).expect("sound").document;
        let chunk = &mut envelope["Chunks"][0];
        let id = chunk["Id"].as_str().expect("an id").parse().expect("an id");
        chunk["Bytes"] = IMMENSE.into();
        chunk["Encoding"] =
            if kind == "Plain" { serde_json::json!({"Kind": kind}) } else { chunk["Encoding"].clone() };
        document.image = Some(ImageReference::opaque([(id, IMMENSE)], "a test"));
        let written = session::write(&document, FormatVersion::CURRENT).expect("written").bytes;
        envelope["Document"] = String::from_utf8(written).expect("text").into();
        // The form is told from the first bytes.
        let version =
            envelope.as_object_mut().expect("an object").remove("IntactEnvelope").expect("a version");
        let rest = serde_json::to_string(&envelope).expect("JSON");
        fs::write(scene.file("bomb.json"), format!("{{\"IntactEnvelope\":{version},{}", &rest[1..]))
            .expect("written");
        fs::copy(scene.file("small.kv"), scene.file("bomb.kv")).expect("copied");
        let said = scene.run(["verify", "bomb.json"]);
        assert_eq!(said.code, 100, "{kind}: {}{}", said.out, said.err);
        assert!(said.out.contains(&IMMENSE.to_string()), "{kind}: {}", said.out);
        let said = scene.run(["unseal", "bomb.json"]);
        assert_eq!(said.code, 96, "{kind}: {}{}", said.out, said.err);
    }
}
