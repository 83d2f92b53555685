//! One question to the table, and its answer.

use std::cmp::Ordering;

use intact_format::passport::Passport;

use super::{CellId, Entry, Kept, Outcome, Table};
use crate::filter::compare_versions;
use crate::quantity::counted;
use crate::style::Tone;
use crate::text::line;

/// What somebody wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// What the sessions are kept in.
    pub kept: Kept,
    /// The release that one has.
    pub from: &'a str,
    /// The one that one goes to.
    pub to: &'a str,
    /// The type of K and V; none for all that were tried.
    pub kv: Option<&'a str>,
    /// The kind of model; none for all that were tried.
    pub kind: Option<&'a str>,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What becomes of sessions; none where it is not known.
    pub outcome: Option<Outcome>,
    /// What was said of one that fared so.
    pub said: &'a str,
    /// The cells that it rests on.
    pub cells: Vec<&'a CellId>,
    /// Those of them that fared so.
    pub of_it: usize,
}

/// What is answered where nothing is known.
pub(super) const NOT_KNOWN: &str = "Not known: no run in this table tried that.";

impl Table {
    /// What is known of a question. Of several entries the worst counts.
    #[must_use]
    pub fn answer(&self, question: &Question<'_>) -> Answer<'_> {
        let is_of = |entry: &&Entry| {
            (entry.kept, entry.from.as_str(), entry.to.as_str())
                == (question.kept, question.from, question.to)
                && question.kv.is_none_or(|kv| kv == entry.kv)
                && question.kind.is_none_or(|kind| kind == entry.kind)
        };
        let entries: Vec<&Entry> = self.entries.iter().filter(is_of).collect();
        let outcome = entries.iter().map(|entry| entry.outcome).max();
        let of_it: Vec<&&Entry> = entries.iter().filter(|entry| Some(entry.outcome) == outcome).collect();
        Answer {
            outcome,
            said: of_it.first().map_or("", |entry| entry.said.as_str()),
            of_it: of_it.iter().map(|entry| entry.cells.len()).sum(),
            cells: entries.iter().flat_map(|entry| &entry.cells).collect(),
        }
    }
}

impl Answer<'_> {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let all = self.cells.len();
        let tried = counted(all, "session was tried", "sessions were tried");
        let some = if self.of_it < all { format!(" ({} of them)", self.of_it) } else { String::new() };
        match self.outcome {
            None => NOT_KNOWN.to_owned(),
            Some(Outcome::Survives) => format!("Yes, they come back as they were: {tried}."),
            Some(Outcome::EvaluatedAgain) => {
                format!("Yes, they come back, and their tokens are evaluated again for that{some}: {tried}.")
            }
            Some(Outcome::Worse) => {
                format!("Not quite: they come back worse than they were saved{some}: {tried}.")
            }
            Some(Outcome::Refused) => {
                format!("No: they are lost, and whoever loads them is told so{some}: {tried}.")
            }
            Some(Outcome::Wrong) => {
                format!("No: they come back wrong and nobody is told, or the load does harm{some}: {tried}.")
            }
        }
    }

    /// How it looks.
    #[must_use]
    pub fn tone(&self) -> Tone {
        self.outcome.map_or(Tone::Blank, Outcome::tone)
    }
}

impl Table {
    /// What is known of a session with this passport in another release: the answer that the page gives, and the first cells of it.
    #[must_use]
    pub fn cited(&self, saved: &Passport, to: &str) -> String {
        let [from, to] = [saved.release.as_str(), to].map(|name| self.release(name));
        let [k, v] = [saved.cache.type_k.name(), saved.cache.type_v.name()];
        // Nothing that has two types was tried.
        let kv = if k == v { k.to_owned() } else { format!("{k} and {v}") };
        let kind = kind_of(&saved.model.architecture);
        let answer = self.answer(&Question { kept: Kept::Session, from, to, kv: Some(&kv), kind });
        let of =
            kind.map_or_else(|| "models of any kind".to_owned(), |kind| format!("models of kind {kind}"));
        let mut text = format!("what was tried, {from} to {to}, {kv}, {of}: {}", answer.words());
        if !answer.said.is_empty() {
            text += &format!(" The message: {}", line(answer.said));
        }
        let named: Vec<&str> = answer.cells.iter().take(NAMED).map(|id| id.cell.as_str()).collect();
        if !named.is_empty() {
            let more = answer.cells.len() - named.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            text += &format!(" Cells: {}{more}.", named.join(", "));
        }
        text
    }

    /// What a release is called here.
    fn release<'n>(&'n self, name: &'n str) -> &'n str {
        let is_it = |known: &&String| compare_versions(known, name) == Some(Ordering::Equal);
        self.releases.iter().find(is_it).map_or(name, String::as_str)
    }
}

/// Cells that a sentence names.
const NAMED: usize = 3;

/// The kind of models of an architecture, where one of the tiny models is of it.
fn kind_of(architecture: &str) -> Option<&'static str> {
    let mut families = intact_fixtures::families();
    let found = families.find(|entry| entry.family.architecture == architecture);
    found.map(|entry| entry.family.memory.as_str())
}
