//! Can sessions be taken from one system to another, and back? A small matrix of two systems, and its answer in words.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write;

use thiserror::Error;
use toml::{Table, Value};

use crate::filter::compare_versions;
use crate::quantity::counted;
use crate::recipe::{INAPPLICABLE, SAME};
use crate::results::{Cell, Results};
use crate::style::{Style, Tone};
use crate::verdict::Verdict;

/// What the two systems are asked with: the matrix of other systems.
const MATRIX: &str = include_str!("../adapters/peers.toml");
/// The plan's name.
pub const PLAN: &str = "upgrade";

/// One of the two systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// An installed subject: its name and its version.
    Installed(String, String),
    /// A worker: what it is called, and its command line.
    Worker(String, Vec<String>),
}

/// Why no matrix could be made.
#[derive(Debug, Error)]
#[error("the matrix of other systems cannot be used: {0}")]
pub struct MatrixError(#[from] toml::ser::Error);

impl Side {
    /// What it is called in cells.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Installed(name, version) => format!("{name}@{version}"),
            Self::Worker(name, _) => name.clone(),
        }
    }
}

/// KV types that are tried.
const TYPES: [&str; 3] = ["f16", "q8_0", "q4_0"];

/// What the state files of a release are called, which llama.cpp saves and loads by itself.
fn files_of(release: &str) -> String {
    format!("{release}-files")
}

/// Releases before the first of these take a state file of the second or a later one for one that needs all memory there is.
const TAKES_ALL_MEMORY: [&str; 2] = ["b5913", "b9028"];

/// Whether state files of one release must not be given to another.
fn is_harmful(writer: &str, reader: &str) -> bool {
    let [older, newer] = TAKES_ALL_MEMORY;
    compare_versions(reader, older) == Some(Ordering::Less)
        && compare_versions(writer, newer).is_some_and(|order| order != Ordering::Less)
}

/// The configuration with these two systems: each reads what each wrote, with every KV type. For two llama.cpp
/// releases, the state files that llama.cpp itself saves are tried too.
///
/// # Errors
/// [`MatrixError`].
pub fn configuration(from: &Side, to: &Side) -> Result<String, MatrixError> {
    let mut config: Table = MATRIX.parse().unwrap_or_default();
    let mut subjects: Vec<Table> = Vec::new();
    for side in [from, to] {
        let (name, key, value) = match side {
            Side::Installed(name, version) => (name, "installed", vec![version.clone()]),
            Side::Worker(name, command) => (name, "command", command.clone()),
        };
        let value: Vec<Value> = value.into_iter().map(Value::from).collect();
        let there = subjects.iter_mut().find(|known| known["name"].as_str() == Some(name));
        match there.and_then(|known| known.get_mut(key)).and_then(Value::as_array_mut) {
            Some(versions) if key == "installed" => versions.extend(value),
            _ => subjects.push(Table::from_iter([
                ("name".to_owned(), Value::from(name.clone())),
                ("part".to_owned(), "judged".into()),
                (key.to_owned(), Value::Array(value)),
            ])),
        }
    }
    let mut only = both(&from.name(), &to.name());
    if let (Side::Worker(..), Side::Worker(..)) = (from, to) {
        for side in [from, to] {
            let Side::Worker(name, command) = side else { continue };
            let command = command.iter().map(String::as_str).chain(["--subject", "blind"]);
            subjects.push(Table::from_iter([
                ("name".to_owned(), Value::from(files_of(name))),
                ("part".to_owned(), "judged".into()),
                ("command".to_owned(), Value::Array(command.map(Value::from).collect())),
            ]));
        }
        only = format!("{only} | {}", both(&files_of(&from.name()), &files_of(&to.name())));
        let ways = [(from.name(), to.name()), (to.name(), from.name())];
        let forbids =
            ways.iter().filter(|(writer, reader)| is_harmful(writer, reader)).map(|(writer, reader)| {
                Value::Table(Table::from_iter([
                    (
                        "when".to_owned(),
                        Value::from(format!("writer(={}) & reader(={})", files_of(writer), files_of(reader))),
                    ),
                    ("reason".to_owned(), "the older release would ask for all memory of the machine".into()),
                ]))
            });
        if let Some(known) = config.get_mut("forbid").and_then(Value::as_array_mut) {
            known.extend(forbids);
        }
    }
    if let Some(axes) = config.get_mut("axes").and_then(Value::as_array_mut) {
        for axis in axes.iter_mut().filter_map(Value::as_table_mut) {
            let values = match axis.get("name").and_then(Value::as_str) {
                Some("kv") => TYPES.to_vec(),
                Some("reader_kv") => std::iter::once("same").chain(TYPES).collect(),
                _ => continue,
            };
            axis.insert("values".into(), Value::Array(values.into_iter().map(Value::from).collect()));
        }
    }
    let block = Table::from_iter([
        ("vary".to_owned(), Value::from("all")),
        ("axes".to_owned(), Value::from(vec!["reader", "writer", "kv"])),
        ("only".to_owned(), only.into()),
    ]);
    let plan = Table::from_iter([
        ("about".to_owned(), Value::from("Two systems: each reads what each wrote.")),
        ("blocks".to_owned(), Value::from(vec![Value::Table(block)])),
    ]);
    config.insert("subjects".into(), Value::from(subjects.into_iter().map(Value::Table).collect::<Vec<_>>()));
    config.insert("plans".into(), Value::Table(Table::from_iter([(PLAN.to_owned(), Value::Table(plan))])));
    if let Some(run) = config.get_mut("run").and_then(Value::as_table_mut) {
        run.insert("plan".into(), PLAN.into());
    }
    Ok(toml::to_string(&config)?)
}

/// The cells in which each of two systems reads what each wrote.
fn both(one: &str, other: &str) -> String {
    format!("reader(={one}|={other}) & writer(={one}|={other}|same)")
}

/// How sessions fare on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fare {
    /// They survive: the state is used as it is.
    Survives,
    /// They survive, and their tokens are evaluated again.
    Recomputed,
    /// They come back a little worse.
    Worse,
    /// They are lost, and the user is told.
    Told,
    /// Nobody notices that they are wrong, or what takes them in dies of it.
    Silent,
}

/// What is known of a way, for each KV type: how sessions fare on it, where that is known, and what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Who saved.
    pub from: String,
    /// Who loads.
    pub to: String,
    /// By KV type.
    pub types: Vec<(String, Option<Fare>, String)>,
    /// KV types that cannot be had on it.
    pub unable: BTreeSet<String>,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// From the one to the other.
    pub upgrade: Way,
    /// Back.
    pub rollback: Way,
    /// Each from itself to itself: a system that cannot do that says nothing about the other.
    pub itself: [Way; 2],
    /// The same there and back for the state files that llama.cpp saves itself, where two releases of it were tried.
    pub files: Option<[Way; 2]>,
}

impl Fare {
    const fn of(verdict: Verdict) -> Option<Self> {
        match Style::of(verdict).tone {
            Tone::Good => Some(Self::Survives),
            Tone::Fair => Some(Self::Recomputed),
            Tone::Weak => Some(Self::Worse),
            Tone::Safe => Some(Self::Told),
            Tone::Bad => Some(Self::Silent),
            Tone::Blank => None,
        }
    }

    /// How it looks, as in every part of a report.
    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Survives => Tone::Good,
            Self::Recomputed => Tone::Fair,
            Self::Worse => Tone::Weak,
            Self::Told => Tone::Safe,
            Self::Silent => Tone::Bad,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Survives => "sessions survive",
            Self::Recomputed => "sessions survive, and their tokens are evaluated again",
            Self::Worse => "sessions come back, worse than they were saved",
            Self::Told => "sessions are lost, and the program says so",
            Self::Silent => "sessions are lost, and come back wrong or crash the program",
        }
    }
}

impl Way {
    /// What a run shows of a way where nothing else differs.
    pub(crate) fn of(results: &Results, from: &str, to: &str) -> Self {
        let dim = |cell: &Cell, name: &str| cell.dims.get(name).cloned().unwrap_or_default();
        let is_writer = |cell: &Cell| {
            let writer = dim(cell, "writer");
            writer == from || from == to && writer == "same"
        };
        let cells = results.cells.iter().filter(|cell| dim(cell, "reader") == to && is_writer(cell));
        let mut types: Vec<(String, Option<Fare>, String)> = Vec::new();
        let (mut unable, mut able) = (BTreeSet::new(), BTreeSet::new());
        for cell in cells.filter(|cell| cell.verdict != Verdict::Filtered && is_plain(results, cell)) {
            let (kv, fare) = (dim(cell, "kv"), Fare::of(cell.verdict));
            if cell.verdict == Verdict::Unsupported { &mut unable } else { &mut able }.insert(kv.clone());
            match types.iter_mut().find(|(known, ..)| *known == kv) {
                // Of several models the worst counts; what is not known is no good news.
                Some(known) if fare.is_none() || known.1.is_some() && fare > known.1 => {
                    *known = (kv, fare, cell.message.clone());
                }
                Some(_) => {}
                None => types.push((kv, fare, cell.message.clone())),
            }
        }
        unable.retain(|kv| !able.contains(kv));
        types.sort_by_key(|(kv, ..)| (TYPES.iter().position(|known| known == kv), kv.clone()));
        Self { from: from.to_owned(), to: to.to_owned(), types, unable }
    }

    /// The same without the KV types that its writer has no sessions of.
    fn without(mut self, unable: &BTreeSet<String>) -> Self {
        self.types.retain(|(kv, ..)| !unable.contains(kv));
        self
    }

    /// Whether sessions of every KV type survive; `None` where that is not known of one and no other is lost.
    #[must_use]
    pub fn survives(&self) -> Option<bool> {
        let lost = |fare: &Option<Fare>| fare.is_some_and(|fare| fare > Fare::Recomputed);
        if self.types.iter().any(|(_, fare, _)| lost(fare)) {
            return Some(false);
        }
        let known = !self.types.is_empty() && self.types.iter().all(|(_, fare, _)| fare.is_some());
        known.then_some(true)
    }

    fn answer(&self, question: &str) -> String {
        let word = match self.survives() {
            Some(true) => "Yes",
            Some(false)
                if self
                    .types
                    .iter()
                    .any(|(_, fare, _)| fare.is_some_and(|fare| fare <= Fare::Recomputed)) =>
            {
                "Only for some KV types"
            }
            Some(false) => "No",
            None => "Not known",
        };
        let mut text = format!("{question} {} -> {}? {word}.\n", self.from, self.to);
        for (kv, fare, message) in &self.types {
            let what = fare.map_or("not known", Fare::words);
            let _ = write!(text, "  {kv:6} {what}");
            if fare.is_none_or(|fare| fare > Fare::Recomputed) && !message.is_empty() {
                let _ = write!(text, ": {}", crate::text::line(message));
            }
            text.push('\n');
        }
        if self.types.is_empty() {
            text += "  no session was tried\n";
        }
        text
    }
}

/// Axes that a way has, whatever else is at its base.
const ITS_OWN: [&str; 4] = ["model", "kv", "writer", "reader"];

/// Whether nothing differs in a cell but who reads what whom wrote.
fn is_plain(results: &Results, cell: &Cell) -> bool {
    is_plain_but_for(results, cell, &ITS_OWN)
}

/// Whether every axis is at its base in a cell, but for these.
pub(crate) fn is_plain_but_for(results: &Results, cell: &Cell, these: &[&str]) -> bool {
    let axes = results.plan.axes.iter().filter(|axis| !these.contains(&axis.name.as_str()));
    let is_base = |name: &String, base: &String| {
        cell.dims
            .get(name)
            .is_none_or(|value| value == base || [SAME, INAPPLICABLE].contains(&value.as_str()))
    };
    axes.into_iter().all(|axis| axis.values.first().is_none_or(|base| is_base(&axis.name, base)))
}

impl Answers {
    /// What the results of such a run answer.
    #[must_use]
    pub fn of(results: &Results, from: &str, to: &str) -> Self {
        let way = |from: &str, to: &str| Way::of(results, from, to);
        let itself = [way(from, from), way(to, to)];
        let files = [files_of(from), files_of(to)];
        let has_files = |cell: &Cell| cell.dims.get("reader").is_some_and(|reader| files.contains(reader));
        Self {
            upgrade: way(from, to).without(&itself[0].unable),
            rollback: way(to, from).without(&itself[1].unable),
            files: results
                .cells
                .iter()
                .any(has_files)
                .then(|| [way(&files[0], &files[1]), way(&files[1], &files[0])]),
            itself,
        }
    }

    /// For a person. `model` is what was tried with.
    #[must_use]
    pub fn text(&self, model: &str) -> String {
        let mut text = self.upgrade.answer("Can I upgrade,") + &self.rollback.answer("Can I roll back,");
        for way in &self.itself {
            if !way.unable.is_empty() {
                let types: Vec<&str> = way.unable.iter().map(String::as_str).collect();
                let _ = writeln!(text, "Note: {} has no sessions with {}.", way.to, types.join(" or "));
            }
            let bad: Vec<&str> = way
                .types
                .iter()
                .filter(|(kv, fare, _)| {
                    !way.unable.contains(kv) && fare.is_none_or(|fare| fare > Fare::Recomputed)
                })
                .map(|(kv, ..)| kv.as_str())
                .collect();
            if !bad.is_empty() {
                let _ = writeln!(
                    text,
                    "Note: {} does not get back what it saved itself with {}; versions have nothing to do with that.",
                    way.to,
                    bad.join(" and ")
                );
            }
        }
        if let Some(files) = &self.files {
            text.push_str(
                "\nThese were sessions that intact saved. Of the state files that llama.cpp saves itself, which nothing checks:\n",
            );
            text += &files[0].answer("Can I upgrade,");
            text += &files[1].answer("Can I roll back,");
        }
        let lost = [&self.upgrade, &self.rollback].iter().any(|way| way.survives() == Some(false));
        if lost {
            let _ = write!(
                text,
                "\nWhat to do where sessions are lost:\n  \
                 keep the chat history and let the new version evaluate it again: costs the time of a prompt of that length\n  \
                 or let intact take the state over, which verifies it first: intact adopt STATE --model {model}\n  \
                 or stay with {} until users' sessions have ended\n",
                self.upgrade.from
            );
        }
        text
    }

    /// How many of the ways are known.
    #[must_use]
    pub fn tried(&self) -> String {
        let known = |way: &Way| way.types.iter().filter(|(_, fare, _)| fare.is_some()).count();
        let ways = [&self.upgrade, &self.rollback, &self.itself[0], &self.itself[1]];
        counted(ways.into_iter().map(known).sum(), "session was judged", "sessions were judged")
    }
}

#[cfg(test)]
mod tests;
