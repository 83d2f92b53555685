//! What is known of saved sessions across llama.cpp releases: a table made from runs, for people and for machines.
//!
//! Nothing in it is promised. Every answer names the cells that it rests on, and what no run tried is not known. The page and
//! `check --tag` take their answers from [`Table::answer`].

mod answer;
mod guarantee;
mod page;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use intact_format::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use answer::{Answer, Question};
pub use guarantee::{Badge, End, Guarantee};

use crate::filter::compare_versions;
use crate::fingerprint::Container;
use crate::results::{Cell, Results};
use crate::style::{Style, Tone};
use crate::upgrade::is_plain_but_for;
use crate::verdict::Verdict;

/// The version of the document that this crate writes and reads.
pub const TABLE_VERSION: u32 = 1;
/// What every such document says that it is, to be told from other files.
pub const WHAT: &str = "a compatibility table of intact";
/// The subject that saves and loads as llama.cpp does, without any check.
const UNPROTECTED: &str = "blind";
/// The subject that saves and loads sessions of intact.
const ENGINE: &str = "engine";
/// Dimensions that an entry has, or that it sums up; in all others a cell must be at its base.
const ITS_OWN: [&str; 5] = ["model", "kv", "writer", "reader", "container"];
/// Dimensions in which a writer that is not named is the reader.
const SAME: &str = "same";

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// [`TABLE_VERSION`].
    pub version: u32,
    /// [`WHAT`].
    pub what: String,
    /// The runs that it is made from.
    pub runs: Vec<Source>,
    /// llama.cpp releases, oldest first.
    pub releases: Vec<String>,
    /// Kinds of models, by what they keep of a session: values of the dimension `family`.
    pub kinds: Vec<String>,
    /// Types of K and V.
    pub kv_types: Vec<String>,
    /// What was found, by what is kept, from which release to which, with which type of K and V and kind of model.
    pub entries: Vec<Entry>,
    /// What follows for each release.
    pub guarantees: Vec<Guarantee>,
}

/// A run that the table is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// The version of the harness.
    pub harness: String,
    /// The system and the processor's architecture.
    pub machine: String,
    /// Its cells that say something here.
    pub cells: u32,
}

/// What a session is kept in.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// A session file of intact.
    Session,
    /// A sequence file of llama.cpp's own (GGSQ), such as the slots of llama-server.
    SequenceFile,
    /// A session file of llama.cpp's own (GGSN).
    SessionFile,
    /// The state of a sequence as the library hands it over, which bindings keep.
    RawSequence,
}

/// What becomes of sessions on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// They come back as they were.
    Survives,
    /// They come back, and their tokens are evaluated again for that.
    EvaluatedAgain,
    /// They come back a little worse.
    Worse,
    /// They are lost, and whoever loads them is told.
    Refused,
    /// They come back wrong and nobody is told, or the load does harm.
    Wrong,
}

/// What was found on one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What the sessions are kept in.
    pub kept: Kept,
    /// The release that saved.
    pub from: String,
    /// The release that loads.
    pub to: String,
    /// The type of K and V.
    pub kv: String,
    /// The kind of model.
    pub kind: String,
    /// What becomes of them; of several cells the worst.
    pub outcome: Outcome,
    /// What was said of the first that fared so; empty where they survive.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// The cells that it rests on.
    pub cells: Vec<CellId>,
}

/// A cell of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellId {
    /// The place of the run among [`Table::runs`], from 0.
    pub run: u32,
    /// Its id there.
    pub cell: String,
}

/// Why a table could not be used.
#[derive(Debug, Error)]
pub enum TableError {
    /// It could not be read.
    #[error("the compatibility table {path} cannot be read: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is none of this version.
    #[error(
        "{path} is not a compatibility table of version {TABLE_VERSION}: {reason}; `intact compat RUN…` makes one"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Where and why.
        reason: String,
    },
    /// No cell of the runs says anything.
    #[error(
        "no cell of these runs crosses between llama.cpp releases with nothing else changed; `intact run --plan release` has such cells"
    )]
    Empty,
}

impl Kept {
    /// All of them, in the order of pages.
    pub const ALL: [Self; 4] = [Self::Session, Self::SequenceFile, Self::SessionFile, Self::RawSequence];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SequenceFile => "sequence-file",
            Self::SessionFile => "session-file",
            Self::RawSequence => "raw-sequence",
        }
    }

    /// For a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Session => "sessions of intact",
            Self::SequenceFile => "llama.cpp's sequence files, llama-server's slots",
            Self::SessionFile => "llama.cpp's session files",
            Self::RawSequence => "states that bindings keep",
        }
    }

    fn of(cell: &Cell) -> Option<Self> {
        match (dim(cell, "subject"), Container::from_name(dim(cell, "container"))) {
            (ENGINE, _) => Some(Self::Session),
            (UNPROTECTED, Some(Container::SequenceFile)) => Some(Self::SequenceFile),
            (UNPROTECTED, Some(Container::SessionFile)) => Some(Self::SessionFile),
            (UNPROTECTED, Some(Container::RawSequence)) => Some(Self::RawSequence),
            _ => None,
        }
    }
}

impl Outcome {
    const fn of(verdict: Verdict) -> Option<Self> {
        match Style::of(verdict).tone {
            Tone::Good => Some(Self::Survives),
            Tone::Fair => Some(Self::EvaluatedAgain),
            Tone::Weak => Some(Self::Worse),
            Tone::Safe => Some(Self::Refused),
            Tone::Bad => Some(Self::Wrong),
            Tone::Blank => None,
        }
    }

    /// How it looks.
    #[must_use]
    pub const fn tone(self) -> Tone {
        match self {
            Self::Survives => Tone::Good,
            Self::EvaluatedAgain => Tone::Fair,
            Self::Worse => Tone::Weak,
            Self::Refused => Tone::Safe,
            Self::Wrong => Tone::Bad,
        }
    }

    /// Whether nothing is lost.
    #[must_use]
    pub const fn is_intact(self) -> bool {
        matches!(self, Self::Survives | Self::EvaluatedAgain)
    }
}

fn dim<'c>(cell: &'c Cell, name: &str) -> &'c str {
    cell.dims.get(name).map_or("", String::as_str)
}

/// What an entry is of.
type Key = (Kept, String, String, String, String);

/// What an entry is of, where the cell says something of a way between two releases.
fn key(cell: &Cell) -> Option<Key> {
    let to = dim(cell, "reader");
    let from = match dim(cell, "writer") {
        SAME => to,
        from => from,
    };
    [from, to].iter().all(|release| compare_versions(release, release).is_some()).then_some(())?;
    let owned = |name| dim(cell, name).to_owned();
    Some((Kept::of(cell)?, from.to_owned(), to.to_owned(), owned("kv"), owned("family")))
}

impl Table {
    /// The table of some runs.
    ///
    /// # Errors
    /// [`TableError::Empty`].
    pub fn of(runs: &[Results]) -> Result<Self, TableError> {
        let mut entries: BTreeMap<Key, Entry> = BTreeMap::new();
        let mut sources = Vec::new();
        for (run, results) in (0..).zip(runs) {
            let mut cells = 0;
            for cell in &results.cells {
                let outcome = Outcome::of(cell.verdict);
                let plain = || is_plain_but_for(results, cell, &ITS_OWN);
                let (Some(outcome), Some(key)) = (outcome.filter(|_| plain()), key(cell)) else { continue };
                cells += 1;
                let id = CellId { run, cell: cell.id.clone() };
                let said = if outcome.is_intact() { String::new() } else { cell.message.clone() };
                let (kept, from, to, kv, kind) = key.clone();
                let entry = entries.entry(key).or_insert_with(|| Entry {
                    kept,
                    from,
                    to,
                    kv,
                    kind,
                    outcome,
                    said: said.clone(),
                    cells: Vec::new(),
                });
                if outcome > entry.outcome {
                    (entry.outcome, entry.said) = (outcome, said);
                }
                entry.cells.push(id);
            }
            sources.push(Source {
                started: results.run.started.clone(),
                harness: results.run.harness.clone(),
                machine: format!("{} on {}", results.environment.os, results.environment.arch),
                cells,
            });
        }
        if entries.is_empty() {
            return Err(TableError::Empty);
        }
        let entries: Vec<Entry> = entries.into_values().collect();
        let mut releases = distinct(entries.iter().flat_map(|entry| [&entry.from, &entry.to]));
        releases.sort_by(|one, other| compare_versions(one, other).unwrap_or(Ordering::Equal));
        let mut table = Self {
            version: TABLE_VERSION,
            what: WHAT.to_owned(),
            runs: sources,
            kinds: distinct(entries.iter().map(|entry| &entry.kind)),
            kv_types: distinct(entries.iter().map(|entry| &entry.kv)),
            releases,
            entries,
            guarantees: Vec::new(),
        };
        table.guarantees = guarantee::all(&table);
        Ok(table)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let shown = || path.display().to_string();
        let text = regular::read_text(path).map_err(|source| TableError::Io { path: shown(), source })?;
        let malformed = |reason: String| TableError::Malformed { path: shown(), reason };
        let table: Self = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if table.what != WHAT || table.version != TABLE_VERSION {
            return Err(malformed(format!(
                "it says that it is {:?} of version {}",
                table.what, table.version
            )));
        }
        Ok(table)
    }

    /// As a document.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// As a page that needs nothing but itself.
    ///
    /// # Errors
    /// Why the template could not be filled.
    pub fn page(&self) -> Result<String, String> {
        page::rendered(self)
    }
}

/// Each once, in the order in which they come first; types of K and V begin with those that hold most.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}
