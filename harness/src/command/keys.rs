//! Keys on the command line: where passphrases and key files come from, and `intact key`, which makes one.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::text::without_byte_order_mark;
use intact_seal::{ExposeSecret, KeyError, Keys, Lock, Recipient, Signer, generate};
use zeroize::Zeroizing;

use super::Failure;
use crate::exit::Exit;

/// The environment variable that a passphrase is taken from.
const PASSPHRASE: &str = "INTACT_PASSPHRASE";

/// What opens sealed sessions. There is no option for the passphrase itself: other users of the machine would see it.
#[derive(Debug, Default, Args)]
pub(super) struct KeyArguments {
    /// A file whose first line is the passphrase [default: the environment variable INTACT_PASSPHRASE]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// A file of secret keys, as `intact key` and age-keygen write it; may be given several times
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,

    /// Accept only sealed sessions: where one is not, its encryption may have been removed
    #[arg(long)]
    pub(super) sealed: bool,

    /// Accept only sessions that this key has signed: sign1…, as `intact key` gives it; may be given several times
    #[arg(long, value_name = "KEY")]
    trusted: Vec<String>,
}

/// What opens sealed sessions, and for whom they are sealed.
#[derive(Debug, Args)]
pub(super) struct LockArguments {
    /// A public key, age1…; may be given several times. Without one, the passphrase is used
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,

    /// Sign what is sealed or compressed with the key in this file, as `intact key` makes it
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,

    #[command(flatten)]
    pub(super) keys: KeyArguments,
}

/// Make a key file, which opens what is sealed for its public key, and signs
///
/// Prints the public key that sessions are sealed for, age1…; whoever has it can seal for you. What you sign with the file
/// (--sign), others check with its other public key, sign1… (--trusted).
#[derive(Debug, Args)]
pub(super) struct Key {
    /// The file for the secret key. Only you can read it; keep a copy where it cannot be lost
    file: PathBuf,

    /// Make no key: print both public keys of an existing file, one per line
    #[arg(long)]
    public: bool,
}

impl KeyArguments {
    /// The keys that were given.
    pub(super) fn keys(&self) -> Result<Keys, Failure> {
        let mut keys = Keys::default();
        if let Some(passphrase) = self.passphrase()? {
            keys = keys.with_passphrase(passphrase).map_err(wrong)?;
        }
        for author in &self.trusted {
            keys = keys.trusting(author.parse().map_err(wrong)?);
        }
        for path in &self.key {
            let text = key_file(path)?;
            keys =
                keys.with_identities(without_byte_order_mark(&text)).map_err(|error| no_key(path, &error))?;
        }
        Ok(keys)
    }

    /// Was anything given that opens sessions? Then one that needs no key is not what was expected.
    pub(super) fn are_given(&self) -> bool {
        !self.key.is_empty() || self.passphrase_file.is_some() || passphrase_variable().is_some()
    }

    fn passphrase(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.passphrase_file else {
            return Ok(passphrase_variable());
        };
        #[cfg_attr(
            not(test),
            expect(clippy::disallowed_methods, reason = "it may come through a pipe: <(pass show chat)")
        )]
        let text = fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
        let text = Zeroizing::new(text);
        Ok(Some(text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default().to_owned()))
    }
}

impl LockArguments {
    /// The lock for the recipients, or for the passphrase where there are none.
    pub(super) fn lock(&self) -> Result<Option<Lock>, Failure> {
        let recipients: Vec<Recipient> =
            self.recipient.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(wrong)?;
        let lock = match (recipients.as_slice(), self.keys.passphrase()?) {
            ([], None) => return Ok(None),
            ([], Some(passphrase)) => Lock::passphrase(passphrase),
            _ => Lock::recipients(recipients),
        };
        lock.map(Some).map_err(wrong)
    }

    /// What is signed with.
    pub(super) fn signer(&self) -> Result<Option<Signer>, Failure> {
        self.sign.as_deref().map(signer).transpose()
    }

    /// Is it said for whom, other than by a passphrase that may be there for another reason?
    pub(super) fn has_recipients(&self) -> bool {
        !self.recipient.is_empty()
    }
}

impl Key {
    pub(super) fn carry_out(&self) -> Result<Exit, Failure> {
        if self.public {
            let file = key_file(&self.file)?;
            let keys = |text: &str| Ok((Recipient::of_key_file(text)?, Signer::of_key_file(text)?.author()));
            let (recipient, author) =
                text_of(&file).and_then(keys).map_err(|error| no_key(&self.file, &error))?;
            println!("{recipient}\n{author}");
            return Ok(Exit::Fine);
        }
        let (text, recipient) = generate();
        let author = Signer::of_key_file(text.expose_secret()).map_err(wrong)?.author();
        write_new(&self.file, text.expose_secret().as_bytes())?;
        println!("{recipient}");
        eprintln!(
            "The secret key is in {}. Without it, nothing that is sealed for it opens again.\n\
             What is signed with it (--sign) is checked with --trusted {author}",
            self.file.display(),
        );
        Ok(Exit::Fine)
    }
}

/// The bytes of a key file.
fn key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    #[cfg_attr(
        not(test),
        expect(clippy::disallowed_methods, reason = "it may come through a pipe: <(pass show chat)")
    )]
    let key = fs::read(path);
    key.map(Zeroizing::new).map_err(|error| Failure::unreadable(path, &error))
}

fn signer(path: &Path) -> Result<Signer, Failure> {
    let text = key_file(path)?;
    text_of(&text).and_then(Signer::of_key_file).map_err(|error| no_key(path, &error))
}

/// The text of a key file, without the mark that some editors put before one.
fn text_of(file: &[u8]) -> Result<&str, KeyError> {
    std::str::from_utf8(without_byte_order_mark(file)).map_err(|_| KeyError::Identity)
}

fn no_key(path: &Path, error: &KeyError) -> Failure {
    Failure::setup(format!("{}: {error}", path.display())).help("`intact key FILE` makes one")
}

fn passphrase_variable() -> Option<String> {
    env::var(PASSPHRASE).ok().filter(|it| !it.is_empty())
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| {
        Failure::setup(format!("{} cannot be written: {error}", path.display()))
            .help("a key is never overwritten; name another file")
    })
}

fn wrong(error: KeyError) -> Failure {
    Failure::setup(error)
}
