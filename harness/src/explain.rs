//! What every word means that intact answers with: verdicts, exit codes, refusals, axes, routes, faults, findings and layouts.
//!
//! The tables that decide also say what they mean; `explain/advice.toml` adds what to do, and a command that shows it. The
//! reference chapter of the guide is made from the same entries.

mod advice;
mod cell;
mod entries;
mod reference;
#[cfg(test)]
mod tests;

use std::fmt;

use intact_matrix::config::Config;
use thiserror::Error;

use crate::nearest;
pub(crate) use cell::of_cell;
pub(crate) use entries::changes;
pub(crate) use reference::chapter;

/// One word, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// In a clause or a sentence.
    pub(crate) meaning: String,
    /// More about it, a line each.
    pub(crate) details: Vec<String>,
    /// The first llama.cpp release in which it is so, where that is not every one.
    pub(crate) since: Option<String>,
    /// What to do.
    pub(crate) next: String,
    /// A command that shows it.
    pub(crate) example: Option<String>,
}

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Verdict,
    Exit,
    Refusal,
    Code,
    Finding,
    Route,
    PassportAxis,
    MatrixAxis,
    Fault,
    Layout,
}

/// A word that means nothing here.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("`{word}` is neither a word of intact's nor a cell nor a file")]
pub(crate) struct UnknownWord {
    word: String,
    hint: String,
}

impl Kind {
    /// Every kind, in the order of the reference.
    pub(crate) const ALL: [Self; 10] = [
        Self::Verdict,
        Self::Exit,
        Self::Refusal,
        Self::Code,
        Self::Finding,
        Self::Route,
        Self::PassportAxis,
        Self::MatrixAxis,
        Self::Fault,
        Self::Layout,
    ];

    /// The heading over all of this kind.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Verdict => "Verdicts",
            Self::Exit => "Exit codes",
            Self::Refusal => "Refusals",
            Self::Code => "Other codes",
            Self::Finding => "Findings",
            Self::Route => "Routes of a load",
            Self::PassportAxis => "Axes of a session's passport",
            Self::MatrixAxis => "Axes of the matrix",
            Self::Fault => "Faults",
            Self::Layout => "Layouts of llama.cpp's state",
        }
    }
}

impl UnknownWord {
    /// The word.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// What was probably meant.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verdict => "verdict",
            Self::Exit => "exit code",
            Self::Refusal => "refusal",
            Self::Code => "code",
            Self::Finding => "finding",
            Self::Route => "route of a load",
            Self::PassportAxis => "axis of a session's passport",
            Self::MatrixAxis => "axis of the matrix",
            Self::Fault => "fault",
            Self::Layout => "layout of llama.cpp's state",
        })
    }
}

impl Entry {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} ({})\n  {}\n", self.name, self.kind, self.meaning);
        for line in &self.details {
            text += &format!("  {line}\n");
        }
        if let Some(since) = &self.since {
            text += &format!("  since llama.cpp {since}\n");
        }
        text += &format!("  What to do: {}\n", self.next);
        if let Some(example) = &self.example {
            text += &format!("  To see it:  {example}\n");
        }
        text
    }
}

/// Everything there is, by kind. The axes of the matrix are those of `config`.
pub(crate) fn catalogue(config: &Config) -> Vec<Entry> {
    Kind::ALL.into_iter().flat_map(|kind| entries::of_kind(kind, config)).collect()
}

/// What a word means: several things, where it is the name of several.
///
/// # Errors
/// [`UnknownWord`], with what was probably meant.
pub(crate) fn find<'a>(catalogue: &'a [Entry], word: &str) -> Result<Vec<&'a Entry>, UnknownWord> {
    let found: Vec<&Entry> = catalogue.iter().filter(|entry| entry.name.eq_ignore_ascii_case(word)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = catalogue.iter().map(|entry| entry.name.as_str()).collect();
    let hint = match nearest::nearest(word, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`intact explain` lists every word".to_owned(),
    };
    Err(UnknownWord { word: word.to_owned(), hint })
}
