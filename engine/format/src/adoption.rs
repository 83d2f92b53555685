//! What a state that llama.cpp or a program over it kept on its own may be: the tokens and every reading of its bytes.
//!
//! Such a file names neither weights nor settings, and often not even the release: the same bytes can be rotated or not.
//! So this gives candidates. Which one is right, only the model can tell, by evaluating the tokens again.

mod allowance;
mod cells;
mod reading;

use crate::foreign::{ForeignError, ForeignFile, ForeignKind};
use crate::layout::{Container, LAYOUTS, LayoutError};
use crate::route::{Refusal, RefusalCode};
use crate::token::Token;
use crate::transcode::HeadSizes;

pub use allowance::{Allowance, Rounding, types};
pub use cells::{Apart, apart};
pub use reading::Reading;

use reading::Attempts;

/// A state of llama.cpp's own, as far as its bytes tell what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<'a> {
    /// What it is, in words.
    pub what: String,
    /// The tokens that are stored with it; none in raw blobs.
    pub tokens: Option<Vec<Token>>,
    /// The model's architecture, where the container names it.
    pub architecture: Option<String>,
    /// Every meaning that the state can have, at least one.
    pub readings: Vec<Reading<'a>>,
}

/// Longest name of an architecture that a raw blob of a whole context is believed to start with.
const LONGEST_ARCHITECTURE: usize = 64;

impl<'a> Holding<'a> {
    /// Reads a file for a model with these head sizes: a sequence file, a session file of one sequence, or a raw blob.
    ///
    /// # Errors
    /// A [`Refusal`] where the bytes are none of these, end early, or fit no layout that is known.
    pub fn of(bytes: &'a [u8], heads: &HeadSizes) -> Result<Self, Refusal> {
        match ForeignFile::read(bytes) {
            Ok(file) => Self::of_file(&file, heads),
            Err(ForeignError::NotAStateFile { .. }) => Self::of_blob(bytes, heads),
            Err(error @ ForeignError::Truncated { .. }) => {
                Err(Refusal::new(RefusalCode::StateTruncated, error))
            }
            Err(error @ ForeignError::Tokens { .. }) => Err(Refusal::new(RefusalCode::StateUnknown, error)),
            Err(error @ ForeignError::ByteOrder { .. }) => Err(Refusal::new(RefusalCode::NotAState, error)),
        }
    }

    fn of_file(file: &ForeignFile<'a>, heads: &HeadSizes) -> Result<Self, Refusal> {
        let what = format!("{}, version {}", file.kind, file.version);
        if file.media > 0 {
            let detail = format!("{} pictures or sounds are among the tokens of this {what}", file.media);
            return Err(Refusal::new(RefusalCode::MediaMissing, detail));
        }
        let mut attempts = Attempts::new(heads);
        for layout in file.layouts() {
            attempts.read(file.state, layout, Container::File);
            if file.kind == ForeignKind::SessionFile
                && let Some(memory) = behind_outputs(file.state)
            {
                attempts.read(memory, layout, Container::File);
            }
        }
        let readings = attempts.readings().map_err(|error| misfit(&what, error.as_ref()))?;
        let tokens = Some(file.tokens.iter().copied().map(Token).collect());
        Ok(Self { what, tokens, architecture: file.architecture.clone(), readings })
    }

    fn of_blob(bytes: &'a [u8], heads: &HeadSizes) -> Result<Self, Refusal> {
        let named = architecture(bytes);
        let what = match &named {
            Some(_) => "raw state of a whole context",
            None => "raw state of one sequence",
        };
        let mut attempts = Attempts::new(heads);
        for layout in &LAYOUTS {
            match &named {
                Some((_, memory)) => {
                    attempts.read(memory, layout, Container::File);
                    if let Some(memory) = behind_outputs(memory) {
                        attempts.read(memory, layout, Container::File);
                    }
                }
                None => attempts.read(bytes, layout, Container::Blob),
            }
        }
        let readings = attempts.readings().map_err(|_| {
            let detail = "this is no state of llama.cpp that is known: neither a sequence file (GGSQ) nor a session \
                          file (GGSN), and as a raw blob it fits no layout";
            Refusal::new(RefusalCode::NotAState, detail)
        })?;
        let architecture = named.map(|(name, _)| name.to_owned());
        Ok(Self { what: what.to_owned(), tokens: None, architecture, readings })
    }
}

/// Why no layout fits: the bytes end early in all of them, or they say something that none of them does.
fn misfit(what: &str, error: Option<&LayoutError>) -> Refusal {
    let code = match error {
        Some(LayoutError::Truncated { .. }) => RefusalCode::StateTruncated,
        _ => RefusalCode::StateUnknown,
    };
    let why =
        error.map_or_else(|| "no release that is known writes this version".to_owned(), ToString::to_string);
    Refusal::new(code, format!("the state of this {what} fits no layout of a known release: {why}"))
}

/// The name that a raw blob of a whole context starts with, and what is behind it.
fn architecture(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (name, rest) = rest.split_at_checked(length)?;
    let printable = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let named = (1..=LONGEST_ARCHITECTURE).contains(&length) && name.iter().all(printable);
    Some((std::str::from_utf8(name).ok().filter(|_| named)?, rest))
}

/// What follows the outputs, logits and embeddings that releases before b8133 put before the memory.
fn behind_outputs(bytes: &[u8]) -> Option<&[u8]> {
    let (outputs, rest) = bytes.split_first_chunk::<4>()?;
    let rest = skip(rest, u64::from(u32::from_le_bytes(*outputs)))?;
    let (logits, rest) = rest.split_first_chunk::<8>()?;
    let rest = skip(rest, u64::from_le_bytes(*logits))?;
    let (embeddings, rest) = rest.split_first_chunk::<8>()?;
    skip(rest, u64::from_le_bytes(*embeddings))
}

/// The bytes behind so many words.
fn skip(bytes: &[u8], words: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(words).ok()?.checked_mul(4)?..)
}
