//! Reading a session file and its image from a disk that is not trusted.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use intact_format::image::{Chunk, ImageReference};
use intact_format::manifest::Manifest;
use intact_format::passport::{Difference, Passport, compare};
use intact_format::place::{PlaceError, SessionSource};
use intact_format::route::{ImageStatus, Refusal, RefusalCode};
use intact_format::session::{self, SessionDocument};
use intact_format::transcode::{self, Loss, Steps};
use intact_format::version::FormatVersion;

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
    /// Reads and hashes the image where it is wanted. A session of no more than one token needs none.
    pub(super) fn read(source: &mut dyn SessionSource, document: &SessionDocument, wanted: bool) -> Self {
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
        match chunks(source, reference) {
            Ok(chunks) => Self { status, chunks, problem: None },
            Err(error) => {
                let missing = error.code == Some(RefusalCode::ImageMissing);
                let status = if missing { ImageStatus::Missing } else { ImageStatus::Damaged };
                Self::without(status, Some(error.to_string()))
            }
        }
    }

    fn without(status: ImageStatus, problem: Option<String>) -> Self {
        Self { status, chunks: Vec::new(), problem }
    }
}

/// Reads every chunk of an image, each once, and hashes it.
fn chunks(
    source: &mut dyn SessionSource,
    reference: &ImageReference,
) -> Result<Vec<Chunk<'static>>, PlaceError> {
    source.locate(reference)?;
    let mut seen = HashSet::new();
    let distinct = reference.chunk_ids().filter(|(id, _)| seen.insert(*id));
    distinct
        .map(|(id, bytes)| {
            let mut payload = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
            source.read(id, &mut payload)?;
            Chunk::verified(id, payload)
                .map_err(|error| PlaceError::new(Some(RefusalCode::ImageDamaged), error))
        })
        .collect()
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
