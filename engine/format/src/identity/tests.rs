use std::fs;
use std::path::{Path, PathBuf};

use super::{HubFile, IdentityCache, IdentityError, KvShape};
use crate::gguf::sample::{Item, Sample, tiny};
use crate::gguf::{Gguf, GgufError};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, sample: &Sample) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, sample.bytes()).unwrap();
        path
    }

    fn cache(&self) -> IdentityCache {
        IdentityCache::new(self.entries())
    }

    fn entries(&self) -> PathBuf {
        self.0.path().join("identities")
    }
}

fn gguf(sample: &Sample) -> Gguf {
    let bytes = sample.bytes();
    Gguf::read(bytes.as_slice(), bytes.len() as u64).unwrap()
}

/// Replaces the remembered SHA-256, so that a test sees whether the entry was used.
fn tamper(entries: &Path) {
    for entry in fs::read_dir(entries).unwrap() {
        let path = entry.unwrap().path();
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        document["identity"]["sha256"] = "remembered".into();
        fs::write(&path, document.to_string()).unwrap();
    }
}

#[test]
fn an_identity_names_file_content_architecture_quantization_and_shape() {
    let folder = Folder::new();
    let path = folder.write("tiny-Q4_K_M.gguf", &tiny());
    let identity = folder.cache().identify(&path).unwrap();
    assert_eq!(identity.file, "tiny-Q4_K_M.gguf");
    assert_eq!(identity.size, tiny().bytes().len() as u64);
    assert_eq!(identity.architecture, "llama");
    assert_eq!(identity.quantization, "Q4_K_M");
    assert_eq!(identity.repository, None);
    let shape: Vec<_> = identity.shape.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shape,
        [
            "attention.head_count=4",
            "attention.head_count_kv=[2, 1]",
            "block_count=2",
            "rope.freq_base=10000.0"
        ]
    );
}

#[test]
fn the_content_hash_is_the_sha256_that_hubs_publish() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let expected: String = {
        use sha2::Digest;
        sha2::Sha256::digest(tiny().bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(folder.cache().identify(&path).unwrap().sha256, expected);
}

#[test]
fn whoever_wrote_a_file_and_hashed_it_has_nobody_hash_it_again() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let known = "a".repeat(64);
    folder.cache().identify_hashed(&path, &known).unwrap();
    assert_eq!(folder.cache().identify_content(&path).unwrap().sha256, known);

    fs::write(&path, tiny().bytes()).unwrap();
    assert_ne!(folder.cache().identify_content(&path).unwrap().sha256, known, "it was written to since");
}

#[test]
fn a_file_is_not_hashed_twice() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    folder.cache().identify(&path).unwrap();
    tamper(&folder.entries());
    assert_eq!(folder.cache().identify(&path).unwrap().sha256, "remembered");
}

#[test]
fn a_file_that_changed_is_hashed_again() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let before = folder.cache().identify(&path).unwrap();
    tamper(&folder.entries());
    folder.write("tiny.gguf", &Sample { data: vec![8; 288], ..tiny() });
    let after = folder.cache().identify(&path).unwrap();
    assert!(!before.same_weights(&after));
    assert_ne!(after.sha256, "remembered");
}

#[test]
fn a_file_that_was_replaced_by_one_of_equal_size_is_hashed_again() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    folder.cache().identify(&path).unwrap();
    tamper(&folder.entries());
    let other = folder.write("other.gguf", &Sample { data: vec![8; 256], ..tiny() });
    fs::rename(other, &path).unwrap();
    assert_ne!(folder.cache().identify(&path).unwrap().sha256, "remembered");
}

#[test]
fn a_damaged_entry_counts_as_absent_and_is_written_anew() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let first = folder.cache().identify(&path).unwrap();
    for damage in ["", "{", "[1, 2]", "\u{0}\u{0}", r#"{"version": 1}"#] {
        for entry in fs::read_dir(folder.entries()).unwrap() {
            fs::write(entry.unwrap().path(), damage).unwrap();
        }
        assert_eq!(folder.cache().identify(&path).unwrap(), first);
    }
    tamper(&folder.entries());
    assert_eq!(folder.cache().identify(&path).unwrap().sha256, "remembered");
}

#[test]
fn a_cache_that_cannot_be_written_to_only_costs_time() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let blocked = folder.write("blocked", &tiny());
    let identity = IdentityCache::new(blocked.join("identities")).identify(&path).unwrap();
    assert_eq!(identity.sha256.len(), 64);
}

#[test]
fn a_missing_a_foreign_and_a_cut_file_are_told_apart() {
    let folder = Folder::new();
    let missing = folder.cache().identify(&folder.0.path().join("none.gguf"));
    assert!(matches!(missing, Err(IdentityError::NotFound(_))));
    let foreign = folder.0.path().join("foreign.gguf");
    fs::write(&foreign, b"something else").unwrap();
    let foreign = folder.cache().identify(&foreign);
    assert!(matches!(foreign, Err(IdentityError::Gguf { source: GgufError::NotGguf { .. }, .. })));
    let cut = folder.write("cut.gguf", &Sample { data: vec![7; 32], ..tiny() });
    let cut = folder.cache().identify(&cut);
    assert!(matches!(cut, Err(IdentityError::Gguf { source: GgufError::Truncated { .. }, .. })));
}

#[cfg(unix)]
#[test]
fn a_file_in_a_hub_cache_brings_its_repository_its_revision_and_its_hash() {
    let folder = Folder::new();
    let published = "ab".repeat(32);
    let blob = folder.write(&format!("models--owner--some--name/blobs/{published}"), &tiny());
    let link = folder.0.path().join("models--owner--some--name/snapshots/0123abc/tiny.gguf");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&blob, &link).unwrap();

    let hub = HubFile::of(&link).unwrap();
    assert_eq!((hub.repository.as_str(), hub.revision.as_str()), ("owner/some--name", "0123abc"));
    let identity = folder.cache().identify(&link).unwrap();
    assert_eq!(identity.sha256, published);
    assert_eq!(identity.repository.as_deref(), Some("owner/some--name"));
    assert_eq!(identity.file, "tiny.gguf");

    let content = folder.cache().identify_content(&link).unwrap();
    assert_ne!(content.sha256, published, "the content is hashed even though a hub's hash is remembered");
    assert_eq!(folder.cache().identify(&link).unwrap().sha256, content.sha256);
}

#[test]
fn a_path_outside_a_hub_cache_tells_nothing() {
    for path in ["tiny.gguf", "/models/snapshots/x/tiny.gguf", "models--a--b/snapshots", "snapshots/x/y"] {
        assert_eq!(HubFile::of(Path::new(path)), None, "{path}");
    }
}

#[test]
fn shapes_that_differ_say_in_which_keys() {
    let here = KvShape::of(&gguf(&tiny())).unwrap();
    let other = KvShape::of(&gguf(&tiny().set("llama.rope.freq_base", Item::F32(1e6)))).unwrap();
    assert_ne!(here.fingerprint(), other.fingerprint());
    assert_eq!(here.differences(&other), [("rope.freq_base", Some("10000.0"), Some("1000000.0"))]);
    let longer = KvShape::of(&gguf(&tiny().set("llama.attention.sliding_window", Item::U32(512)))).unwrap();
    assert_eq!(here.differences(&longer), [("attention.sliding_window", None, Some("512"))]);
}

#[test]
fn the_vocabulary_hash_follows_the_tokenizer_and_nothing_else() {
    let hash = |sample: &Sample| super::shape::vocabulary_hash(&gguf(sample));
    let base = hash(&tiny());
    for same in [
        tiny().set("tokenizer.chat_template", Item::Text("other")),
        tiny().set("general.name", Item::Text("other")),
        tiny().set("llama.block_count", Item::U32(9)),
    ] {
        assert_eq!(hash(&same), base);
    }
    for other in [
        tiny().set("tokenizer.ggml.tokens", Item::Texts(vec!["a", "b", "ba"])),
        tiny().set("tokenizer.ggml.model", Item::Text("llama")),
        tiny().set("tokenizer.ggml.add_bos_token", Item::Bool(false)),
        tiny().set("tokenizer.ggml.eos_token_id", Item::U32(2)),
    ] {
        assert_ne!(hash(&other), base);
    }
}

#[test]
fn an_identity_survives_json_and_refuses_what_it_does_not_know() {
    let folder = Folder::new();
    let identity = folder.cache().identify(&folder.write("tiny.gguf", &tiny())).unwrap();
    let mut json = serde_json::to_value(&identity).unwrap();
    assert_eq!(serde_json::from_value::<super::ModelIdentity>(json.clone()).unwrap(), identity);
    json["unheard"] = 1.into();
    assert!(serde_json::from_value::<super::ModelIdentity>(json).is_err());
}
