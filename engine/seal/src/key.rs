//! For whom a session is sealed, and with what it is opened.

use std::fmt;
use std::io::BufRead;
use std::str::FromStr;
use std::sync::Arc;

use age::secrecy::{ExposeSecret, SecretString};
use age::{Identity, IdentityFile, scrypt, x25519};

use crate::sign::Author;

/// Rounds of scrypt, as a power of two: 64 MiB and a few tenths of a second for each guess at a passphrase, and for each
/// save and load with one.
const WORK: u8 = 16;
/// Rounds that are accepted from a file, as a power of two: 256 MiB.
pub(crate) const MOST_WORK: u8 = 18;

/// For whom a session is sealed.
#[derive(Clone)]
pub enum Lock {
    /// Whoever knows the passphrase.
    Passphrase(SecretString),
    /// Whoever has the key of one of them; never empty.
    Recipients(Vec<Recipient>),
}

/// A public key, `age1…`.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

/// What opens sealed sessions: passphrases and secret keys, tried one after the other; and whose sessions are believed.
#[derive(Clone, Default)]
pub struct Keys {
    passphrases: Vec<SecretString>,
    identities: Vec<Arc<dyn Identity + Send + Sync>>,
    trusted: Vec<Author>,
}

/// Why something is not a key. Does not repeat what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a public key.
    #[error("a recipient looks like `age1` and 58 more letters and digits; this is not one")]
    Recipient,
    /// Not a file of secret keys.
    #[error(
        "a key file has lines like `AGE-SECRET-KEY-1…`, and comments after `#`; this one has something else"
    )]
    Identity,
    /// A file without a key.
    #[error("the key file has no key in it")]
    NoIdentity,
    /// No passphrase.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Not the public key of a signature.
    #[error(
        "the key that signatures are checked with looks like `sign1` and 64 digits and letters up to f; this is not one"
    )]
    Author,
    /// A list of nobody.
    #[error("there is no recipient to seal for")]
    NoRecipient,
}

/// A new secret key, as the text of a key file, and its public key.
#[must_use]
pub fn generate() -> (SecretString, Recipient) {
    let identity = x25519::Identity::generate();
    let recipient = Recipient(identity.to_public());
    let text = format!("# public key: {recipient}\n{}\n", identity.to_string().expose_secret());
    (text.into(), recipient)
}

impl Lock {
    /// A passphrase.
    ///
    /// # Errors
    /// When it is empty.
    pub fn passphrase(passphrase: impl Into<String>) -> Result<Self, KeyError> {
        secret(passphrase.into()).map(Self::Passphrase)
    }

    /// Recipients.
    ///
    /// # Errors
    /// When there is none.
    pub fn recipients(recipients: Vec<Recipient>) -> Result<Self, KeyError> {
        if recipients.is_empty() { Err(KeyError::NoRecipient) } else { Ok(Self::Recipients(recipients)) }
    }

    pub(crate) fn encryptor(&self) -> Result<age::Encryptor, age::EncryptError> {
        match self {
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
            Self::Recipients(recipients) => age::Encryptor::with_recipients(
                recipients.iter().map(|Recipient(recipient)| recipient as &dyn age::Recipient),
            ),
        }
    }
}

impl Keys {
    /// Adds a passphrase.
    ///
    /// # Errors
    /// When it is empty.
    pub fn with_passphrase(mut self, passphrase: impl Into<String>) -> Result<Self, KeyError> {
        self.passphrases.push(secret(passphrase.into())?);
        Ok(self)
    }

    /// Adds the secret keys of a key file, as `age-keygen` and [`generate`] write it.
    ///
    /// # Errors
    /// When it has something else in it, or nothing.
    pub fn with_identities(mut self, file: impl BufRead) -> Result<Self, KeyError> {
        let file = IdentityFile::from_buffer(file).map_err(|_| KeyError::Identity)?;
        let identities = file.into_identities().map_err(|_| KeyError::Identity)?;
        if identities.is_empty() {
            return Err(KeyError::NoIdentity);
        }
        self.identities.extend(identities.into_iter().map(Arc::from));
        Ok(self)
    }

    /// From now on, only sessions are opened that this author, or another one that is trusted, has signed.
    #[must_use]
    pub fn trusting(mut self, author: Author) -> Self {
        self.trusted.push(author);
        self
    }

    /// May a session be opened that this author has signed, or nobody?
    pub(crate) fn trusts(&self, author: Option<Author>) -> bool {
        self.trusted.is_empty() || author.is_some_and(|author| self.trusted.contains(&author))
    }

    /// True without any key that opens something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passphrases.is_empty() && self.identities.is_empty()
    }

    pub(crate) fn has_passphrase(&self) -> bool {
        !self.passphrases.is_empty()
    }

    pub(crate) fn has_identity(&self) -> bool {
        !self.identities.is_empty()
    }

    /// Everything that may open a file, and the lock that it opens, where it says what that is.
    pub(crate) fn openers(&self) -> Vec<(Box<dyn Identity + '_>, Option<Lock>)> {
        let passphrases = self.passphrases.iter().map(|passphrase| {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MOST_WORK);
            (Box::new(identity) as Box<dyn Identity>, Some(Lock::Passphrase(passphrase.clone())))
        });
        let identities = self
            .identities
            .iter()
            .map(|identity| (Box::new(Borrowed(identity.as_ref())) as Box<dyn Identity>, None));
        passphrases.chain(identities).collect()
    }
}

struct Borrowed<'a>(&'a (dyn Identity + Send + Sync));

impl Identity for Borrowed<'_> {
    fn unwrap_stanza(
        &self,
        stanza: &age_core::format::Stanza,
    ) -> Option<Result<age_core::format::FileKey, age::DecryptError>> {
        self.0.unwrap_stanza(stanza)
    }
}

fn secret(passphrase: String) -> Result<SecretString, KeyError> {
    if passphrase.is_empty() { Err(KeyError::EmptyPassphrase) } else { Ok(passphrase.into()) }
}

/// The first secret key of a key file.
pub(crate) fn identity(text: &str) -> Result<x25519::Identity, KeyError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next().ok_or(KeyError::NoIdentity)?;
    first.parse().map_err(|_| KeyError::Identity)
}

impl Recipient {
    /// The public key that belongs to the first secret key of a key file, as `age-keygen` and [`generate`] write it.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn of_key_file(text: &str) -> Result<Self, KeyError> {
        identity(text).map(|identity| Self(identity.to_public()))
    }
}

impl FromStr for Recipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self).map_err(|_| KeyError::Recipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// Without what it is about.
impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase(…)"),
            Self::Recipients(recipients) => f.debug_tuple("Recipients").field(recipients).finish(),
        }
    }
}

/// Without what it is about.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passphrases, identities) = (self.passphrases.len(), self.identities.len());
        write!(f, "Keys({passphrases} passphrases, {identities} secret keys)")
    }
}
