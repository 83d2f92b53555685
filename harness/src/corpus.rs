//! A corpus of states that llama.cpp releases wrote: append-only, small, and readable by a program that knows llama.cpp alone.
//!
//! Each state is a folder, `corpus/<writer>/<version>/<family>/<kv>/<container>`: the state, the logits that its model gives after
//! it, and its tokens in a text that C reads. The index names all of them, with the model by its seed and its hash, and says what
//! each release that was asked makes of it.

mod desk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use intact_format::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use desk::{Written, read_by, written};

use crate::files::write_whole;
use crate::tags::{ProbeError, hash};

/// The version of the index.
pub const CORPUS_VERSION: u32 = 1;
/// What every index says that it is.
pub const WHAT: &str = "a corpus of llama.cpp states";
/// The index.
const INDEX: &str = "index.json";
/// The program that reads a state with llama.cpp alone.
pub const READER: &str = "reader.c";
/// Its text.
pub const READER_TEXT: &str = include_str!("../templates/corpus/reader.c");
/// Who wrote the states.
const WRITER: &str = "llama.cpp";
/// What states are kept in: what a C program loads by one call.
pub(crate) const CONTAINER: &str = "sequence-file";
/// The files of a state.
pub const STATE: &str = "state.bin";
const LOGITS: &str = "logits.f32";
const CASE: &str = "case.txt";
/// Parts of the name of a folder of a state.
const PARTS: usize = 5;

/// The index of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// [`CORPUS_VERSION`].
    pub version: u32,
    /// [`WHAT`].
    pub what: String,
    /// The states, by their folders.
    pub states: BTreeMap<String, State>,
}

/// A state of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Who wrote it.
    pub writer: String,
    /// The release.
    pub release: String,
    /// What it is kept in.
    pub container: String,
    /// The type of K and V.
    pub kv: String,
    /// The model.
    pub model: Model,
    /// Tokens that it is of.
    pub tokens: Vec<i32>,
    /// Tokens that are said after it; logits are those after its last token, and after each of these.
    pub continuation: Vec<i32>,
    /// SHA-256 of each of its files.
    pub files: BTreeMap<String, String>,
    /// What each release that was asked makes of it.
    pub readers: BTreeMap<String, Reading>,
}

/// A tiny model, which anybody can make again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its id, as `intact models list` has it.
    pub id: String,
    /// Its architecture.
    pub architecture: String,
    /// What its weights are drawn from.
    pub seed: u64,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// What a release makes of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// It goes on as the writer did, but for rounding.
    Reads,
    /// It says that it does not read it.
    Refuses,
    /// It reads something else, and says nothing.
    Misreads,
    /// It dies of it.
    Crashes,
}

/// Why a corpus cannot be used.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// Something could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index is none.
    #[error("{} is not the index of a corpus of version {CORPUS_VERSION}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A corpus is only added to.
    #[error(
        "{folder} is in the corpus already, and is not changed: what is there is what that release wrote then"
    )]
    There {
        /// The state's folder.
        folder: String,
    },
    /// A release could not be asked.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl Reading {
    /// For a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Refuses => "refuses",
            Self::Misreads => "MISREADS",
            Self::Crashes => "CRASHES",
        }
    }
}

impl State {
    /// Its folder, below that of the corpus.
    fn folder(&self) -> String {
        [WRITER, &self.release, &self.model.id, &self.kv, &self.container].join("/")
    }

    /// What a C program reads of it.
    fn case(&self, n_ctx: u32) -> String {
        let line = |name: &str, all: &[i32]| {
            let numbers: Vec<String> = all.iter().map(i32::to_string).collect();
            format!("{name} {} {}\n", all.len(), numbers.join(" "))
        };
        format!(
            "kv {} n_ctx {n_ctx}\n{}{}",
            self.kv,
            line("tokens", &self.tokens),
            line("continuation", &self.continuation)
        )
    }
}

/// A corpus in a folder.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    /// What is in it.
    pub corpus: Corpus,
}

impl Shelf {
    /// The corpus in a folder; an empty one where there is none.
    ///
    /// # Errors
    /// [`CorpusError`].
    pub fn open(folder: &Path) -> Result<Self, CorpusError> {
        let path = folder.join(INDEX);
        let folder = folder.to_owned();
        let text = match regular::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let corpus =
                    Corpus { version: CORPUS_VERSION, what: WHAT.to_owned(), states: BTreeMap::new() };
                return Ok(Self { folder, corpus });
            }
            Err(source) => return Err(CorpusError::Io { path, source }),
        };
        let malformed = |reason: String| CorpusError::Malformed { path: path.clone(), reason };
        let corpus: Corpus = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if corpus.what != WHAT || corpus.version != CORPUS_VERSION {
            return Err(malformed(format!("it says {:?}, version {}", corpus.what, corpus.version)));
        }
        let is_outside = |(folder, state): &(&String, &State)| {
            let leads_out = |part: &str| part.is_empty() || part.starts_with('.');
            **folder != state.folder()
                || folder.split('/').count() != PARTS
                || folder.split('/').any(leads_out)
        };
        if let Some(outside) = corpus.states.iter().find(is_outside) {
            return Err(malformed(format!("{} is not where such a state belongs", outside.0)));
        }
        Ok(Self { folder, corpus })
    }

    /// Adds a state, and gives its folder.
    ///
    /// # Errors
    /// [`CorpusError`]; [`CorpusError::There`] where that release has written one like it.
    pub(crate) fn add(&mut self, written: Written) -> Result<String, CorpusError> {
        let Written { mut state, bytes, logits, n_ctx } = written;
        let name = state.folder();
        if self.corpus.states.contains_key(&name) {
            return Err(CorpusError::There { folder: name });
        }
        let folder = self.folder.join(&name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let case = state.case(n_ctx).into_bytes();
        for (file, bytes) in [(STATE, bytes), (LOGITS, logits), (CASE, case)] {
            state.files.insert(file.to_owned(), hash(&bytes));
            let path = folder.join(file);
            write_whole(&path, bytes).map_err(at(&path))?;
        }
        self.corpus.states.insert(name.clone(), state);
        self.keep()?;
        Ok(name)
    }

    /// Notes what a release makes of a state.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub(crate) fn note(&mut self, name: &str, release: &str, reading: Reading) -> Result<(), CorpusError> {
        if let Some(state) = self.corpus.states.get_mut(name) {
            state.readers.insert(release.to_owned(), reading);
        }
        self.keep()
    }

    fn keep(&self) -> Result<(), CorpusError> {
        for (name, text) in [
            (INDEX, serde_json::to_string_pretty(&self.corpus).unwrap_or_default() + "\n"),
            (READER, READER_TEXT.to_owned()),
        ] {
            let path = self.folder.join(name);
            write_whole(&path, text).map_err(at(&path))?;
        }
        Ok(())
    }

    /// A state and its expected logits.
    ///
    /// # Errors
    /// [`CorpusError::Io`].
    pub(crate) fn files(&self, name: &str) -> Result<[Vec<u8>; 2], CorpusError> {
        let read = |file: &str| {
            let path = self.folder.join(name).join(file);
            regular::read(&path).map_err(at(&path))
        };
        Ok([read(STATE)?, read(LOGITS)?])
    }

    /// What is wrong: files that are missing or are not what they were, and folders that the index does not name.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut named = BTreeSet::new();
        for (name, state) in &self.corpus.states {
            for (file, pinned) in &state.files {
                let path = self.folder.join(name).join(file);
                named.insert(path.clone());
                match regular::read(&path) {
                    Ok(bytes) if hash(&bytes) == *pinned => {}
                    Ok(_) => faults.push(format!("{name}/{file} is not what it was")),
                    Err(error) => faults.push(format!("{name}/{file}: {error}")),
                }
            }
        }
        let mut folders = vec![self.folder.join(WRITER)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if !named.contains(&path) {
                    let shown = path.strip_prefix(&self.folder).unwrap_or(&path).display().to_string();
                    faults.push(format!("{shown} is not in the index"));
                }
            }
        }
        faults.sort();
        faults
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> CorpusError {
    let path = path.to_owned();
    move |source| CorpusError::Io { path: path.clone(), source }
}
