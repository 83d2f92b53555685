//! Logits files: how teacher-forced logits travel from a worker to the harness.

use std::fs;
use std::io;
use std::path::Path;

use intact_kv::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A matrix of logits, or of what a subject shows in their place: `rows` × `n_vocab`, `f32`.
///
/// On disk: the magic of its [`Oracle`], `rows` and `n_vocab` as little-endian `u32`, then the rows as little-endian
/// `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    oracle: Oracle,
    n_vocab: usize,
    values: Vec<f32>,
}

/// What a row says of a position, from the strongest to the weakest.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Oracle {
    /// The logits themselves. Magic `INTLOGIT`.
    #[default]
    Logits,
    /// Logarithms of the probabilities of all tokens: what all logits have in common is lost. Magic `INTPROBS`.
    Probabilities,
    /// 1 for the likeliest token, 0 for the others: only which one it is can be compared. Magic `INTGREED`.
    Greedy,
}

impl Oracle {
    const MAGICS: [(&[u8; 8], Self); 3] =
        [(b"INTLOGIT", Self::Logits), (b"INTPROBS", Self::Probabilities), (b"INTGREED", Self::Greedy)];

    /// The name in every file and report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Greedy => "greedy",
        }
    }

    fn magic(self) -> &'static [u8; 8] {
        Self::MAGICS.iter().find(|(_, oracle)| *oracle == self).map_or(b"INTLOGIT", |(magic, _)| magic)
    }
}

/// Why a logits file could not be used.
#[derive(Debug, Error)]
pub enum LogitsError {
    /// It could not be read or written.
    #[error("logits file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a logits file, or its size does not fit its header.
    #[error("logits file {path} is not one: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

const HEADER: usize = 16;

impl Logits {
    /// A matrix without rows.
    ///
    /// # Panics
    /// If `n_vocab` is 0.
    #[must_use]
    pub fn new(n_vocab: usize) -> Self {
        assert!(n_vocab > 0, "a vocabulary has tokens");
        Self { oracle: Oracle::Logits, n_vocab, values: Vec::new() }
    }

    /// The same rows, with another meaning.
    #[must_use]
    pub fn meaning(self, oracle: Oracle) -> Self {
        Self { oracle, ..self }
    }

    /// What the rows are.
    #[must_use]
    pub fn oracle(&self) -> Oracle {
        self.oracle
    }

    /// Appends one row.
    ///
    /// # Panics
    /// If the row is not as long as the vocabulary.
    pub fn push(&mut self, row: &[f32]) {
        assert_eq!(row.len(), self.n_vocab, "a row has one logit for each token");
        self.values.extend_from_slice(row);
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.n_vocab)
    }

    /// Logits in a row.
    #[must_use]
    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`LogitsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), LogitsError> {
        let mut bytes = Vec::with_capacity(HEADER + self.values.len() * 4);
        bytes.extend_from_slice(self.oracle.magic());
        let rows = self.values.len() / self.n_vocab;
        bytes.extend_from_slice(&u32::try_from(rows).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.n_vocab).unwrap_or(u32::MAX).to_le_bytes());
        self.values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        fs::write(path, bytes).map_err(|source| LogitsError::Io { path: path.display().to_string(), source })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`LogitsError`].
    pub fn read(path: &Path) -> Result<Self, LogitsError> {
        let name = path.display().to_string();
        let bytes = regular::read(path).map_err(|source| LogitsError::Io { path: name.clone(), source })?;
        Self::parse(&bytes).map_err(|reason| LogitsError::Malformed { path: name, reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or("shorter than its header")?;
        let word = |at: usize| {
            header[at..at + 4]
                .try_into()
                .map(u32::from_le_bytes)
                .map(|word| word as usize)
                .unwrap_or_default()
        };
        let known = Oracle::MAGICS.iter().find(|(magic, _)| header[..8] == magic[..]);
        let (_, oracle) = *known.ok_or("wrong magic")?;
        let (rows, n_vocab) = (word(8), word(12));
        if n_vocab == 0 || rows.checked_mul(n_vocab).and_then(|n| n.checked_mul(4)) != Some(body.len()) {
            return Err(format!("{rows} rows of {n_vocab} do not fit {} bytes", body.len()));
        }
        let values = body.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        Ok(Self { oracle, n_vocab, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_survives_its_file_and_damage_is_refused() {
        let dir = std::env::temp_dir().join(format!("intact-logits-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("folder");
        let path = dir.join("a.logits");
        let mut logits = Logits::new(3);
        logits.push(&[1.0, f32::NAN, -0.0]);
        logits.push(&[f32::INFINITY, 2.5, 1e-40]);
        logits.write(&path).expect("written");
        let back = Logits::read(&path).expect("read");
        let bits = |l: &Logits| l.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!((back.n_vocab(), bits(&back)), (3, bits(&logits)));

        let whole = fs::read(&path).expect("bytes");
        for length in 0..whole.len() {
            assert!(Logits::parse(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_file_says_what_its_rows_are() {
        let path = std::env::temp_dir().join(format!("intact-oracle-{}", std::process::id()));
        for (_, oracle) in Oracle::MAGICS {
            Logits::new(2).meaning(oracle).write(&path).expect("written");
            assert_eq!(Logits::read(&path).expect("read").oracle(), oracle);
        }
        fs::remove_file(&path).expect("removed");
    }
}
