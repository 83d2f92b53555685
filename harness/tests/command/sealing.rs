//! `key`, `seal`, `unseal`, `pack` and `unpack` on a session file of a release.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cli::{Said, golden_session, intact, said};

/// A folder with a session file and its image.
fn desk() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let session = golden_session(folder.path(), "chat");
    (folder, session)
}

fn with_passphrase<A: AsRef<OsStr>>(passphrase: &str, arguments: impl IntoIterator<Item = A>) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    let output = command.args(arguments).env("NO_COLOR", "1").env("INTACT_PASSPHRASE", passphrase).output();
    said(&output.expect("the command runs"))
}

fn fine(said: &Said) -> PathBuf {
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    PathBuf::from(said.out.trim_end())
}

fn words<'a>(words: &[&'a str], file: &'a Path) -> Vec<&'a OsStr> {
    words.iter().map(|word| OsStr::new(*word)).chain([file.as_os_str()]).collect()
}

/// Two session files with the same document and sound images.
fn assert_same(one: &Path, other: &Path) {
    assert_eq!(fs::read(one).expect("read"), fs::read(other).expect("read"));
    fine(&intact(words(&["verify"], other)));
}

#[test]
fn a_session_is_sealed_for_a_key_and_opens_with_it_alone() {
    let (folder, session) = desk();
    let key = folder.path().join("ada.key");
    let recipient = intact(words(&["key"], &key));
    fine(&recipient);
    let recipient = recipient.out.trim_end();
    let sealed = fine(&intact(words(&["seal", "--recipient", recipient, "--compress"], &session)));
    assert_eq!(sealed.file_name(), Some(OsStr::new("chat-sealed.json")));
    let size = |path: &Path| fs::metadata(path.with_extension("kv")).expect("an image").len();
    assert!(size(&sealed) < size(&session), "compressed");

    for command in ["verify", "inspect", "unseal"] {
        let refused = intact(words(&[command], &sealed));
        assert_ne!(refused.code, 0, "{command}");
        let said = refused.out + &refused.err;
        assert!(said.contains("encrypted"), "{command}: {said}");
    }
    let other = folder.path().join("other.key");
    fine(&intact(words(&["key"], &other)));
    let refused = intact(words(&["unseal", "--key", other.to_str().expect("UTF-8")], &sealed));
    assert_eq!(refused.code, 96);
    assert!(refused.err.contains("another one"), "{}", refused.err);

    let plain = fine(&intact(words(&["unseal", "--key", key.to_str().expect("UTF-8")], &sealed)));
    assert_same(&session, &plain);
}

#[test]
fn a_session_is_sealed_with_a_passphrase() {
    let (_folder, session) = desk();
    let sealed = fine(&with_passphrase("correct horse", words(&["seal"], &session)));
    let refused = with_passphrase("battery staple", words(&["unseal"], &sealed));
    assert_eq!(refused.code, 96);
    assert!(!refused.err.contains("staple"), "{}", refused.err);
    assert_same(&session, &fine(&with_passphrase("correct horse", words(&["unseal"], &sealed))));
}

#[test]
fn a_session_goes_through_a_bundle_plain_and_sealed() {
    let (folder, session) = desk();
    let sealed = fine(&with_passphrase("correct horse", words(&["seal"], &session)));
    for (at, file) in [&session, &sealed].into_iter().enumerate() {
        let bundle = fine(&intact(words(&["pack"], file)));
        let verified = with_passphrase("correct horse", words(&["verify"], &bundle));
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
        assert!(
            verified.out.contains("in a bundle") && verified.out.contains("every hash"),
            "{}",
            verified.out
        );
        let mut damaged = fs::read(&bundle).expect("read");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let copy = folder.path().join(format!("damaged-{at}.intact"));
        fs::write(&copy, damaged).expect("written");
        assert_ne!(with_passphrase("correct horse", words(&["verify"], &copy)).code, 0);
        assert!(intact(words(&["inspect"], &bundle)).err.contains("intact unpack"));
        let out = folder.path().join(format!("back-{at}.json"));
        fine(&intact(words(&["unpack", "--out", out.to_str().expect("UTF-8")], &bundle)));
        assert_eq!(fs::read(file).expect("read"), fs::read(&out).expect("read"));
    }
    fine(&intact(words(&["verify"], &folder.path().join("back-0.json"))));
    let plain =
        fine(&with_passphrase("correct horse", words(&["unseal"], &folder.path().join("back-1.json"))));
    assert_same(&session, &plain);
}

#[test]
fn nothing_is_overwritten_and_wrong_input_is_refused() {
    let (folder, session) = desk();
    let name = |name: &str| folder.path().join(name);
    let taken = words(&["pack", "--out", session.to_str().expect("UTF-8")], &session);
    let cases = [
        (intact(words(&["seal"], &session)), "--recipient"),
        (intact(words(&["seal", "--recipient", "age1nobody"], &session)), "age1"),
        (intact(words(&["seal", "--compress"], &name("nothing.json"))), "nothing.json"),
        (intact(taken), "already"),
        (intact(words(&["unpack"], &session)), "already"),
        (intact(words(&["unpack", "--out", "/nowhere/chat.json"], &session)), "not a session bundle"),
        (intact(words(&["key"], &session)), "never overwritten"),
    ];
    for (said, why) in cases {
        assert_eq!(said.code, 96, "{}", said.out);
        assert!(said.err.contains(why), "{why}: {}", said.err);
    }
}

#[test]
fn a_sealed_session_is_verified_shown_and_checked_with_its_key() {
    let (folder, session) = desk();
    let key = folder.path().join("ada.key");
    let made = intact(words(&["key"], &key));
    fine(&made);
    let key = key.to_str().expect("UTF-8");
    let sealed = fine(&intact(words(&["seal", "--recipient", made.out.trim_end(), "--compress"], &session)));

    let verified = intact(words(&["verify", "--key", key], &sealed));
    fine(&verified);
    assert!(verified.out.contains("sealed, format"), "{}", verified.out);
    assert!(verified.out.contains("all open and every hash is right"), "{}", verified.out);
    let shown = |file: &Path| {
        let shown = intact(words(&["inspect", "--json", "--key", key], file));
        fine(&shown);
        serde_json::from_str::<serde_json::Value>(&shown.out).expect("JSON")
    };
    let (before, after) = (shown(&session), shown(&sealed));
    assert_eq!((before["form"].as_str(), after["form"].as_str()), (Some("plain"), Some("sealed")));
    assert_eq!(before["messages"], after["messages"]);
    let checked = |file: &Path| {
        let said = intact(words(&["check", "--tag", "0.6.0", "--json", "--key", key], file)).out;
        let mut checked: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        // Who can have written the one is not who can have written the other.
        assert_ne!(checked["notes"].take(), serde_json::json!([]), "{said}");
        checked
    };
    assert!(checked(&session)["route"].is_string());
    assert_eq!(checked(&session), checked(&sealed));

    let image = sealed.with_extension("kv");
    let mut bytes = fs::read(&image).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, bytes).expect("written");
    let damaged = intact(words(&["verify", "--key", key], &sealed));
    assert_eq!(damaged.code, 100, "{}", damaged.err);
    assert!(damaged.out.contains("damaged  image"), "{}", damaged.out);
}

#[test]
fn a_sealed_session_is_migrated_and_stays_sealed() {
    let (folder, session) = desk();
    let sealed = fine(&with_passphrase("open sesame", words(&["seal"], &session)));
    let migrate = ["migrate", "--to-tag", "0.6.0"];
    let locked = intact(words(&migrate, &sealed));
    assert_eq!(locked.code, 96, "{}", locked.out);
    let said = with_passphrase("open sesame", words(&migrate, &sealed));
    assert_eq!(said.code, 0, "{}", said.err);
    let migrated = folder.path().join("chat-sealed-0.6.0.json");
    assert!(fs::read(&migrated).expect("read").starts_with(b"age-encryption.org/"));
    assert_ne!(intact(words(&["verify"], &migrated)).code, 0, "it does not open without the passphrase");
    let check = words(&["check", "--tag", "0.6.0", "--policy", "strict"], &migrated);
    let check = with_passphrase("open sesame", check);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);

    // A file that was sealed for a key does not say for whom.
    let key = folder.path().join("ada.key");
    let recipient = intact(words(&["key"], &key));
    let recipient = recipient.out.trim_end();
    let out = folder.path().join("for-ada.json");
    let (key, out) = (key.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let for_ada = fine(&intact(words(&["seal", "--recipient", recipient, "--out", out], &session)));
    let nobody = intact(words(&[&migrate[..], &["--key", key]].concat(), &for_ada));
    assert_eq!(nobody.code, 96, "{}", nobody.out);
    assert!(nobody.err.contains("--recipient"), "{}", nobody.err);
    let named = [&migrate[..], &["--key", key, "--recipient", recipient]].concat();
    assert_eq!(intact(words(&named, &for_ada)).code, 0);
    let migrated = folder.path().join("for-ada-0.6.0.json");
    fine(&intact(words(&["verify", "--sealed", "--key", key], &migrated)));

    // Nor is a plain one sealed in passing.
    let plain = intact(words(&[&migrate[..], &["--recipient", recipient]].concat(), &session));
    assert_eq!(plain.code, 96, "{}", plain.out);
    assert!(plain.err.contains("intact seal"), "{}", plain.err);
}
