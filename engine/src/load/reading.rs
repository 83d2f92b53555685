//! Reading a session file and its image from a disk that is not trusted.

use std::path::Path;

use intact_format::image::ImageReference;
use intact_format::manifest::Manifest;
use intact_format::passport::{Difference, Passport, compare};
use intact_format::place::SessionSource;
use intact_format::regular;
use intact_format::route::{ImageStatus, Refusal, RefusalCode};
use intact_format::session::{self, SessionDocument};
use intact_format::transcode::{self, Loss, Steps};
use intact_format::version::FormatVersion;

use super::stream::{read_all, unreadable};

/// A session file that was read, and how it compares with what is here.
pub(super) struct Reading {
    pub(super) document: SessionDocument,
    pub(super) notes: Vec<String>,
    pub(super) differences: Vec<Difference>,
    /// What it takes to use the saved KV here, where there is a way.
    pub(super) steps: Option<Steps>,
}

/// The image of a session file, before its chunks are read.
pub(super) struct ImageFile {
    pub(super) status: ImageStatus,
    /// What is wrong with it or remarkable about it, in a sentence.
    pub(super) remark: Option<String>,
}

/// How closely an image is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Not at all.
    Away,
    /// Are its chunks there? Their content is checked when they are read.
    At,
    /// Are they there, with the content that was written?
    Into,
}

impl Reading {
    pub(super) fn of(source: &mut dyn SessionSource, newest: Option<FormatVersion>) -> Result<Self, Refusal> {
        let bytes = source
            .document()
            .map_err(|error| Refusal::new(error.code.unwrap_or(RefusalCode::FileUnreadable), &error))?;
        let read = session::read(&bytes, newest.unwrap_or(FormatVersion::CURRENT))?;
        Ok(Self { document: read.document, notes: read.notes, differences: Vec::new(), steps: None })
    }

    pub(super) fn compare(&mut self, here: &Passport) {
        self.steps = self.document.passport.as_ref().and_then(|saved| transcode::plan(saved, here).ok());
        self.differences = match (&self.document.passport, &self.document.manifest) {
            (Some(saved), _) => compare(saved, here),
            (None, Some(manifest)) => manifest.compare(here),
            (None, None) => Vec::new(),
        };
    }

    /// Would transcoding be a declared loss?
    pub(super) fn is_lossy(&self) -> bool {
        self.steps.as_ref().is_some_and(|steps| steps.loss() == Loss::Declared)
    }
}

impl ImageFile {
    /// Looks at the image. A session of no more than one token needs none.
    pub(super) fn of(source: &mut dyn SessionSource, document: &SessionDocument, look: Look) -> Self {
        let Some(reference) = &document.image else {
            let needs_none =
                document.passport.is_some() && document.tokens().is_some_and(|tokens| tokens.len() <= 1);
            let status = if needs_none { ImageStatus::Present } else { ImageStatus::None };
            return Self { status, remark: None };
        };
        let found = match look {
            Look::Away => Ok(()),
            Look::At => source.locate(reference).map_err(unreadable),
            Look::Into => {
                source.locate(reference).map_err(unreadable).and_then(|()| verify(source, reference))
            }
        };
        match found {
            Ok(()) => match reference {
                ImageReference::Cells(_) => Self { status: ImageStatus::Present, remark: None },
                ImageReference::Opaque(opaque) => {
                    Self { status: ImageStatus::Opaque, remark: Some(opaque.remark()) }
                }
            },
            Err(refusal) => {
                let missing = refusal.code == RefusalCode::ImageMissing;
                let status = if missing { ImageStatus::Missing } else { ImageStatus::Damaged };
                Self { status, remark: Some(refusal.finding().to_owned()) }
            }
        }
    }
}

/// Reads every chunk and hashes it.
fn verify(source: &dyn SessionSource, reference: &ImageReference) -> Result<(), Refusal> {
    let chunks: Vec<_> = reference.distinct_chunks().collect();
    read_all(source, &chunks, &[], |_, chunk| Ok(chunk), |chunk| Ok(Some(chunk.into_bytes())))
}

/// Compares the manifest beside a session file with what is here.
pub(super) fn check_manifest(session_file: &Path, here: &Passport) -> Result<(), Refusal> {
    let path = Manifest::path_of(session_file);
    let bytes = regular::read(&path).map_err(|error| {
        Refusal::new(RefusalCode::ManifestMissing, format!("{} cannot be read: {error}", path.display()))
    })?;
    let manifest =
        Manifest::read(&bytes).map_err(|error| Refusal::new(RefusalCode::ManifestInvalid, error))?;
    manifest.check(session_file, here)
}
