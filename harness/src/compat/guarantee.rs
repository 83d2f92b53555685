//! How many releases back and forth sessions are read: computed from cells, never promised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kept, Outcome, Question, Table};
use crate::quantity::counted;

/// What follows from the entries for one release, and for what sessions are kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
    /// What the sessions are kept in.
    pub kept: Kept,
    /// The release.
    pub release: String,
    /// So many releases of the table before it, one after the other from it on, saved what it reads.
    pub reads_back: u32,
    /// The oldest of these, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// So many releases of the table after it read what it saved: how far one can upgrade, and roll back to it.
    pub read_by: u32,
    /// Why it is not one more release back: `end` where the table has none, `lost` or `unknown`.
    pub back_ends: End,
    /// The cells that it rests on: so many.
    pub cells: u32,
    /// In words.
    pub words: String,
}

/// Why a count ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The table has no further release.
    End,
    /// Sessions of the next one are lost.
    Lost,
    /// Nothing is known of the next one.
    Unknown,
}

/// What shields.io and its like take as an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Badge {
    /// 1.
    pub schema_version: u32,
    /// The left side.
    pub label: String,
    /// The right side.
    pub message: String,
    /// Its colour.
    pub color: String,
}

/// Those of every release, for everything that was tried.
pub(super) fn all(table: &Table) -> Vec<Guarantee> {
    let tried = |kept: &Kept| table.entries.iter().any(|entry| entry.kept == *kept);
    let kept = Kept::ALL.into_iter().filter(tried);
    kept.flat_map(|kept| (0..table.releases.len()).map(move |at| of(table, kept, at))).collect()
}

fn of(table: &Table, kept: Kept, at: usize) -> Guarantee {
    let release = &table.releases[at];
    let question = |from, to| table.answer(&Question { kept, from, to, kv: None, kind: None });
    let (mut cells, mut back_ends) = (0, End::End);
    let mut read = Vec::new();
    for from in table.releases[..at].iter().rev() {
        let answer = question(from, release);
        match answer.outcome.map(Outcome::is_intact) {
            Some(true) => {
                cells += answer.cells.len();
                read.push(from);
            }
            Some(false) => back_ends = End::Lost,
            None => back_ends = End::Unknown,
        }
        if back_ends != End::End {
            break;
        }
    }
    let later = table.releases[at + 1..].iter().map(|to| question(release, to));
    let read_by: Vec<usize> = later
        .take_while(|answer| answer.outcome.is_some_and(Outcome::is_intact))
        .map(|answer| answer.cells.len())
        .collect();
    cells += read_by.iter().sum::<usize>();
    let mut guarantee = Guarantee {
        kept,
        release: release.clone(),
        reads_back: short(read.len()),
        oldest: read.last().map(|oldest| (*oldest).clone()),
        read_by: short(read_by.len()),
        back_ends,
        cells: short(cells),
        words: String::new(),
    };
    guarantee.words = guarantee.in_words();
    guarantee
}

fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Guarantee {
    fn in_words(&self) -> String {
        let of = |count: u32| counted(count as usize, "release", "releases");
        let back = match (&self.oldest, self.back_ends) {
            (None, End::End) => "the oldest of the table".to_owned(),
            (None, End::Lost) => "does not read what the release before it saved".to_owned(),
            (None, End::Unknown) => "whether it reads the release before it is not known".to_owned(),
            (Some(oldest), ends) => {
                let why = match ends {
                    End::End => "all that the table has",
                    End::Lost => "the one before that is lost",
                    End::Unknown => "nothing is known of the one before that",
                };
                format!("reads {} back, to {oldest}: {why}", of(self.reads_back))
            }
        };
        match self.read_by {
            0 => back,
            by => format!("{back}; read by the next {}", of(by)),
        }
    }
}

impl Table {
    /// A badge about sessions that are kept so, for the newest release; none where nothing was tried.
    #[must_use]
    pub fn badge(&self, kept: Kept) -> Option<Badge> {
        let newest = self.guarantees.iter().rev().find(|guarantee| guarantee.kept == kept)?;
        let color = match (newest.reads_back, newest.back_ends) {
            (_, End::Lost) if newest.reads_back == 0 => "red",
            (_, End::Lost) => "orange",
            (0, _) => "lightgrey",
            _ => "green",
        };
        let message = match newest.reads_back {
            0 => "not known to be read back".to_owned(),
            back => {
                format!("{} reads {} back", newest.release, counted(back as usize, "release", "releases"))
            }
        };
        let message = if newest.back_ends == End::Lost && newest.reads_back == 0 {
            format!("{} reads no release back", newest.release)
        } else {
            message
        };
        Some(Badge { schema_version: 1, label: kept.words().to_owned(), message, color: color.to_owned() })
    }
}
