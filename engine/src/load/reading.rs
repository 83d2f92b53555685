//! Reading a session file and its image from a disk that is not trusted.

use std::fs;
use std::io;
use std::path::Path;

use intact_format::image::sidecar::{Sidecar, SidecarError};
use intact_format::image::{Chunk, ImageReference};
use intact_format::manifest::Manifest;
use intact_format::passport::{Difference, Passport, compare};
use intact_format::route::{ImageStatus, Refusal, RefusalCode};
use intact_format::session::{self, SessionDocument};
use intact_format::transcode::{self, Loss, Steps};
use intact_format::version::FormatVersion;

use crate::save::sidecar_path;

/// A session file that was read, and how it compares with what is here.
pub(super) struct Reading {
    pub(super) document: SessionDocument,
    pub(super) notes: Vec<String>,
    pub(super) differences: Vec<Difference>,
    /// What it takes to use the saved KV here, where there is a way.
    pub(super) steps: Option<Steps>,
}

/// The image of a session file, as far as it is needed.
pub(super) struct ImageFile {
    pub(super) status: ImageStatus,
    pub(super) chunks: Vec<Chunk<'static>>,
    pub(super) problem: Option<String>,
}

impl Reading {
    pub(super) fn of(path: &Path, newest: Option<FormatVersion>) -> Result<Self, Refusal> {
        let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
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
    /// Reads and hashes the image where it is wanted. A session of no more than one token needs none.
    pub(super) fn read(session_file: &Path, document: &SessionDocument, wanted: bool) -> Self {
        let Some(reference) = &document.image else {
            let needs_none =
                document.passport.is_some() && document.tokens().is_some_and(|tokens| tokens.len() <= 1);
            return Self::without(if needs_none { ImageStatus::Present } else { ImageStatus::None }, None);
        };
        let status = match reference {
            ImageReference::Cells(_) => ImageStatus::Present,
            ImageReference::Opaque(_) => ImageStatus::Opaque,
        };
        if !wanted {
            return Self::without(status, None);
        }
        match Sidecar::open(sidecar_path(session_file)).and_then(|mut sidecar| sidecar.read_image(reference))
        {
            Ok(chunks) => Self { status, chunks, problem: None },
            Err(error @ SidecarError::NotFound { .. }) => {
                Self::without(ImageStatus::Missing, Some(error.to_string()))
            }
            Err(error) => Self::without(ImageStatus::Damaged, Some(error.to_string())),
        }
    }

    fn without(status: ImageStatus, problem: Option<String>) -> Self {
        Self { status, chunks: Vec::new(), problem }
    }
}

/// Compares the manifest beside a session file with what is here.
pub(super) fn check_manifest(session_file: &Path, here: &Passport) -> Result<(), Refusal> {
    let path = Manifest::path_of(session_file);
    let bytes = fs::read(&path).map_err(|error| {
        Refusal::new(RefusalCode::ManifestMissing, format!("{} cannot be read: {error}", path.display()))
    })?;
    let manifest =
        Manifest::read(&bytes).map_err(|error| Refusal::new(RefusalCode::ManifestInvalid, error))?;
    manifest.check(session_file, here)
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::NotFound => RefusalCode::FileNotFound,
        _ => RefusalCode::FileUnreadable,
    };
    Refusal::new(code, format!("{}: {error}", path.display()))
}
