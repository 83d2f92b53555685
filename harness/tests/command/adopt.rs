//! `adopt` on sequence files that llama.cpp releases wrote: taken where the model says the same, else refused, and what is
//! written then.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::cli::{Said, intact, worker};

/// A copy of what a release wrote.
fn golden(folder: &TempDir, release: &str, form: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases").join(release);
    let copy = folder.path().join("slot.ggsq");
    fs::copy(from.join(format!("{form}.ggsq")), &copy).expect("copied");
    copy
}

/// Adopts a file with a fixture model.
fn adopt(file: &Path, model: &str, more: &[&str]) -> Said {
    let model = intact_fixtures::cached(model).expect("a fixture model");
    let words = ["adopt".as_ref(), file.as_os_str(), "--model".as_ref(), model.as_os_str()];
    let settings = ["--worker".as_ref(), worker().as_os_str(), "--context".as_ref(), "1024".as_ref()];
    intact(words.into_iter().chain(settings).chain(more.iter().map(AsRef::as_ref)))
}

/// What lies in the folder, but for the state file.
fn written(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "slot.ggsq");
    names.sort();
    names
}

#[test]
fn a_file_of_any_release_becomes_a_session_that_loads_here() {
    for (release, form, transcoded) in
        [("0.6.0", "f16", false), ("b5686", "f16", false), ("b8233", "q8_0", true), ("b8783", "q8_0", false)]
    {
        let what = format!("{form} of {release}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = golden(&folder, release, form);
        let before = fs::read(&file).expect("a state file");
        let said = adopt(&file, "llama", &[]);
        assert_eq!(said.code, 0, "{what}: {}{}", said.out, said.err);
        assert!(said.out.contains("Adopted from a sequence file"), "{what}: {}", said.out);
        assert_eq!(said.out.contains("transcoded"), transcoded, "{what}: {}", said.out);
        assert_eq!(written(&folder), ["slot.json", "slot.kv"], "{what}");
        assert!(fs::read(&file).expect("a state file") == before, "{what}: the file stays as it is");

        let session = file.with_extension("json");
        let verified = intact([Path::new("verify"), &session]);
        assert_eq!(verified.code, 0, "{what}: {}{}", verified.out, verified.err);
        let strict = ["check".as_ref(), session.as_os_str(), "--tag".as_ref(), "0.6.0".as_ref()];
        let checked = intact(strict.into_iter().chain(["--policy".as_ref(), "strict".as_ref()]));
        assert_eq!(checked.code, 0, "{what}: {}{}", checked.out, checked.err);
        assert!(checked.out.contains("Route: direct"), "{what}: {}", checked.out);

        let again = adopt(&file, "llama", &[]);
        assert_eq!(again.code, 96, "{what}: nothing is overwritten: {}", again.out);
        assert!(again.err.contains("is there already") && again.err.contains("--out"), "{}", again.err);
    }
}

#[test]
fn the_result_as_json_names_the_files_and_what_was_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = golden(&folder, "0.6.0", "f16");
    let out = folder.path().join("mine.json");
    let said = adopt(&file, "llama", &["--json", "--out", out.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let told: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(told["files"][0].as_str(), out.to_str());
    assert!(told["adopted"]["tokens"].as_u64().is_some_and(|tokens| tokens > 10), "{told}");
    let within = |found: &str| told["adopted"][found].as_f64() <= told["adopted"]["nmse_allowed"].as_f64();
    assert!(within("nmse_k") && within("nmse_v"), "{told}");
    assert_eq!(written(&folder), ["mine.json", "mine.kv"]);
}

#[test]
fn a_state_that_the_model_contradicts_or_that_is_damaged_is_refused_and_nothing_is_written() {
    type Damage = fn(&mut Vec<u8>);
    let table: [(&str, &str, Damage); 5] = [
        ("other weights", "llama-other", |_| {}),
        ("another shape", "qwen3", |_| {}),
        ("truncated", "llama", |bytes| bytes.truncate(bytes.len() / 2)),
        ("one number changed", "llama", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0x77);
        }),
        ("trailing bytes", "llama", |bytes| bytes.extend([0; 8])),
    ];
    for (what, model, damage) in table {
        let folder = tempfile::tempdir().expect("a folder");
        let file = golden(&folder, "0.6.0", "f16");
        let mut bytes = fs::read(&file).expect("a state file");
        damage(&mut bytes);
        fs::write(&file, bytes).expect("damaged");
        let said = adopt(&file, model, &[]);
        assert_eq!(said.code, 100, "{what}: {}{}", said.out, said.err);
        assert!(said.err.contains("was not adopted ("), "{what}: {}", said.err);
        assert!(written(&folder).is_empty(), "{what}: {:?}", written(&folder));
    }
}

#[test]
fn what_cannot_be_a_state_or_a_conversation_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = adopt(&folder.path().join("none.ggsq"), "llama", &[]);
    assert_eq!(missing.code, 96, "{}", missing.err);
    assert!(missing.err.contains("none.ggsq"), "{}", missing.err);

    let file = golden(&folder, "0.6.0", "f16");
    let history = folder.path().join("chat.txt");
    fs::write(&history, "Hello").expect("written");
    let said = adopt(&file, "llama", &["--history", history.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 96, "{}", said.err);
    assert!(said.err.contains("is not a conversation"), "{}", said.err);

    let other = r#"[{"role": "user", "content": "Something that was never said"}]"#;
    fs::write(&history, other).expect("written");
    let said = adopt(&file, "llama", &["--history", history.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 100, "a conversation that is not that of the tokens: {}{}", said.out, said.err);
    assert_eq!(written(&folder), ["chat.txt"]);
}
