//! A bundle is a session in one file; anything else is none.

use std::fs;
use std::io::Write;
use std::path::Path;

use intact_format::image::{Chunk, ImageReference};
use intact_format::place::{PlaceError, SessionSink, SessionSource, copy};
use intact_format::route::RefusalCode;
use intact_seal::{BundleSink, BundleSource};

const DOCUMENT: &[u8] = b"{\"what\": \"a document of any form\"}";

fn image(chunks: &[Chunk<'_>]) -> ImageReference {
    ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test")
}

fn chunks() -> Vec<Chunk<'static>> {
    [&b"one"[..], b"", &[7; 5000]].map(|payload| Chunk::new(payload.to_vec())).to_vec()
}

fn bundle(path: &Path) {
    let mut sink = BundleSink::create(path).expect("a bundle");
    for chunk in &chunks() {
        sink.put(chunk).expect("written");
    }
    assert!(!path.exists(), "nothing is there before the commit");
    sink.commit(DOCUMENT, Some(&image(&chunks()))).expect("written");
}

fn archive(path: &Path, files: &[(&str, &[u8])]) {
    let mut archive = tar::Builder::new(fs::File::create(path).expect("a file"));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // Names that no library would write.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *bytes).expect("written");
    }
    archive.into_inner().and_then(|mut file| file.flush()).expect("written");
}

fn refusal(path: &Path) -> PlaceError {
    BundleSource::open(path).expect_err("not a bundle")
}

#[test]
fn what_has_come_to_be_under_its_name_stays_and_so_does_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.intact");
    let mut sink = BundleSink::create(&path).expect("a bundle");
    fs::write(&path, "somebody else's").expect("written");
    sink.commit(DOCUMENT, None).expect_err("it is there by now");
    drop(sink);
    assert_eq!(fs::read(&path).expect("there"), b"somebody else's");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    let error = BundleSource::open(Path::new("/dev/null")).expect_err("a device");
    assert_eq!(error.code, Some(RefusalCode::NotASessionFile), "{error}");
}

#[test]
fn what_was_packed_is_unpacked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("one.intact"), folder.path().join("two.intact"));
    bundle(&first);
    let mut source = BundleSource::open(&first).expect("a bundle");
    assert_eq!(source.document().expect("read"), DOCUMENT);
    let everything = source.image();
    assert_eq!(everything.chunk_ids().count(), 3);
    let mut sink = BundleSink::create(&second).expect("a bundle");
    copy(&mut source, DOCUMENT, Some(&everything), &mut sink).expect("copied");
    let copied = BundleSource::open(&second).expect("a bundle");
    for chunk in chunks() {
        let mut payload = vec![0; chunk.payload().len()];
        copied.read(chunk.id(), &mut payload).expect("read");
        assert_eq!(payload, chunk.payload());
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "no temporary file is left");
}

#[test]
fn a_damaged_chunk_is_not_unpacked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.intact");
    bundle(&path);
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes.windows(4).position(|window| window == [7; 4]).expect("the chunk");
    bytes[at] = 8;
    fs::write(&path, bytes).expect("written");
    let mut source = BundleSource::open(&path).expect("the archive is sound");
    let mut sink = BundleSink::create(folder.path().join("two.intact")).expect("a bundle");
    let refused = copy(&mut source, DOCUMENT, Some(&image(&chunks())), &mut sink).expect_err("damaged");
    assert_eq!(refused.code, Some(RefusalCode::ImageDamaged), "{refused}");
    drop(sink);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn archives_that_are_no_bundles_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    let id = Chunk::new(b"x".as_slice()).id().to_string();
    let (upper, outside) = (format!("chunks/{}", id.to_uppercase()), format!("../chunks/{id}"));
    let chunk = format!("chunks/{id}");
    let cases: [&[(&str, &[u8])]; 6] = [
        &[],
        &[(&chunk, b"x")],
        &[("session.json", DOCUMENT), ("../session.json", DOCUMENT)],
        &[("session.json", DOCUMENT), (&outside, b"x")],
        &[("session.json", DOCUMENT), (&upper[..60], b"x")],
        &[("session.json", DOCUMENT), ("session.json", DOCUMENT)],
    ];
    for files in cases {
        archive(&path, files);
        let refused = refusal(&path);
        assert_eq!(refused.code, Some(RefusalCode::NotASessionFile), "{refused}");
    }
    fs::write(&path, "no archive at all, but long enough to be taken for one".repeat(20)).expect("written");
    assert_eq!(refusal(&path).code, Some(RefusalCode::NotASessionFile));
    assert_eq!(refusal(&folder.path().join("nothing")).code, Some(RefusalCode::FileNotFound));
}

#[test]
fn a_bundle_that_was_cut_short_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.intact");
    bundle(&path);
    let whole = fs::read(&path).expect("read");
    for length in [0, 100, 512, 1000, 2000, 6000] {
        fs::write(&path, &whole[..length]).expect("written");
        let refused = refusal(&path);
        assert_eq!(refused.code, Some(RefusalCode::NotASessionFile), "{length}: {refused}");
    }
}
