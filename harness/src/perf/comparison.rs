//! `perf.json`: what became of a comparison of two workers, with every measurement it stands on.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use intact_format::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::row::{Part, Row};
use super::schedule::Side;
use super::statistics::{Estimate, Spread, estimate, log_ratio};
use super::verdict::{self, Limits, Verdict};
use crate::exit::Exit;
use crate::files::replace_own;
use crate::results::Environment;

/// The version of `perf.json` that this crate writes and reads.
pub const COMPARISON_VERSION: u32 = 1;

/// Name of the document in a run's folder.
pub const COMPARISON_FILE: &str = "perf.json";

/// What became of a comparison of two workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`COMPARISON_VERSION`].
    pub version: u32,
    /// When it was made, RFC 3339 in UTC.
    pub made: String,
    /// How long it took.
    pub seconds: f64,
    /// The machine.
    pub environment: Environment,
    /// What was compared with.
    pub base: Subject,
    /// What was asked about.
    pub candidate: Subject,
    /// How it was decided.
    pub procedure: Procedure,
    /// How it ended.
    pub exit: Exit,
    /// The same in a sentence.
    pub summary: String,
    /// Every row that both sides measured, and gated ones that the candidate could not.
    pub rows: Vec<Compared>,
    /// What was not measured, and why.
    pub skipped: Vec<Skipped>,
}

/// One side: its worker, and what that says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The side as it was named: a program or a release.
    pub name: String,
    /// The command line of its worker.
    pub command: Vec<String>,
    /// Version of the subject.
    pub version: String,
    /// The llama.cpp release inside.
    pub release: String,
}

/// How a comparison is decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// Blocks, each in processes of its own.
    pub blocks: u32,
    /// Rounds of A B B A in a block.
    pub rounds: u32,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Resamples of the blocks.
    pub resamples: u32,
    /// Seed of the resampling.
    pub seed: u64,
    /// What counts as a change.
    pub limits: Limits,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The row.
    pub row: Row,
    /// What it is for.
    pub part: Part,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, in a few words.
    pub because: String,
    /// Seconds of the base. `None` where it measured nothing.
    pub base: Option<Spread>,
    /// Seconds of the candidate.
    pub candidate: Option<Spread>,
    /// Bytes that the operation moved, where it says.
    pub bytes: Option<u64>,
    /// The change. `None` without enough blocks of both sides.
    pub change: Option<Estimate>,
    /// The change in fresh processes, where the first measurement was flagged.
    pub confirmation: Option<Estimate>,
    /// Every measurement, block by block.
    pub blocks: Vec<Block>,
}

/// The measurements of one block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Seconds of the base.
    pub base: Vec<f64>,
    /// Seconds of the candidate.
    pub candidate: Vec<f64>,
}

/// Something that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// The row.
    pub row: Row,
    /// The side that could not.
    pub side: Side,
    /// Why.
    pub reason: String,
}

/// What was measured of one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// By block.
    pub blocks: Vec<Block>,
    /// Bytes that the operation moved, where it says.
    pub bytes: Option<u64>,
}

/// What was measured of every row.
pub type Series = BTreeMap<Row, Measured>;

impl Block {
    /// The measurements of one side.
    pub fn side(&mut self, side: Side) -> &mut Vec<f64> {
        match side {
            Side::Base => &mut self.base,
            Side::Candidate => &mut self.candidate,
        }
    }
}

impl Measured {
    /// Everything that one side measured.
    #[must_use]
    pub fn times(&self, side: Side) -> Vec<f64> {
        let times = |block: &Block| match side {
            Side::Base => block.base.clone(),
            Side::Candidate => block.candidate.clone(),
        };
        self.blocks.iter().flat_map(times).collect()
    }

    fn estimate(&self, procedure: &Procedure) -> Option<Estimate> {
        let logs: Vec<f64> =
            self.blocks.iter().filter_map(|block| log_ratio(&block.base, &block.candidate)).collect();
        estimate(&logs, procedure.confidence, procedure.resamples, procedure.seed)
    }
}

/// The rows whose first measurement looks like a change.
#[must_use]
pub fn suspicious(first: &Series, procedure: &Procedure) -> Vec<Row> {
    let estimates: Vec<_> = first.values().map(|measured| measured.estimate(procedure)).collect();
    let flags = verdict::flagged(&estimates, &procedure.limits);
    first.keys().zip(flags).filter(|(_, flag)| *flag).map(|(row, _)| row.clone()).collect()
}

/// The rows that are not decided by what was measured so far: more blocks may help.
#[must_use]
pub fn undecided(first: &Series, procedure: &Procedure) -> bool {
    let suspicious = suspicious(first, procedure);
    first.iter().any(|(row, measured)| {
        row.operation.part() == Part::Gated
            && !suspicious.contains(row)
            && measured.estimate(procedure).is_some_and(|estimate| {
                verdict::of_row(&estimate, None, &procedure.limits).0 == Verdict::Noisy
            })
    })
}

/// Decides every row. `second` holds what fresh processes measured of the suspicious ones.
#[must_use]
pub fn decide(first: &Series, second: &Series, procedure: &Procedure) -> Vec<Compared> {
    let limits = &procedure.limits;
    let suspicious = suspicious(first, procedure);
    let again: Vec<Option<Estimate>> =
        suspicious.iter().map(|row| second.get(row).and_then(|row| row.estimate(procedure))).collect();
    let flags = verdict::flagged(&again, limits);
    let confirmations: BTreeMap<&Row, (Estimate, bool)> = suspicious
        .iter()
        .zip(again)
        .zip(flags)
        .filter_map(|((row, estimate), flag)| Some((row, (estimate?, flag))))
        .collect();
    first
        .iter()
        .map(|(row, measured)| {
            let change = measured.estimate(procedure);
            let confirmation = confirmations.get(row).copied();
            let (verdict, because) = match &change {
                _ if suspicious.contains(row) && confirmation.is_none() => {
                    (Verdict::Unproven, "it seems to have changed, and was not measured again".to_owned())
                }
                Some(change) => {
                    let second = confirmation.as_ref().map(|(estimate, flag)| (estimate, *flag));
                    verdict::of_row(change, second, limits)
                }
                None => (Verdict::Unproven, "too few blocks were measured on both sides".to_owned()),
            };
            Compared {
                part: row.operation.part(),
                row: row.clone(),
                verdict,
                because,
                base: Spread::of(&measured.times(Side::Base)),
                candidate: Spread::of(&measured.times(Side::Candidate)),
                bytes: measured.bytes,
                change,
                confirmation: confirmation.map(|(estimate, _)| estimate),
                blocks: measured.blocks.clone(),
            }
        })
        .collect()
}

/// How the comparison ends. Where a control moved, no gated row is proven, whatever it came to by itself.
pub fn conclude(rows: &mut [Compared]) -> Exit {
    let parts: Vec<(Part, Verdict)> = rows.iter().map(|row| (row.part, row.verdict)).collect();
    if rows.iter().any(|row| verdict::has_moved(row.part, row.verdict)) {
        for row in rows.iter_mut().filter(|row| row.part == Part::Gated) {
            row.because = format!("a yardstick moved; by itself it is {}: {}", row.verdict, row.because);
            row.verdict = Verdict::Unproven;
        }
    }
    verdict::exit(&parts)
}

/// How a comparison ended, in a sentence.
#[must_use]
pub fn summary(exit: Exit, rows: &[Compared]) -> String {
    let named = |wanted: &dyn Fn(&Compared) -> bool| -> Vec<String> {
        rows.iter().filter(|row| wanted(row)).map(|row| row.row.to_string()).collect()
    };
    let gated = |verdict| move |row: &Compared| row.part == Part::Gated && row.verdict == verdict;
    let moved = named(&|row| verdict::has_moved(row.part, row.verdict));
    match exit {
        Exit::NothingSelected => "Nothing was measured.".to_owned(),
        Exit::Regression => format!("Slower: {}.", named(&gated(Verdict::Regressed)).join("; ")),
        Exit::Unproven if !moved.is_empty() => {
            format!("Not proven: the machine itself changed between the sides ({}).", moved.join("; "))
        }
        Exit::Unproven if !rows.iter().any(|row| row.part == Part::Control) => {
            "Not proven: the workers measure no yardsticks; build both from these sources.".to_owned()
        }
        Exit::Unproven => {
            let open = named(&|row| gated(Verdict::Noisy)(row) || gated(Verdict::Unproven)(row));
            format!("Nothing became slower for certain, but {} of the rows could not be decided.", open.len())
        }
        _ => match named(&gated(Verdict::Improved)) {
            faster if faster.is_empty() => "Nothing became slower or faster.".to_owned(),
            faster => format!("Nothing became slower. Faster: {}.", faster.join("; ")),
        },
    }
}

/// Why a comparison cannot be read.
#[derive(Debug, Error)]
pub enum ComparisonError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a comparison of this version.
    #[error("{path} is not a comparison that this version of intact reads: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl Comparison {
    /// Reads a `perf.json`.
    ///
    /// # Errors
    /// [`ComparisonError`].
    pub fn read(path: &Path) -> Result<Self, ComparisonError> {
        let name = || path.display().to_string();
        let text = regular::read(path).map_err(|source| ComparisonError::Io { path: name(), source })?;
        let malformed = |reason: String| ComparisonError::Malformed { path: name(), reason };
        let read: Self = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if read.version == COMPARISON_VERSION {
            return Ok(read);
        }
        Err(malformed(format!("it is of version {}, this reads {COMPARISON_VERSION}", read.version)))
    }

    /// Writes it, where there is nothing or another comparison.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::AlreadyExists`] where something else has that name.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        replace_own(path, text, |there| serde_json::from_slice::<Self>(there).is_ok())
    }
}

#[cfg(test)]
mod tests;
