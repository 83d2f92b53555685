//! Documents: plain, wrapped in an envelope, or sealed.

use std::io::{Read, Write};

use age::{DecryptError, Decryptor};
use intact_format::text::without_byte_order_mark;
use zeroize::Zeroizing;

use crate::envelope::Envelope;
use crate::error::SealError;
use crate::key::{Keys, Lock, MOST_WORK};

/// What every age file starts with.
const AGE: &[u8] = b"age-encryption.org/";

/// In which form a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a session file is.
    Plain,
    /// In an envelope that anyone can read.
    Wrapped,
    /// In an envelope that is encrypted.
    Sealed,
}

impl Form {
    /// The form of a document's bytes. Whatever is neither wrapped nor sealed counts as plain.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = without_byte_order_mark(bytes);
        if bytes.starts_with(AGE) {
            Self::Sealed
        } else if Envelope::is_one(bytes) {
            Self::Wrapped
        } else {
            Self::Plain
        }
    }
}

/// Encrypts an envelope.
pub(crate) fn seal(envelope: &[u8], lock: &Lock) -> Result<Vec<u8>, SealError> {
    let cannot = |reason: String| SealError::Cannot { reason };
    let encryptor = lock.encryptor().map_err(|error| cannot(error.to_string()))?;
    let mut sealed = Vec::with_capacity(envelope.len() + 1024);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| cannot(error.to_string()))?;
    writer
        .write_all(envelope)
        .and_then(|()| writer.finish().map(drop))
        .map_err(|error| cannot(error.to_string()))?;
    Ok(sealed)
}

/// Decrypts an envelope, which is never longer than the file. Gives the lock along with it where a passphrase opened it:
/// recipients are not named in the file.
pub(crate) fn unseal(bytes: &[u8], keys: &Keys) -> Result<(Zeroizing<Vec<u8>>, Option<Lock>), SealError> {
    let decryptor = Decryptor::new_buffered(bytes).map_err(|error| SealError::damaged(error.to_string()))?;
    let is_passphrase = decryptor.is_scrypt();
    let (what, given) = if is_passphrase {
        ("a passphrase", keys.has_passphrase())
    } else {
        ("the secret key of a recipient", keys.has_identity())
    };
    if !given {
        return Err(SealError::KeyMissing { what });
    }
    let mut wrong = SealError::KeyWrong { what };
    for (opener, lock) in keys.openers() {
        // age stops at the first key of the right kind, and the right one may be the next.
        let decryptor =
            Decryptor::new_buffered(bytes).map_err(|error| SealError::damaged(error.to_string()))?;
        match decryptor.decrypt(std::iter::once(opener.as_ref())) {
            Ok(opened) => return Ok((read(opened, bytes.len())?, lock)),
            Err(
                DecryptError::NoMatchingKeys
                | DecryptError::KeyDecryptionFailed
                | DecryptError::DecryptionFailed,
            ) => {}
            Err(DecryptError::ExcessiveWork { required, .. }) => {
                wrong = SealError::TooHard { required, accepted: MOST_WORK };
            }
            Err(other) => return Err(SealError::damaged(other.to_string())),
        }
    }
    Err(wrong)
}

fn read(mut opened: impl Read, length: usize) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut envelope = Zeroizing::new(Vec::with_capacity(length));
    opened
        .read_to_end(&mut envelope)
        .map_err(|_| SealError::damaged("it does not decrypt to its end: it was changed or cut short"))?;
    Ok(envelope)
}
