//! The file form of a session: whose file is whose, and what a save never touches.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::digest::Digest;
use intact_format::image::{Chunk, Durable, ImageReference};
use intact_format::place::{
    Committed, FileSink, FileSource, PlaceError, Replaces, SessionSink, SessionSource, find_sidecar,
    sidecar_path,
};
use intact_format::route::RefusalCode;
use proptest::prelude::*;
use tempfile::TempDir;

fn document(text: &str) -> Vec<u8> {
    format!("{{\"FormatVersion\":\"2.0\",\"SessionId\":\"it\",\"Said\":\"{text}\"}}").into_bytes()
}

/// Saves a document with an image of one chunk, both made of this text.
fn save(file: &Path, replaces: Replaces, text: &str) -> Result<Committed, PlaceError> {
    let chunk = Chunk::new(text.repeat(100).into_bytes());
    let image = ImageReference::opaque([chunk.entry()], "a test");
    let mut sink = FileSink::new(file, replaces, Durable::default());
    sink.put(&chunk)?;
    sink.commit(&document(text), Some(&image))
}

/// Loads what [`save`] has saved, image and all.
fn assert_saved(file: &Path, text: &str) {
    let chunk = Chunk::new(text.repeat(100).into_bytes());
    let mut source = FileSource::new(file);
    assert_eq!(source.document().expect("a document"), document(text), "{}", file.display());
    source.locate(&ImageReference::opaque([chunk.entry()], "a test")).expect("its image");
    let mut payload = vec![0; chunk.payload().len()];
    source.read(chunk.id(), &mut payload).expect("its chunk");
    assert_eq!(payload, chunk.payload(), "{}", file.display());
}

/// Everything in a folder: names, and what is in the regular files.
fn contents(folder: &Path) -> Vec<(PathBuf, Option<Digest>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| {
        let is_file = path.symlink_metadata().is_ok_and(|it| it.is_file());
        let content = is_file.then(|| Digest::of(&fs::read(&path).expect("readable")));
        (path, content)
    };
    let mut found: Vec<_> = entries.map(read).collect();
    found.sort();
    found
}

/// A save that must be refused, for this reason, without anything having been touched.
fn assert_refused(folder: &Path, file: &Path, replaces: Replaces, code: RefusalCode) {
    let before = contents(folder);
    let error = save(file, replaces, "refused").expect_err("refused");
    assert_eq!(error.code, Some(code), "{error}");
    assert!(
        error.to_string().contains(&file.file_name().unwrap_or_default().to_string_lossy()[..1]),
        "{error}"
    );
    assert_eq!(contents(folder), before, "{error}");
}

fn desk() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn names_that_are_alike_have_images_of_their_own() {
    for (file, image) in [
        ("chat.json", "chat.kv"),
        ("b.1.json", "b.1.kv"),
        ("b.1", "b.1..kv"),
        ("b", "b..kv"),
        ("b..json", "b..json..kv"),
        (".json", ".json..kv"),
        ("folder/notes.v1", "folder/notes.v1..kv"),
    ] {
        assert_eq!(sidecar_path(Path::new(file)), Path::new(image), "{file}");
    }
    let folder = desk();
    let files =
        ["b.json", "b", "b.", "b.1", "b.2", "b.3", "b.1.json", "b..json", "b.1.", "b.1..json", "b.JSON"];
    for name in files {
        save(&folder.path().join(name), Replaces::Nothing, name).expect("saved");
    }
    for name in files {
        assert_saved(&folder.path().join(name), name);
    }
    assert_eq!(contents(folder.path()).len(), 2 * files.len());
}

proptest! {
    #[test]
    fn no_two_session_files_share_an_image_and_none_is_one(
        one in "[ab.]{0,3}(\\.json|\\.kv|)", other in "[ab.]{0,3}(\\.json|\\.kv|)"
    ) {
        prop_assume!(![&one, &other].iter().any(|name| name.is_empty() || [".", ".."].contains(&name.as_str())));
        let images = [&one, &other].map(|name| sidecar_path(Path::new(name)));
        prop_assert_eq!(one == other, images[0] == images[1], "{:?}", images);
        prop_assert!(images.iter().all(|image| image.extension().is_some_and(|it| it == "kv")));
    }
}

#[test]
fn an_image_under_the_name_that_earlier_versions_gave_it_is_found() {
    let folder = desk();
    let file = folder.path().join("notes.v1");
    save(&file, Replaces::Nothing, "one").expect("saved");
    fs::rename(sidecar_path(&file), folder.path().join("notes.kv")).expect("as it was");
    assert_saved(&file, "one");
    assert_eq!(find_sidecar(&file), folder.path().join("notes.kv"));
    // The next save leaves it alone: it may be that of `notes.v2`.
    let before = fs::read(folder.path().join("notes.kv")).expect("there");
    save(&file, Replaces::Document(Digest::of(&document("one"))), "two").expect("saved");
    assert_eq!(fs::read(folder.path().join("notes.kv")).expect("there"), before);
    assert_saved(&file, "two");
}

#[test]
fn names_that_cannot_work_are_refused_before_anything_is_written() {
    let folder = desk();
    let long = format!("{}.json", "n".repeat(251));
    for name in ["chat.kv", "CHAT.KV", "session.manifest.json", &long, &"n".repeat(252)] {
        assert_refused(
            folder.path(),
            &folder.path().join(name),
            Replaces::Session,
            RefusalCode::FileNameUnusable,
        );
    }
    let longest = folder.path().join(format!("{}.json", "n".repeat(250)));
    save(&longest, Replaces::Nothing, "long").expect("it is not too long");
    assert_saved(&longest, "long");
    assert!(save(&folder.path().join(".."), Replaces::Session, "up").is_err());
}

#[test]
fn only_what_the_caller_has_seen_is_replaced_and_never_something_else_than_a_session() {
    let folder = desk();
    let path = folder.path();
    let file = path.join("old.json");
    save(&file, Replaces::Nothing, "old").expect("saved");
    let seen = Replaces::Document(Digest::of(&document("old")));
    assert_refused(path, &file, Replaces::Nothing, RefusalCode::FileExists);
    save(&file, seen, "mine").expect("it is what was seen");
    assert_refused(path, &file, seen, RefusalCode::FileChanged);
    save(&file, Replaces::Session, "forced").expect("any session");
    assert_saved(&file, "forced");
    fs::remove_file(&file).expect("removed");
    save(&file, seen, "again").expect("what is gone can be saved again");

    let foreign: [&[u8]; 6] = [
        b"GGUF\x03\0\0\0",
        b"{\"FormatVersion\":\"2.0\"}",
        b"{\"FormatVersion\":",
        b"[1]",
        b"notes",
        b"age-encryption.org/v1",
    ];
    for content in foreign {
        let file = path.join("m.gguf");
        fs::write(&file, content).expect("written");
        for replaces in [Replaces::Nothing, Replaces::Session, seen] {
            assert_refused(path, &file, replaces, RefusalCode::FileForeign);
        }
    }
    // An image that is none.
    fs::remove_file(path.join("m.gguf")).expect("removed");
    for content in [&b"mine"[..], b"mine, and longer than the header of an image"] {
        fs::write(path.join("x.kv"), content).expect("written");
        save(&path.join("x.json"), Replaces::Nothing, "x").expect_err("something else is there");
        assert_eq!(fs::read(path.join("x.kv")).expect("there"), content);
        assert!(!path.join("x.json").exists());
    }
}

#[test]
fn a_save_that_comes_to_nothing_leaves_nothing() {
    let folder = desk();
    let file = folder.path().join("it.json");
    let chunk = Chunk::new(vec![7; 5000]);
    let image = ImageReference::opaque([chunk.entry()], "a test");
    let begun = |replaces| {
        let mut sink = FileSink::new(&file, replaces, Durable::default());
        sink.put(&chunk).expect("put");
        sink
    };
    drop(begun(Replaces::Nothing));
    assert!(contents(folder.path()).is_empty(), "given up");

    // Somebody else is faster.
    save(&file, Replaces::Nothing, "other").expect("saved");
    let before = contents(folder.path());
    for made in [&file, &sidecar_path(&file)] {
        fs::remove_file(made).expect("removed");
    }
    let mut sink = begun(Replaces::Nothing);
    save(&file, Replaces::Nothing, "other").expect("saved");
    let error = sink.commit(&document("mine"), Some(&image)).expect_err("it is there by now");
    assert_eq!(error.code, Some(RefusalCode::FileExists), "{error}");
    drop(sink);
    assert_eq!(contents(folder.path()), before);

    // An image that is there is as long as it was.
    drop(begun(Replaces::Session));
    assert_eq!(contents(folder.path()), before);

    // A new image without its document.
    let other = folder.path().join("new.json");
    let mut sink = FileSink::new(&other, Replaces::Nothing, Durable::default());
    sink.put(&chunk).expect("put");
    fs::create_dir(&other).expect("made meanwhile");
    sink.commit(&document("mine"), Some(&image)).expect_err("a folder is there by now");
    drop(sink);
    assert!(!folder.path().join("new.kv").exists());
}

#[test]
fn two_that_make_an_image_at_once_both_find_their_chunks_in_it() {
    let folder = desk();
    let file = folder.path().join("it.json");
    let (one, two) = (Chunk::new(vec![1; 100]), Chunk::new(vec![2; 100]));
    let mut first = FileSink::new(&file, Replaces::Session, Durable::default());
    let mut second = FileSink::new(&file, Replaces::Session, Durable::default());
    first.put(&one).expect("put");
    second.put(&two).expect("put");
    first.commit(&document("one"), Some(&ImageReference::opaque([one.entry()], "a test"))).expect("saved");
    let image = ImageReference::opaque([two.entry()], "a test");
    second.commit(&document("two"), Some(&image)).expect("saved");
    let mut source = FileSource::new(&file);
    assert_eq!(source.document().expect("read"), document("two"));
    source.locate(&image).expect("its chunk");
}

#[test]
fn a_document_with_a_byte_order_mark_can_be_replaced() {
    let folder = desk();
    let file = folder.path().join("it.json");
    fs::write(&file, [b"\xef\xbb\xbf".as_slice(), &document("edited")].concat()).expect("written");
    assert_refused(folder.path(), &file, Replaces::Nothing, RefusalCode::FileExists);
    save(&file, Replaces::Session, "new").expect("saved");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn links_to_documents_are_followed_once_and_stay_links() {
        let folder = desk();
        let kept = folder.path().join("kept");
        fs::create_dir(&kept).expect("a folder");
        let (link, target) = (folder.path().join("chat.json"), kept.join("talk.json"));
        save(&target, Replaces::Nothing, "old").expect("saved");
        symlink("kept/talk.json", &link).expect("a link");
        assert_saved(&link, "old");
        save(&link, Replaces::Document(Digest::of(&document("old"))), "new").expect("saved");
        assert!(
            link.is_symlink() && kept.join("talk.kv").is_file() && !folder.path().join("chat.kv").exists()
        );
        assert_saved(&link, "new");
        assert_saved(&target, "new");
        // Its image may have been linked to as well.
        fs::rename(kept.join("talk.kv"), kept.join("elsewhere")).expect("moved");
        symlink("kept/elsewhere", folder.path().join("chat.kv")).expect("a link");
        assert_saved(&link, "new");

        symlink("nowhere", folder.path().join("lost.json")).expect("a link");
        assert_refused(
            folder.path(),
            &folder.path().join("lost.json"),
            Replaces::Session,
            RefusalCode::FileNameUnusable,
        );
    }

    #[test]
    fn planted_links_are_not_followed() {
        let folder = desk();
        let path = folder.path();
        let precious = path.join("precious");
        fs::write(&precious, "mine").expect("written");
        for name in ["r.json.tmp", "r.kv.tmp", "r.kv"] {
            symlink("precious", path.join(name)).expect("a link");
        }
        assert_refused(path, &path.join("r.json"), Replaces::Session, RefusalCode::FileNameUnusable);
        fs::remove_file(path.join("r.kv")).expect("removed");
        save(&path.join("r.json"), Replaces::Nothing, "it").expect("saved");
        assert_saved(&path.join("r.json"), "it");
        assert_eq!(fs::read(&precious).expect("there"), b"mine");
        assert!(path.join("r.json.tmp").is_symlink());
    }

    #[test]
    fn pipes_devices_and_folders_are_refused_and_nothing_waits_for_them() {
        let folder = desk();
        let pipe = folder.path().join("pipe.json");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        fs::create_dir(folder.path().join("folder.json")).expect("a folder");
        let image = folder.path().join("piped.kv");
        assert!(Command::new("mkfifo").arg(&image).status().expect("mkfifo").success());
        for file in [&pipe, &folder.path().join("folder.json"), &folder.path().join("piped.json")] {
            assert_refused(folder.path(), file, Replaces::Session, RefusalCode::FileNameUnusable);
        }
        let device = Path::new("/dev/null");
        let error = save(device, Replaces::Session, "gone").expect_err("a device");
        assert!(error.to_string().contains("a device"), "{error}");
        let error = FileSource::new(&pipe).document().expect_err("a pipe");
        assert!(error.to_string().contains("a named pipe"), "{error}");
    }

    #[test]
    fn what_only_its_owner_can_read_stays_so() {
        let folder = desk();
        let file = folder.path().join("it.json");
        save(&file, Replaces::Nothing, "open").expect("saved");
        let usual = mode(&file);
        assert_eq!(mode(&sidecar_path(&file)), usual);
        for file in [file.clone(), sidecar_path(&file)] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("changed");
        }
        // Much garbage: the image is compacted.
        for text in ["a", "b"] {
            save(&file, Replaces::Session, &text.repeat(300)).expect("saved");
            assert_eq!((mode(&file), mode(&sidecar_path(&file))), (0o600, 0o600));
        }
        fs::remove_file(sidecar_path(&file)).expect("removed");
        save(&file, Replaces::Session, "new image").expect("saved");
        assert_eq!(mode(&sidecar_path(&file)), 0o600, "an image is as private as its document");
    }

    #[test]
    fn names_that_are_no_text_keep_their_images_apart() {
        use std::os::unix::ffi::OsStrExt;
        let folder = desk();
        let files = [&b"\xff.json"[..], b"\xfe.json", b"\xff", b"\xfe"];
        for (at, name) in files.iter().enumerate() {
            let file = folder.path().join(std::ffi::OsStr::from_bytes(name));
            save(&file, Replaces::Nothing, &at.to_string()).expect("saved");
        }
        for (at, name) in files.iter().enumerate() {
            assert_saved(&folder.path().join(std::ffi::OsStr::from_bytes(name)), &at.to_string());
        }
    }
}
