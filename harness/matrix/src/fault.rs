//! Faults: what happens to a session's files between save and load. Each is one row of a table and a pure function of
//! the bytes.

mod document;
mod image;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use intact_format::regular;
use thiserror::Error;

/// One thing that can happen to a session's files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault(&'static Entry);

/// The files of a saved session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFiles {
    /// The session document.
    pub document: PathBuf,
    /// The KV image beside it, where there is one.
    pub image: Option<PathBuf>,
}

/// Why a fault could not happen to a session.
#[derive(Debug, Error)]
pub enum FaultError {
    /// The session has nothing that the fault could happen to.
    #[error("{0}")]
    Inapplicable(String),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Debug, PartialEq)]
struct Entry {
    name: &'static str,
    about: &'static str,
    happens: Happens,
}

/// What happens, and to what.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Happens {
    Document(Damage),
    Image(Damage),
    /// The document is edited as one who does not know of digests would.
    Edit(document::Edit),
    /// The document is edited and sealed again: its digest is right.
    Forge(document::Edit),
    /// The image's payload is that of another session, with all hashes right.
    ForgeImage,
    /// The reader opens another model.
    Stranger,
}

/// What happens to the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    /// Only this share is left.
    Truncated(f64),
    /// One bit is another, at this share of the length.
    Flipped(f64),
    /// Bytes that do not belong there follow.
    Extended,
    /// The file is gone.
    Missing,
    /// The file is that of another session.
    Swapped,
}

const FAULTS: &[Entry] = &[
    Entry::new("empty-document", "The document is empty.", Happens::Document(Damage::Truncated(0.0))),
    Entry::new(
        "truncated-document",
        "The document ends in the middle.",
        Happens::Document(Damage::Truncated(0.5)),
    ),
    Entry::new(
        "flipped-document-head",
        "A bit near the beginning differs.",
        Happens::Document(Damage::Flipped(0.05)),
    ),
    Entry::new(
        "flipped-document-middle",
        "A bit in the middle differs.",
        Happens::Document(Damage::Flipped(0.5)),
    ),
    Entry::new(
        "flipped-document-tail",
        "A bit near the end differs.",
        Happens::Document(Damage::Flipped(0.95)),
    ),
    Entry::new("extended-document", "Bytes follow the document.", Happens::Document(Damage::Extended)),
    Entry::new("empty-image", "The image is empty.", Happens::Image(Damage::Truncated(0.0))),
    Entry::new("truncated-image", "The image ends in the middle.", Happens::Image(Damage::Truncated(0.5))),
    Entry::new(
        "cut-image",
        "The last bytes of the image are missing.",
        Happens::Image(Damage::Truncated(0.995)),
    ),
    Entry::new(
        "flipped-image-head",
        "A bit of the image's header differs.",
        Happens::Image(Damage::Flipped(0.0)),
    ),
    Entry::new("flipped-image-middle", "A bit in the middle differs.", Happens::Image(Damage::Flipped(0.5))),
    Entry::new("flipped-image-tail", "A bit near the end differs.", Happens::Image(Damage::Flipped(0.97))),
    Entry::new("missing-image", "The image is gone.", Happens::Image(Damage::Missing)),
    Entry::new("swapped-image", "The image is another session's.", Happens::Image(Damage::Swapped)),
    Entry::new(
        "newer-version",
        "A newer version wrote the document, and its fields mean something else.",
        Happens::Edit(document::Edit::NewerVersion),
    ),
    Entry::new("edited-history", "A message was edited.", Happens::Edit(document::Edit::History)),
    Entry::new("edited-tokens", "Token ids were edited.", Happens::Edit(document::Edit::Tokens)),
    Entry::new(
        "forged-tokens",
        "Token ids were edited and the document sealed again.",
        Happens::Forge(document::Edit::Tokens),
    ),
    Entry::new(
        "forged-shape",
        "The document is sealed, but says that the image has another shape.",
        Happens::Forge(document::Edit::Shape),
    ),
    Entry::new(
        "forged-image",
        "The image holds another session's cells, and every hash is right.",
        Happens::ForgeImage,
    ),
    Entry::new("wrong-model", "The reader opens another model.", Happens::Stranger),
];

impl Entry {
    const fn new(name: &'static str, about: &'static str, happens: Happens) -> Self {
        Self { name, about, happens }
    }
}

impl Fault {
    /// The fault of this name.
    ///
    /// # Errors
    /// Which names there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        FAULTS.iter().find(|entry| entry.name == name).map(Self).ok_or_else(|| {
            let names: Vec<&str> = FAULTS.iter().map(|entry| entry.name).collect();
            format!("there is no fault `{name}`; there are {}", names.join(", "))
        })
    }

    /// Every fault.
    pub fn all() -> impl Iterator<Item = Self> {
        FAULTS.iter().map(Self)
    }

    /// Its name, a value of a fault axis.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What happens, in a sentence.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.0.about
    }

    /// Whether it needs a second session of the same model.
    #[must_use]
    pub fn needs_other(self) -> bool {
        matches!(self.0.happens, Happens::Image(Damage::Swapped) | Happens::ForgeImage)
    }

    /// Whether the reader opens another model, and the files stay as they are.
    #[must_use]
    pub fn is_stranger(self) -> bool {
        self.0.happens == Happens::Stranger
    }

    /// Lets it happen to `files`. `other` are the files of another session of the same model.
    ///
    /// # Errors
    /// [`FaultError`].
    pub fn strike(
        self,
        files: &SessionFiles,
        other: Option<&SessionFiles>,
        seed: u64,
    ) -> Result<(), FaultError> {
        let image = || files.image.as_deref().ok_or_else(|| inapplicable("the session has no image"));
        let other_image = || {
            other
                .and_then(|other| other.image.as_deref())
                .ok_or_else(|| inapplicable("no other session has an image"))
        };
        match self.0.happens {
            Happens::Stranger => Ok(()),
            Happens::Document(damage) => {
                damage.strike(&files.document, other.map(|other| other.document.as_path()), seed)
            }
            Happens::Image(Damage::Swapped) => Damage::Swapped.strike(image()?, Some(other_image()?), seed),
            Happens::Image(damage) => damage.strike(image()?, None, seed),
            Happens::Edit(edit) => rewrite(&files.document, |bytes| document::edit(&bytes, edit)),
            Happens::Forge(edit) => rewrite(&files.document, |bytes| document::forge(&bytes, edit)),
            Happens::ForgeImage => {
                let theirs = other.ok_or_else(|| inapplicable("there is no other session"))?;
                image::forge(files, theirs)
            }
        }
    }
}

impl Damage {
    fn strike(self, file: &Path, other: Option<&Path>, seed: u64) -> Result<(), FaultError> {
        match self {
            Self::Missing => {
                fs::remove_file(file).map_err(|source| FaultError::Io { path: file.to_owned(), source })
            }
            Self::Swapped => {
                let other = other.ok_or_else(|| inapplicable("there is no other session"))?;
                fs::copy(other, file)
                    .map(|_| ())
                    .map_err(|source| FaultError::Io { path: file.to_owned(), source })
            }
            _ => rewrite(file, |bytes| self.damage(bytes, seed)),
        }
    }

    /// The damaged bytes; pure.
    fn damage(self, mut bytes: Vec<u8>, seed: u64) -> Result<Vec<u8>, FaultError> {
        if bytes.is_empty() {
            return Err(inapplicable("the file is empty already"));
        }
        match self {
            Self::Truncated(kept) => bytes.truncate(share(bytes.len(), kept)),
            Self::Flipped(at) => {
                let at = share(bytes.len() - 1, at);
                bytes[at] ^= 1 << (FLIPPED_BIT.wrapping_add(seed) % 8);
            }
            Self::Extended => bytes.extend_from_slice(b"\0{}"),
            Self::Missing | Self::Swapped => {}
        }
        Ok(bytes)
    }
}

/// The bit that is flipped under seed 0: high enough to matter in a number, and one that JSON text can have.
const FLIPPED_BIT: u64 = 6;

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an offset somewhere near this share is wanted, and the share is between 0 and 1"
)]
fn share(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}

fn rewrite(
    file: &Path,
    change: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, FaultError>,
) -> Result<(), FaultError> {
    let io_error = |source| FaultError::Io { path: file.to_owned(), source };
    let bytes = regular::read(file).map_err(io_error)?;
    fs::write(file, change(bytes)?).map_err(io_error)
}

fn inapplicable(reason: &str) -> FaultError {
    FaultError::Inapplicable(reason.to_owned())
}

#[cfg(test)]
mod tests;
