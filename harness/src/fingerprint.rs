//! What the saved states of a llama.cpp library are made of: small ones that it writes with every kind of model, and how those of
//! two libraries differ.
//!
//! Bytes that are equal mean the same. Where they are not, three things are told apart: the form has changed, so that other words
//! are in other places; the form is the same and what is in it means something else; or two libraries compute the same numbers a
//! little differently, which is no change of the state. A change is announced where the version that llama.cpp writes before such
//! states is another one.

mod difference;
mod probes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use intact_format::foreign::{ForeignFile, ForeignKind};
use serde::Serialize;

use crate::quantity::counted;
use difference::Difference;
pub(crate) use probes::taken;

/// What a state is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Container {
    /// A sequence file (GGSQ): what llama-server's slots are too.
    SequenceFile,
    /// A session file (GGSN): the state of a whole context.
    SessionFile,
    /// The state of a sequence as the library hands it over: what bindings keep.
    RawSequence,
}

/// A small state: what it is of, and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Probe {
    /// What it is kept in.
    pub(crate) container: Container,
    /// The family of the model.
    pub(crate) model: String,
    /// The type of K and V.
    pub(crate) kv: String,
    /// With flash attention, or with V by element.
    pub(crate) flash: bool,
}

/// What a library wrote: the bytes of each state, or why there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) written: BTreeMap<Probe, Result<Vec<u8>, String>>,
}

/// The versions that a library writes before states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Versions {
    /// Of sequence files. States without a file around them have none of their own, and this one stands for them.
    pub(crate) sequence: Option<u32>,
    /// Of session files.
    pub(crate) session: Option<u32>,
}

/// What changed, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    /// What is changed.
    pub(crate) container: Container,
    /// Whether other bytes are written, or the same ones mean something else.
    pub(crate) of: Kind,
    /// What it is, in words.
    pub(crate) what: String,
    /// Whether a version was raised.
    pub(crate) announced: bool,
    /// The states that show it, by family and type of K and V.
    pub(crate) shown_by: Vec<String>,
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Other words in other places.
    Form,
    /// The same words, which mean something else.
    Meaning,
}

/// How the states of two libraries differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Of the first and the second one.
    pub(crate) versions: [Versions; 2],
    /// What changed.
    pub(crate) changes: Vec<Change>,
    /// States that both wrote.
    pub(crate) compared: usize,
    /// Those of them that are the same byte for byte, but for the version.
    pub(crate) same: usize,
    /// Those that differ by how the same numbers are computed, and the largest such difference.
    pub(crate) rounded: usize,
    /// Normalised mean squared error of the numbers that differ most.
    pub(crate) most: f64,
    /// Families whose numbers the two compute otherwise: sessions go on from numbers that the other one would not have.
    pub(crate) computed: BTreeMap<String, f64>,
    /// States that one of them could not write.
    pub(crate) missing: Vec<Missing>,
}

/// A state that one library wrote and the other could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    /// Which.
    pub(crate) probe: Probe,
    /// Whether it is the second library that could not.
    pub(crate) is_second: bool,
    /// What it said.
    pub(crate) reason: String,
}

impl Container {
    pub(crate) const ALL: [Self; 3] = [Self::SequenceFile, Self::SessionFile, Self::RawSequence];

    /// As the matrix calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SequenceFile => "sequence-file",
            Self::SessionFile => "session-file",
            Self::RawSequence => "raw-sequence",
        }
    }

    /// The container of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.name() == name)
    }

    /// For a person.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::SequenceFile => "sequence files (GGSQ)",
            Self::SessionFile => "session files (GGSN)",
            Self::RawSequence => "raw states (blobs)",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Form => "form",
            Self::Meaning => "meaning",
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.model, self.kv, if self.flash { "" } else { " without flash attention" })
    }
}

impl Versions {
    /// The one that is written before states in this container, or stands for them.
    pub(crate) const fn of(self, container: Container) -> Option<u32> {
        match container {
            Container::SequenceFile | Container::RawSequence => self.sequence,
            Container::SessionFile => self.session,
        }
    }
}

impl Fingerprint {
    /// The versions that its files begin with.
    pub(crate) fn versions(&self) -> Versions {
        let version = |container: Container, kind: ForeignKind| {
            let mut files = self.written.iter().filter(|(probe, _)| probe.container == container);
            files.find_map(|(_, bytes)| {
                let file = ForeignFile::read(bytes.as_ref().ok()?).ok()?;
                (file.kind == kind).then_some(file.version)
            })
        };
        Versions {
            sequence: version(Container::SequenceFile, ForeignKind::SequenceFile),
            session: version(Container::SessionFile, ForeignKind::SessionFile),
        }
    }

    fn bytes(&self, probe: &Probe) -> Option<&[u8]> {
        self.written.get(probe)?.as_deref().ok()
    }
}

impl Comparison {
    /// How the states of one library differ from those of the one before it.
    pub(crate) fn between(base: &Fingerprint, head: &Fingerprint) -> Self {
        let versions = [base.versions(), head.versions()];
        let mut found = Self {
            versions,
            changes: Vec::new(),
            compared: 0,
            same: 0,
            rounded: 0,
            most: 0.0,
            computed: BTreeMap::new(),
            missing: Vec::new(),
        };
        for probe in base.written.keys() {
            let (Some(before), Some(after)) = (base.bytes(probe), head.bytes(probe)) else {
                found.missing.extend(missing(probe, base, head));
                continue;
            };
            found.compared += 1;
            match difference::of(probe, before, after, base, head) {
                Difference::None => found.same += 1,
                Difference::Rounded(nmse) => {
                    found.rounded += 1;
                    found.most = found.most.max(nmse);
                }
                Difference::Computed(nmse) => {
                    let most = found.computed.entry(probe.model.clone()).or_default();
                    *most = most.max(nmse);
                }
                Difference::Form(what) => found.note(probe, Kind::Form, what),
                Difference::Meaning(what) => found.note(probe, Kind::Meaning, what),
            }
        }
        found
    }

    fn note(&mut self, probe: &Probe, of: Kind, what: String) {
        let container = probe.container;
        let is_it = |known: &&mut Change| (known.container, known.of, &known.what) == (container, of, &what);
        if let Some(known) = self.changes.iter_mut().find(is_it) {
            known.shown_by.push(probe.to_string());
            return;
        }
        let announced = self.is_announced(container);
        self.changes.push(Change { container, of, what, announced, shown_by: vec![probe.to_string()] });
    }

    /// Whether the version of states in this container is another one, raised or lowered: either way they are refused by whoever
    /// has the other one.
    pub(crate) fn is_announced(&self, container: Container) -> bool {
        let [before, after] = self.versions.map(|versions| versions.of(container));
        before.is_some() && after.is_some() && before != after
    }

    /// Whether that version was raised, in a word or two.
    pub(crate) fn raised_word(&self, container: Container) -> &'static str {
        let [before, after] = self.versions.map(|versions| versions.of(container));
        match (self.is_announced(container), after > before) {
            (false, _) => "no",
            (true, true) => "yes",
            (true, false) => "lowered",
        }
    }

    /// What changed while no version did.
    pub(crate) fn unannounced(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.announced)
    }

    /// What it says of the states in a container, in lines.
    pub(crate) fn lines(&self, container: Container) -> Vec<String> {
        let changes = self.changes.iter().filter(|change| change.container == container);
        changes
            .map(|change| format!("the {} changed: {} ({})", change.of, change.what, named(&change.shown_by)))
            .collect()
    }

    /// The versions of a container, before and now.
    pub(crate) fn version_words(&self, container: Container) -> String {
        let shown =
            |version: Option<u32>| version.map_or_else(|| "unknown".to_owned(), |word| word.to_string());
        let [before, after] = self.versions.map(|versions| versions.of(container));
        let of = if container == Container::RawSequence {
            "that of sequence files, as they have none: "
        } else {
            ""
        };
        if before == after {
            format!("{of}version {}, not raised", shown(before))
        } else {
            format!("{of}version {}, which was {}", shown(after), shown(before))
        }
    }

    /// How much was compared, and with what outcome, in a sentence.
    pub(crate) fn extent(&self) -> String {
        let mut text = format!(
            "{} compared, {} the same byte for byte but for the version",
            counted(self.compared, "state was", "states were"),
            self.same
        );
        if self.rounded > 0 {
            let _ = write!(
                text,
                "; {} hold the same numbers, computed a little differently (NMSE up to {:.0e}), which is no change of the state",
                self.rounded, self.most
            );
        }
        text + "."
    }

    /// What else is to be known, a line each: `names` are those of the two libraries.
    pub(crate) fn notes(&self, names: [&str; 2]) -> Vec<String> {
        let computed: Vec<String> = self
            .computed
            .iter()
            .map(|(family, most)| {
                format!(
                    "{family}: computed differently (NMSE {most:.1}); sessions that were saved before go on from other numbers"
                )
            })
            .collect();
        let unable = |is_second: bool, name: &str| {
            let families: BTreeSet<&str> = self
                .missing
                .iter()
                .filter(|missing| missing.is_second == is_second)
                .map(|missing| missing.probe.model.as_str())
                .collect();
            let families = families.into_iter().collect::<Vec<_>>().join(", ");
            (!families.is_empty())
                .then(|| format!("not compared, as {name} does not run all of it: {families}"))
        };
        let [first, second] = names;
        computed.into_iter().chain(unable(false, first)).chain(unable(true, second)).collect()
    }
}

/// Why a state cannot be compared. Where neither library has it, it is of a model or a type that both of them lack: no matter here.
fn missing(probe: &Probe, base: &Fingerprint, head: &Fingerprint) -> Option<Missing> {
    let why = |of: &Fingerprint| match of.written.get(probe) {
        Some(Ok(_)) => None,
        Some(Err(reason)) => Some(reason.clone()),
        None => Some("it was not asked".to_owned()),
    };
    let (is_second, reason) = match (why(base), why(head)) {
        (Some(_), Some(_)) | (None, None) => return None,
        (Some(reason), None) => (false, reason),
        (None, Some(reason)) => (true, reason),
    };
    Some(Missing { probe: probe.clone(), is_second, reason })
}

/// States that are named in a line.
const NAMED: usize = 4;

fn named(all: &[String]) -> String {
    let first = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
