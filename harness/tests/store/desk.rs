//! Sessions in files, stores to put them in, and the command that does it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use intact_format::image::sidecar::SidecarWriter;
use intact_format::image::{Chunk, Durable, ImageReference};
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;
use serde_json::Value;

/// A session of the newest format, with everything that a session has.
const GOLDEN: &[u8] = include_bytes!("../../../fixtures/golden/session-2.0.json");

/// What the command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command over one store.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    store: String,
    environment: Vec<(String, String)>,
}

impl Desk {
    pub(crate) fn at(store: impl Into<String>) -> Self {
        Self { store: store.into(), environment: Vec::new() }
    }

    /// The same, with more in the environment.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What there is more in the environment.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `intact store ARGUMENTS`, to be run.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.arg("store").args(arguments).env("NO_COLOR", "1").env("INTACT_STORE", &self.store);
        command.env_remove("INTACT_PASSPHRASE");
        // What is remembered of stores is not to stay in the home of whoever runs the tests.
        command.env("INTACT_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `intact store ARGUMENTS`.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Said {
        let output = self.command(arguments).output().expect("the command runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the command speaks UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The same, which has to succeed; gives what it printed as JSON.
    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        let all = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
        let said = self.run(all.chain(["--json".into()]));
        assert_eq!(said.code, Some(0), "{}", said.err);
        serde_json::from_str(&said.out).expect("JSON")
    }

    /// Every session's id and what was said in it, read back chunk by chunk through an export.
    pub(crate) fn export(&self, session: &str, folder: &Path) -> Exported {
        let file = folder.join("exported.json");
        for file in [&file, &file.with_extension("kv")] {
            let _ = fs::remove_file(file);
        }
        let said = self.run([OsStr::new("export"), session.as_ref(), "--to".as_ref(), file.as_ref()]);
        assert_eq!(said.code, Some(0), "{session}: {}", said.err);
        read(&file)
    }
}

/// A session that was read from its files, every hash checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) said: String,
    pub(crate) chunks: Vec<Vec<u8>>,
}

/// Writes a session file in which `said` was said, with an image of these chunks beside it.
pub(crate) fn session_file(folder: &Path, session: &str, said: &str, chunks: &[Vec<u8>]) -> PathBuf {
    let chunks: Vec<_> = chunks.iter().map(|payload| Chunk::new(payload.as_slice())).collect();
    let mut document = golden();
    document.session_id = SessionId::new(session).expect("an id");
    let last = document.history.last_mut().expect("a message");
    said.clone_into(&mut last.content);
    document.image = Some(ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test"));
    let written = session::write(&document, FormatVersion::CURRENT).expect("a sound document");
    let file = folder.join(format!("{session}.json"));
    fs::write(&file, written.bytes).expect("written");
    let sidecar = file.with_extension("kv");
    let _ = fs::remove_file(&sidecar);
    SidecarWriter::open(sidecar, Durable::default()).expect("made").append(&chunks).expect("written");
    file
}

/// Chunks of which the first ones are those of every session, and the last ones of this one alone.
pub(crate) fn chunks(shared: u8, own: &str, bytes: usize) -> Vec<Vec<u8>> {
    let mut chunks: Vec<_> = (0..shared).map(|number| vec![number; bytes]).collect();
    chunks.push(own.as_bytes().iter().copied().cycle().take(bytes).collect());
    chunks
}

fn golden() -> SessionDocument {
    session::read(GOLDEN, FormatVersion::CURRENT).expect("the golden session").document
}

fn read(file: &Path) -> Exported {
    let bytes = fs::read(file).expect("exported");
    let document = session::read(&bytes, FormatVersion::CURRENT).expect("a session").document;
    let image = document.image.expect("an image");
    let mut sidecar =
        intact_format::image::sidecar::Sidecar::open(file.with_extension("kv")).expect("a sidecar");
    let chunks = sidecar.read_image(&image).expect("every chunk");
    Exported {
        said: document.history.last().expect("a message").content.clone(),
        chunks: chunks.iter().map(|chunk| chunk.payload().to_vec()).collect(),
    }
}
