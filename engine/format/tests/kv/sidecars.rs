//! Sidecars: what is appended is read back, what is damaged is refused, and what is killed leaves the old or the new.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use intact_format::image::sidecar::{
    FRAME_HEADER_BYTES, SIDECAR_HEADER_BYTES, Sidecar, SidecarError, SidecarWriter, verify,
};
use intact_format::image::{Chunk, ChunkId, CutOptions, Durable, ImageReference, cut};
use intact_format::layout::{Layout, Section, State};
use intact_format::place::{FileSink, PlaceError, Replaces, SessionSink};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::generated::{Noise, dense};

fn chunk(text: &str) -> Chunk<'static> {
    Chunk::new(text.as_bytes().to_vec())
}

fn append(path: &Path, chunks: &[Chunk<'_>]) -> u64 {
    let mut writer = SidecarWriter::open(path, Durable::default()).expect("a sidecar");
    writer.append(chunks).expect("room for chunks").bytes
}

fn ids(chunks: &[Chunk<'_>]) -> HashSet<ChunkId> {
    chunks.iter().map(Chunk::id).collect()
}

#[test]
fn chunks_are_stored_once_and_read_back_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    let (one, two) = (chunk("one"), chunk("two"));
    assert_eq!(append(&path, &[one.clone(), one.clone()]), 2 * FRAME_HEADER_BYTES + 3);
    assert_eq!(append(&path, &[one.clone(), two.clone()]), 2 * FRAME_HEADER_BYTES + 3);
    assert_eq!(append(&path, &[one.clone(), two.clone()]), 0, "nothing is new");
    let mut sidecar = Sidecar::open(&path).unwrap();
    assert_eq!(sidecar.read(one.id()).unwrap(), one);
    assert_eq!(sidecar.read(two.id()).unwrap(), two);
    assert!(matches!(sidecar.read(chunk("three").id()), Err(SidecarError::Missing { .. })));
    assert_eq!(sidecar.damage(), []);
}

#[test]
fn missing_foreign_and_newer_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    assert!(matches!(Sidecar::open(&path), Err(SidecarError::NotFound { .. })));
    for foreign in [&b""[..], b"INTACT", b"GGUF and more than sixteen bytes"] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(Sidecar::open(&path), Err(SidecarError::NotASidecar { .. })));
    }
    let error = SidecarWriter::open(&path, Durable::default()).unwrap_err();
    assert!(matches!(error, SidecarError::NotASidecar { .. }), "a foreign file is not overwritten");
    fs::remove_file(&path).unwrap();
    append(&path, &[]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Sidecar::open(&path), Err(SidecarError::Version { found: 2, known: 1, .. })));
}

#[test]
fn a_torn_tail_is_ignored_and_cut_off_by_the_next_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    append(&path, &[chunk("one")]);
    let sound = fs::read(&path).unwrap();
    append(&path, &[chunk("two")]);
    let whole = fs::read(&path).unwrap();
    for length in sound.len()..sound.len() + FRAME_HEADER_BYTES as usize + 3 {
        fs::write(&path, &whole[..length]).unwrap();
        let mut sidecar = Sidecar::open(&path).unwrap();
        assert!(sidecar.read(chunk("one").id()).is_ok(), "{length}");
        assert!(sidecar.frame(&chunk("two").id()).is_none(), "{length}");
        assert!(verify(&path, None).unwrap().is_sound(), "{length}");
        append(&path, &[chunk("two")]);
        assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
    }
}

#[test]
fn damage_in_the_middle_loses_one_chunk_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    append(&path, &[chunk("one"), chunk("two"), chunk("three")]);
    let whole = fs::read(&path).unwrap();
    let header = SIDECAR_HEADER_BYTES + FRAME_HEADER_BYTES + 3;
    for at in header..header + 56 {
        let mut bytes = whole.clone();
        bytes[at as usize] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let mut sidecar = Sidecar::open(&path).unwrap();
        assert!(sidecar.read(chunk("one").id()).is_ok(), "{at}");
        assert!(sidecar.frame(&chunk("two").id()).is_none(), "{at}");
        assert!(sidecar.read(chunk("three").id()).is_ok(), "{at}");
        assert!(!verify(&path, None).unwrap().is_sound(), "{at}");
    }
    let mut bytes = whole;
    bytes[(header + FRAME_HEADER_BYTES) as usize] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Sidecar::open(&path).unwrap().read(chunk("two").id()).unwrap_err();
    assert!(matches!(error, SidecarError::Damaged { .. }), "{error}");
    assert_eq!(verify(&path, None).unwrap().damaged, [chunk("two").id()]);
}

#[test]
fn a_chunk_that_never_reached_the_disk_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    append(&path, &[chunk("one")]);
    let mut bytes = fs::read(&path).unwrap();
    // A power cut after the append and before its flush: the length is there, the content and the seal are not.
    bytes.truncate(bytes.len() - FRAME_HEADER_BYTES as usize);
    let last = bytes.len() - 1;
    bytes[last] = 0;
    fs::write(&path, &bytes).unwrap();
    append(&path, &[chunk("one")]);
    assert_eq!(Sidecar::open(&path).unwrap().read(chunk("one").id()).unwrap(), chunk("one"));
}

#[test]
fn a_seal_does_not_vouch_for_what_an_unfinished_save_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    append(&path, &[chunk("one")]);
    let sealed = fs::metadata(&path).unwrap().len();
    append(&path, &[chunk("two"), chunk("three")]);
    let mut bytes = fs::read(&path).unwrap();
    // As above, and the next save has other chunks.
    bytes.truncate(bytes.len() - FRAME_HEADER_BYTES as usize);
    bytes[(sealed + FRAME_HEADER_BYTES) as usize] ^= 1;
    fs::write(&path, &bytes).unwrap();
    append(&path, &[chunk("four")]);

    let sidecar = Sidecar::open(&path).unwrap();
    let sealed: Vec<_> = sidecar.frames().iter().filter(|frame| frame.sealed).map(|frame| frame.id).collect();
    assert_eq!(sealed, ["one", "three", "four"].map(|text| chunk(text).id()));
    let mut writer = SidecarWriter::open(&path, Durable::default()).unwrap();
    assert!(writer.holds(chunk("three").id(), 5), "what is whole is not written again");
    assert!(!writer.holds(chunk("two").id(), 3), "what is not is");
    writer.append(&[chunk("two")]).unwrap();
    drop(writer);
    assert_eq!(Sidecar::open(&path).unwrap().read(chunk("two").id()).unwrap(), chunk("two"));
}

#[test]
fn a_writer_goes_on_after_it_has_struck_out_or_compacted_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    append(&path, &[chunk("one"), chunk("two")]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - FRAME_HEADER_BYTES as usize);
    for payload in [SIDECAR_HEADER_BYTES + FRAME_HEADER_BYTES, bytes.len() as u64 - 1] {
        bytes[payload as usize] ^= 1;
    }
    fs::write(&path, &bytes).unwrap();
    let mut writer = SidecarWriter::open(&path, Durable::default()).unwrap();
    writer.append(&[]).unwrap();
    assert!(!writer.holds(chunk("one").id(), 3) && !writer.holds(chunk("two").id(), 3));
    writer.append(&[chunk("three")]).unwrap();
    drop(writer);

    append(&path, &[chunk("four"), chunk("five")]);
    let mut writer = SidecarWriter::open(&path, Durable::default()).unwrap();
    writer.compact(&ids(&[chunk("five")])).unwrap();
    writer.append(&[chunk("six")]).unwrap();
    drop(writer);
    let sidecar = Sidecar::open(&path).unwrap();
    let left: Vec<_> = sidecar.frames().iter().map(|frame| (frame.id, frame.sealed)).collect();
    assert_eq!(left, [(chunk("five").id(), true), (chunk("six").id(), true)]);
}

#[test]
fn what_is_not_flushed_is_not_sealed_and_is_hashed_before_a_save_relies_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    let mut writer = SidecarWriter::open(&path, Durable::unflushed()).unwrap();
    let bytes = writer.append(&[chunk("one")]).unwrap().bytes;
    assert_eq!(bytes, FRAME_HEADER_BYTES + 3, "a chunk and no seal");
    drop(writer);
    let mut sidecar = Sidecar::open(&path).unwrap();
    assert!(!sidecar.frames()[0].sealed);
    assert_eq!(sidecar.read(chunk("one").id()).unwrap(), chunk("one"));

    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(!SidecarWriter::open(&path, Durable::default()).unwrap().holds(chunk("one").id(), 3));
}

#[test]
fn compaction_keeps_what_it_is_told_to_keep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    let old = chunk(&"old".repeat(10_000));
    let new = chunk("new");
    append(&path, &[old.clone(), new.clone()]);
    let mut writer = SidecarWriter::open(&path, Durable::default()).unwrap();
    assert!(!writer.is_mostly_garbage(&ids(&[old.clone(), new.clone()])));
    let keep = ids(std::slice::from_ref(&new));
    assert!(writer.is_mostly_garbage(&keep));
    let compacted = writer.compact(&keep).unwrap();
    assert!(compacted.after < compacted.before / 10, "{compacted:?}");
    writer.append(&[chunk("newer")]).unwrap();
    drop(writer);
    let mut sidecar = Sidecar::open(&path).unwrap();
    assert!(sidecar.frame(&old.id()).is_none());
    assert_eq!(sidecar.read(new.id()).unwrap(), new);
    assert_eq!(sidecar.read(chunk("newer").id()).unwrap(), chunk("newer"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn writers_wait_for_each_other_across_a_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.kv");
    let chunks: Vec<_> = (0..24).map(|index| chunk(&format!("chunk {index}").repeat(500))).collect();
    let (path, chunks) = (path.as_path(), chunks.as_slice());
    std::thread::scope(|scope| {
        for mine in chunks.chunks(6) {
            scope.spawn(move || {
                for one in mine {
                    let mut writer = SidecarWriter::open(path, Durable::default()).unwrap();
                    writer.append(std::slice::from_ref(one)).unwrap();
                    writer.compact(&ids(chunks)).unwrap();
                }
            });
        }
    });
    let mut sidecar = Sidecar::open(path).unwrap();
    for one in chunks {
        assert_eq!(&sidecar.read(one.id()).unwrap(), one);
    }
}

#[derive(Serialize, Deserialize)]
struct Document<'d> {
    #[serde(rename = "FormatVersion")]
    format_version: &'d str,
    #[serde(rename = "SessionId")]
    session_id: &'d str,
    image: ImageReference,
}

/// One save as the engine makes it: sidecar, then document, then compaction.
fn save(folder: &Path, state: &State<'_>, durable: &Durable) -> Result<(), PlaceError> {
    let cut = cut(state, Layout::newest(), CutOptions { chunk_tokens: 4, drop_last: false })
        .expect("a dense state can be cut");
    let mut sink = FileSink::new(folder.join("s.json"), Replaces::Session, durable.clone());
    for chunk in &cut.chunks {
        sink.put(chunk)?;
    }
    let document = Document { format_version: "2.0", session_id: "it", image: cut.reference.clone() };
    let json = serde_json::to_vec(&document).expect("a reference is JSON");
    sink.commit(&json, Some(&cut.reference)).map(drop)
}

/// A saved session whose image is mostly of others, so that the next save compacts it.
fn saved_with_garbage(folder: &Path, state: &State<'_>) {
    save(folder, state, &Durable::default()).expect("saved");
    append(&folder.join("s.kv"), &[chunk(&"garbage".repeat(30_000))]);
}

fn load(folder: &Path) -> (ImageReference, Vec<Chunk<'static>>) {
    let document = fs::read(folder.join("s.json")).expect("a document");
    let Document { image: reference, .. } = serde_json::from_slice(&document).expect("a document");
    let mut sidecar = Sidecar::open(folder.join("s.kv")).expect("a sidecar");
    let chunks = sidecar.read_image(&reference).expect("every chunk");
    (reference, chunks)
}

#[test]
fn a_save_that_is_killed_anywhere_leaves_the_old_session_or_the_new_one() {
    let long = dense(Layout::newest(), 14, 7);
    let mut short = long.clone();
    let Section::Attention(section) = &mut short.sections[0] else { panic!("attention") };
    *section = section.slice(0..9);
    let folder = tempfile::tempdir().unwrap();
    let fuse = Durable::until(u64::MAX);
    saved_with_garbage(folder.path(), &short);
    let old = load(folder.path());
    save(folder.path(), &long, &fuse).unwrap();
    let new = load(folder.path());
    let units = u64::MAX - fuse.left().unwrap();
    assert_ne!(old, new);
    let mut left = [0, 0];
    // The end is where files are renamed and compacted, one unit per step.
    for kill in (0..units).step_by(usize::try_from(units / 60).unwrap()).chain(units - 60..units) {
        let folder = tempfile::tempdir().unwrap();
        saved_with_garbage(folder.path(), &short);
        // A compaction that fails is a remark.
        let _ = save(folder.path(), &long, &Durable::until(kill));
        let after = load(folder.path());
        assert!(after == old || after == new, "killed after {kill} of {units}");
        left[usize::from(after == new)] += 1;
        save(folder.path(), &long, &Durable::default()).unwrap();
        assert_eq!(load(folder.path()), new, "a save after the kill at {kill}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "killed after {kill}: only the session is left"
        );
    }
    assert!(left.iter().all(|count| *count > 10), "sessions left old and new: {left:?}");
}

proptest! {
    #[test]
    fn no_mutation_makes_a_chunk_of_other_bytes(
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.kv");
        let mut noise = Noise(seed);
        let chunks: Vec<_> = (0..4)
            .map(|_| Chunk::new((0..noise.below(300)).map(|_| noise.byte()).collect::<Vec<_>>()))
            .collect();
        append(&path, &chunks);
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(mut sidecar) = Sidecar::open(&path) {
            for chunk in &chunks {
                if let Ok(read) = sidecar.read(chunk.id()) {
                    prop_assert_eq!(&read, chunk);
                }
            }
            verify(&path, None).unwrap();
            append(&path, &chunks);
            let mut sidecar = Sidecar::open(&path).unwrap();
            for frame in sidecar.frames().to_vec() {
                if let Ok(read) = sidecar.read(frame.id) {
                    prop_assert_eq!(read.id(), frame.id);
                }
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_an_image_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("a.kv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let error = Sidecar::open(&pipe).expect_err("it is a pipe");
    assert!(error.to_string().contains("a named pipe"), "{error}");
}
