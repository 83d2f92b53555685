use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{HubFile, IdentityCache, IdentityError, KvShape, ModelWatch, model_files};
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
    assert!(matches!(foreign, Err(IdentityError::Gguf { cause: GgufError::NotGguf { .. }, .. })));
    let cut = folder.write("cut.gguf", &Sample { data: vec![7; 32], ..tiny() });
    let cut = folder.cache().identify(&cut);
    assert!(matches!(cut, Err(IdentityError::Gguf { cause: GgufError::Cut { .. }, .. })));
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

/// Part `number` of a model in `count` files. The first one alone says what it is, as llama.cpp splits them.
fn part(number: u32, count: u32) -> Sample {
    let whole = tiny();
    let pairs = if number == 1 { whole.pairs } else { Vec::new() };
    let part = Sample { pairs, ..whole };
    part.set("split.no", Item::U32(number - 1)).set("split.count", Item::U32(count))
}

fn split(folder: &Folder) -> Vec<PathBuf> {
    (1..=3).map(|number| folder.write(&format!("big-{number:05}-of-00003.gguf"), &part(number, 3))).collect()
}

#[test]
fn a_model_in_several_files_is_all_of_them() {
    let folder = Folder::new();
    let files = split(&folder);
    assert_eq!(model_files(&files[0]).unwrap(), files);
    let identity = folder.cache().identify_model(&files[0]).unwrap();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert_eq!((identity.size, identity.file.as_str()), (bytes, "big-00001-of-00003.gguf"));
    assert_eq!(identity.architecture, "llama");

    let mut other = part(2, 3);
    other.data[9] += 1;
    folder.write("big-00002-of-00003.gguf", &other);
    let changed = folder.cache().identify_model(&files[0]).unwrap();
    assert_eq!(changed.size, identity.size);
    assert!(!changed.same_weights(&identity), "other weights in its second part");
}

#[test]
fn a_model_in_one_file_is_named_by_the_hash_of_that_file() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny().set("split.count", Item::U32(1)));
    assert_eq!(folder.cache().identify_model(&path).unwrap(), folder.cache().identify(&path).unwrap());
}

#[test]
fn another_part_than_the_first_names_the_first() {
    let folder = Folder::new();
    let files = split(&folder);
    let error = model_files(&files[1]).unwrap_err();
    assert!(
        matches!(&error, IdentityError::OtherPart { part: 2, count: 3, first, .. } if *first == files[0])
    );
    assert!(error.to_string().contains("is part 2 of 3 of a model: open part 1"), "{error}");
}

#[test]
fn a_part_that_is_missing_or_cut_or_not_a_part_is_named() {
    let folder = Folder::new();
    let files = split(&folder);
    let missing = |number| {
        let error = model_files(&files[0]).unwrap_err();
        assert!(
            matches!(error, IdentityError::MissingPart { part, count: 3, .. } if part == number),
            "{error}"
        );
    };
    folder.write("big-00003-of-00003.gguf", &part(2, 3));
    missing(3);
    fs::remove_file(&files[1]).unwrap();
    missing(2);
    let bytes = part(2, 3).bytes();
    fs::write(&files[1], &bytes[..bytes.len() - 17]).unwrap();
    let error = model_files(&files[0]).unwrap_err();
    assert!(error.to_string().contains("17 bytes are missing"), "{error}");
    let renamed = folder.write("mine.gguf", &part(1, 3));
    assert!(matches!(model_files(&renamed), Err(IdentityError::PartName { part: 1, count: 3, .. })));
}

/// Other content under the same length and modification time.
fn replace_quietly(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() += 1;
    let file = fs::File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), modified);
}

#[cfg(unix)]
#[test]
fn weights_replaced_in_place_are_seen_though_length_and_time_are_kept() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let before = folder.cache().identify(&path).unwrap();
    replace_quietly(&path);
    assert!(!folder.cache().identify(&path).unwrap().same_weights(&before));
}

#[cfg(unix)]
#[test]
fn a_model_in_use_is_watched_by_its_content_and_not_by_its_name() {
    let folder = Folder::new();
    let path = folder.write("tiny.gguf", &tiny());
    let identity = folder.cache().identify_model(&path).unwrap();
    let mut watch = ModelWatch::open(&path).unwrap();
    assert!(watch.holds(&identity).unwrap());
    watch.expect_in_place().unwrap();

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(watch.holds(&identity).unwrap(), "read again, and the same");
    let aside = path.with_extension("old");
    fs::rename(&path, &aside).unwrap();
    folder.write("tiny.gguf", &tiny().set("general.name", Item::Text("another")));
    assert!(watch.holds(&identity).unwrap(), "the file that is in use has another name now");
    assert!(matches!(watch.expect_in_place(), Err(IdentityError::Changed(_))));

    replace_quietly(&aside);
    assert!(!watch.holds(&identity).unwrap());
}
