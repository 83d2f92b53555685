//! Who wrote a session: signatures over envelopes.
//!
//! Whoever has a recipient's public key can seal a session for him, so encryption says nothing about who did. A signature is
//! made with a key that nobody else has. It stands in the envelope, under the encryption, and covers all of it: the document,
//! the secret, and of every chunk the hash and length of what it is and of what is stored. It does not say for whom the
//! session was sealed: a recipient can pass on what he was given.
//!
//! The key is derived from the secret key that opens sessions, so that one file has both.

use std::fmt;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::{KeyError, identity};

/// What signing keys are derived for, so that no other use of the secret key gives the same.
const DERIVED: &str = "intact 2026-11-30 signing key of an age identity";
/// What every statement that is signed begins with, so that no signature can be taken for one of something else.
const STATEMENT: &[u8] = b"intact signed envelope 1\n";
/// What the text of a public key begins with.
const START: &str = "sign1";

/// What sessions are signed with.
#[derive(Clone)]
pub struct Signer(SigningKey);

/// Who signed a session: a public key, `sign1` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Author([u8; 32]);

/// A signature, and by whom it says that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Signed {
    by: String,
    signature: String,
}

impl Signer {
    /// The key that belongs to the first secret key of a key file, as `age-keygen` and [`crate::generate`] write it.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn of_key_file(text: &str) -> Result<Self, KeyError> {
        let secret = identity(text)?.to_string();
        let seed = Zeroizing::new(blake3::derive_key(DERIVED, secret.expose_secret().as_bytes()));
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public key that its signatures are checked with.
    #[must_use]
    pub fn author(&self) -> Author {
        Author(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, envelope: &[u8]) -> Signed {
        let signature = self.0.sign(&statement(envelope));
        Signed { by: self.author().to_string(), signature: hex(&signature.to_bytes()) }
    }
}

impl Author {
    /// None where the bytes are no key, or one with which anybody can sign.
    fn key(self) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(&self.0).ok().filter(|key| !key.is_weak())
    }
}

impl Signed {
    /// Who signed that, if somebody did.
    pub(crate) fn author_of(&self, envelope: &[u8]) -> Option<Author> {
        let author: Author = self.by.parse().ok()?;
        let signature = Signature::from_bytes(&bytes(&self.signature)?);
        author.key()?.verify_strict(&statement(envelope), &signature).ok().map(|()| author)
    }
}

fn statement(envelope: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([STATEMENT, envelope].concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 2 * N || !is_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl FromStr for Author {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let author = text.trim().strip_prefix(START).and_then(bytes).map(Self);
        author.filter(|author| author.key().is_some()).ok_or(KeyError::Author)
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{START}{}", hex(&self.0))
    }
}

impl fmt::Debug for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Author({self})")
    }
}

/// Without what it is about.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.author())
    }
}
