//! The operations, each with what it starts from and how its outcome is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use intact_format::image::sidecar::SidecarWriter;
use intact_format::image::{Chunk, Durable, ImageReference};
use intact_format::place::{
    FileSink, FileSource, Replaces, SessionSink, SessionSource, copy, read_chunk, sidecar_path,
};
use intact_format::session_id::SessionId;
use intact_harness::journal::Journal;
use intact_seal::{
    BundleSink, BundleSource, ExposeSecret, Keys, Lock, SealOptions, SealedSink, SealedSource, Sealer,
    generate,
};
use intact_store::{Collection, Expected, SessionStore};

/// What a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As if nothing had been begun.
    Old,
    /// As if all had been done.
    New,
}

/// Something that changes files.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Arguments of the command that does it; without, [`Operation::run`] does it in a process of its own.
    pub(crate) command: Option<&'static [&'static str]>,
    /// Makes the folder and what the operation starts from.
    pub(crate) prepare: fn(&Path),
    /// Does it, as often as it takes.
    pub(crate) run: fn(&Path) -> Result<(), String>,
    /// Opens what is there, and hashes all of it.
    pub(crate) check: fn(&Path) -> Result<Outcome, String>,
    /// It says that it failed where only what comes after did.
    pub(crate) may_fail_late: bool,
    /// Where it fails, it leaves no files that were not there.
    pub(crate) cleans_up: bool,
    /// Once it was done, no power cut takes it back.
    pub(crate) is_lasting: bool,
}

const PLAIN: Operation = Operation {
    name: "",
    command: None,
    prepare: |_| {},
    run: |_| Ok(()),
    check: |_| Ok(Outcome::Old),
    may_fail_late: false,
    cleans_up: true,
    is_lasting: true,
};

const EXPECTATIONS: &str = "\
# What verdicts should be.
version = 1

[[expect]]
when = \"fault(newer-version)\"
outcome = [\"refused\"]
reason = \"REVIEW: found\"
";

pub(crate) const OPERATIONS: [Operation; 9] = [
    Operation {
        name: "a first save",
        prepare: empty,
        run: |root| save(root, 2),
        check: first_saved,
        ..PLAIN
    },
    Operation {
        name: "an incremental save",
        prepare: |root| prepared(root, 1),
        run: |root| save(root, 2),
        check: saved,
        ..PLAIN
    },
    Operation {
        name: "a compaction",
        prepare: |root| {
            prepared(root, 1);
            let garbage = Chunk::new(noise(9, 30_000 * scale()));
            let path = sidecar_path(&root.join("it.json"));
            let mut writer = SidecarWriter::open(path, Durable::default()).expect("an image");
            writer.append(&[garbage]).expect("appended");
        },
        run: |root| save(root, 2),
        check: saved,
        ..PLAIN
    },
    Operation {
        name: "a save in a store",
        prepare: |root| {
            empty(root);
            store(root, 1).expect("saved");
        },
        run: |root| store(root, 2),
        check: stored,
        may_fail_late: true,
        cleans_up: false,
        ..PLAIN
    },
    Operation {
        name: "a collection",
        prepare: |root| {
            empty(root);
            store(root, 1).expect("saved");
            let store = open(root).expect("a store");
            let mut sink = store.sink(id("gone"), Expected::Anything);
            let garbage = Chunk::new(noise(7, 700));
            sink.put(&garbage).expect("put");
            let image = ImageReference::opaque([garbage.entry()], "a test");
            sink.commit(&document(7), Some(&image)).expect("saved");
            let generation = sink.saved().expect("saved").generation;
            drop(sink);
            assert!(store.remove(&id("gone"), generation).expect("removed"));
        },
        run: |root| {
            let now = Collection { grace: Duration::ZERO, dry_run: false };
            open(root)?.collect(now).map(drop).map_err(told)
        },
        check: collected,
        may_fail_late: true,
        cleans_up: false,
        is_lasting: false,
        ..PLAIN
    },
    Operation { name: "a seal", prepare: sealable, run: seal, check: sealed, ..PLAIN },
    Operation { name: "a pack", prepare: |root| prepared(root, 2), run: pack, check: packed, ..PLAIN },
    Operation {
        name: "a journal append",
        prepare: |root| {
            empty(root);
            for number in 0..3 {
                append(root, number).expect("appended");
            }
        },
        run: |root| if journaled(root) == Ok(Outcome::New) { Ok(()) } else { append(root, 3) },
        check: journaled,
        is_lasting: false,
        ..PLAIN
    },
    Operation {
        name: "an update of expectations",
        command: Some(&["expect", "review", "1", "--reason", "it is so"]),
        prepare: |root| {
            empty(root);
            intact(root, &["init"]).expect("made");
            fs::write(root.join("expectations.toml"), EXPECTATIONS).expect("written");
        },
        run: |root| match reviewed(root) {
            Ok(Outcome::New) => Ok(()),
            _ => intact(root, &["expect", "review", "1", "--reason", "it is so"]),
        },
        check: reviewed,
        ..PLAIN
    },
];

/// An incremental save that flushes nothing, as is right for what is thrown away afterwards, and for nothing else.
pub(crate) const CARELESS: Operation = Operation {
    name: "a careless save",
    prepare: |root| prepared(root, 1),
    run: |root| put(&mut FileSink::new(root.join("it.json"), Replaces::Session, Durable::unflushed()), 2),
    check: saved,
    ..PLAIN
};

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn id(text: &str) -> SessionId {
    SessionId::new(text).expect("an id")
}

fn empty(root: &Path) {
    fs::create_dir_all(root).expect("a folder");
}

/// How many states are opened at least, of all operations together.
pub(crate) fn wanted() -> usize {
    std::env::var("INTACT_CRASHES").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

/// How much larger everything is than for some hundreds of states: few blocks are torn in few ways.
fn scale() -> usize {
    if wanted() > 2000 { 8 } else { 1 }
}

/// Bytes that no compression and no block of zeros is like.
fn noise(seed: u32, count: usize) -> Vec<u8> {
    (0..)
        .map(|at: u32| (at.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13) as u8 | 1)
        .take(count)
        .collect()
}

/// A document of the `version`-th save.
fn document(version: u32) -> Vec<u8> {
    let text = "said ".repeat(300 * scale());
    format!("{{\"FormatVersion\":\"2.0\",\"SessionId\":\"it\",\"Version\":{version},\"Text\":\"{text}\"}}")
        .into_bytes()
}

/// The chunks of the `version`-th save: those of the one before, and one more.
fn chunks(version: u32) -> Vec<Chunk<'static>> {
    (0..=version).map(|number| Chunk::new(noise(number, (900 + 100 * number as usize) * scale()))).collect()
}

fn image(version: u32) -> ImageReference {
    ImageReference::opaque(chunks(version).iter().map(Chunk::entry), "a test")
}

fn put(sink: &mut dyn SessionSink, version: u32) -> Result<(), String> {
    for chunk in chunks(version) {
        let (id, bytes) = chunk.entry();
        if !sink.holds(id, bytes).map_err(told)? {
            sink.put(&chunk).map_err(told)?;
        }
    }
    sink.commit(&document(version), Some(&image(version))).map(drop).map_err(told)
}

fn save(root: &Path, version: u32) -> Result<(), String> {
    put(&mut FileSink::new(root.join("it.json"), Replaces::Session, Durable::default()), version)
}

fn prepared(root: &Path, version: u32) {
    empty(root);
    save(root, version).expect("saved");
}

/// Which save a place has, whole; none where it has none.
fn version(source: &mut dyn SessionSource) -> Result<u32, String> {
    let found = source.document().map_err(told)?;
    let version = [1, 2].into_iter().find(|version| found == document(*version)).ok_or("another document")?;
    let image = image(version);
    source.locate(&image).map_err(told)?;
    for (id, bytes) in image.distinct_chunks() {
        read_chunk(source, id, bytes).map_err(told)?;
    }
    Ok(version)
}

fn outcome(version: u32) -> Outcome {
    if version == 2 { Outcome::New } else { Outcome::Old }
}

fn saved(root: &Path) -> Result<Outcome, String> {
    let file = root.join("it.json");
    version(&mut FileSource::new(file)).map(outcome)
}

/// Before the first save there is none.
fn first_saved(root: &Path) -> Result<Outcome, String> {
    if root.join("it.json").exists() { saved(root) } else { Ok(Outcome::Old) }
}

fn open(root: &Path) -> Result<SessionStore, String> {
    let folder = root.join("store");
    SessionStore::create(folder.to_str().ok_or("a path")?).map_err(told)
}

fn store(root: &Path, version: u32) -> Result<(), String> {
    let store = open(root)?;
    let mut sink = store.sink(id("it"), Expected::Anything);
    put(&mut sink, version)
}

fn stored(root: &Path) -> Result<Outcome, String> {
    let store = open(root)?;
    version(&mut store.source(id("it"))).map(outcome)
}

fn collected(root: &Path) -> Result<Outcome, String> {
    stored(root)?;
    let statistics = open(root)?.statistics().map_err(told)?;
    Ok(if statistics.unused_payloads == 0 { Outcome::New } else { Outcome::Old })
}

fn sealable(root: &Path) {
    prepared(root, 2);
    fs::write(root.join("ada.key"), generate().0.expose_secret()).expect("written");
}

fn keys(root: &Path) -> Result<Keys, String> {
    let text = fs::read(root.join("ada.key")).map_err(told)?;
    Keys::default().with_identities(text.as_slice()).map_err(told)
}

fn seal(root: &Path) -> Result<(), String> {
    let out = root.join("sealed.json");
    if out.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(root.join("ada.key")).map_err(told)?;
    let recipient = text.lines().find_map(|line| line.split("public key: ").nth(1)).ok_or("no public key")?;
    let lock = Lock::recipients(vec![recipient.trim().parse().map_err(told)?]).map_err(told)?;
    let options = SealOptions { lock: Some(lock), ..SealOptions::default() };
    let mut sealer = Sealer::new(options).map_err(told)?;
    let mut source = FileSource::new(root.join("it.json"));
    let document = source.document().map_err(told)?;
    let mut sink = SealedSink::new(&mut sealer, FileSink::new(&out, Replaces::Nothing, Durable::default()));
    copy(&mut source, &document, Some(&image(2)), &mut sink).map(drop).map_err(told)
}

fn sealed(root: &Path) -> Result<Outcome, String> {
    if saved(root)? != Outcome::New {
        return Err("the session that is sealed has changed".into());
    }
    let out = root.join("sealed.json");
    if !out.exists() {
        return Ok(Outcome::Old);
    }
    let mut source = SealedSource::open(FileSource::new(out), &keys(root)?, true).map_err(told)?;
    version(&mut source).map(outcome)
}

fn bundle(root: &Path) -> PathBuf {
    root.join("it.intact")
}

fn pack(root: &Path) -> Result<(), String> {
    if bundle(root).exists() {
        return Ok(());
    }
    let mut source = FileSource::new(root.join("it.json"));
    let document = source.document().map_err(told)?;
    let mut sink = BundleSink::create(bundle(root)).map_err(told)?;
    copy(&mut source, &document, Some(&image(2)), &mut sink).map(drop).map_err(told)
}

fn packed(root: &Path) -> Result<Outcome, String> {
    if !bundle(root).exists() {
        return Ok(Outcome::Old);
    }
    version(&mut BundleSource::open(bundle(root)).map_err(told)?).map(outcome)
}

fn append(root: &Path, number: usize) -> Result<(), String> {
    let mut journal = Journal::<String>::open(&root.join("events.jsonl")).map_err(told)?;
    journal.append(&entry(number)).map_err(told)
}

fn entry(number: usize) -> String {
    format!("{number} {}", "entry ".repeat(150 * scale()))
}

fn journaled(root: &Path) -> Result<Outcome, String> {
    let read = Journal::<String>::read(&root.join("events.jsonl")).map_err(told)?;
    let expected: Vec<_> = (0..4).map(entry).collect();
    match read.len() {
        3 if read == expected[..3] => Ok(Outcome::Old),
        4 if read == expected => Ok(Outcome::New),
        count => Err(format!("{count} entries, or others")),
    }
}

fn intact(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    let done = command.args(arguments).current_dir(root).env_remove("CI").output().map_err(told)?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

fn reviewed(root: &Path) -> Result<Outcome, String> {
    let text = fs::read_to_string(root.join("expectations.toml")).map_err(told)?;
    let is_whole = text.starts_with("# What verdicts should be.\nversion")
        && text.contains("\noutcome = [\"refused\"]\n");
    match (is_whole, text.contains("reason = \"REVIEW: found\""), text.contains("reason = \"it is so\"")) {
        (true, true, false) => Ok(Outcome::Old),
        (true, false, true) => Ok(Outcome::New),
        _ => Err(format!("half of a file: {} bytes", text.len())),
    }
}
