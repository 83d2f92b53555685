//! How llama-server keeps what belongs to a slot's tokens in the place where sequence files have tokens, since b10388.

use thiserror::Error;

/// The token that is none: no list of a session's tokens starts with it.
const NO_TOKEN: i32 = -1;
/// The version of the packing that is known.
const KNOWN: i32 = 1;

/// The tokens of a sequence file, taken out of what they are packed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// The tokens.
    pub tokens: Vec<i32>,
    /// Pictures and sounds among them, whose places have no token.
    pub media: u32,
}

/// Tokens that are packed and cannot be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackingError {
    /// Another version.
    #[error("llama-server packed them in version {0}; only version {KNOWN} is known")]
    Version(i32),
    /// Not what it says.
    #[error("llama-server packed them, and they end early or something else follows them")]
    Malformed,
}

impl Unpacked {
    /// The tokens of these words: themselves, or what is packed in them.
    pub(super) fn of(words: Vec<i32>) -> Result<Self, PackingError> {
        let packed = match words.as_slice() {
            [NO_TOKEN, KNOWN, packed @ ..] => packed,
            [NO_TOKEN, version, ..] => return Err(PackingError::Version(*version)),
            [NO_TOKEN] => return Err(PackingError::Malformed),
            _ => return Ok(Self { tokens: words, media: 0 }),
        };
        let (tokens, rest) = counted(packed).ok_or(PackingError::Malformed)?;
        let (media, rest) = rest.split_first().ok_or(PackingError::Malformed)?;
        let media = u32::try_from(*media).map_err(|_| PackingError::Malformed)?;
        // Words are left over where what follows does not fill the last one.
        if media == 0 && rest.iter().any(|word| *word != 0) {
            return Err(PackingError::Malformed);
        }
        Ok(Self { tokens: tokens.to_vec(), media })
    }
}

/// A count, so many words, and what follows them.
fn counted(words: &[i32]) -> Option<(&[i32], &[i32])> {
    let (count, words) = words.split_first()?;
    words.split_at_checked(usize::try_from(*count).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_themselves_or_what_is_packed() {
        for (words, tokens, media) in [
            (&[][..], &[][..], 0),
            (&[7, 8], &[7, 8], 0),
            (&[-1, 1, 2, 7, 8, 0], &[7, 8], 0),
            (&[-1, 1, 2, 7, 8, 0, 0, 0], &[7, 8], 0),
            (&[-1, 1, 0, 0], &[], 0),
            (&[-1, 1, 3, 7, -1, 8, 1, 1, 4, 99], &[7, -1, 8], 1),
        ] {
            let expected = Unpacked { tokens: tokens.to_vec(), media };
            assert_eq!(Unpacked::of(words.to_vec()), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn what_is_packed_in_another_way_is_no_list_of_tokens() {
        for (words, error) in [
            (&[-1][..], PackingError::Malformed),
            (&[-1, 2, 1, 7, 0], PackingError::Version(2)),
            (&[-1, 1], PackingError::Malformed),
            (&[-1, 1, 3, 7, 8], PackingError::Malformed),
            (&[-1, 1, -3, 7, 8, 0], PackingError::Malformed),
            (&[-1, 1, 2, 7, 8], PackingError::Malformed),
            (&[-1, 1, 2, 7, 8, -1], PackingError::Malformed),
            (&[-1, 1, 2, 7, 8, 0, 5], PackingError::Malformed),
        ] {
            assert_eq!(Unpacked::of(words.to_vec()), Err(error), "{words:?}");
        }
    }
}
