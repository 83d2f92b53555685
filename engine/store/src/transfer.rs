//! Between a store and the file form of a session, `name.json` with `name.kv`. The document's bytes stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::image::sidecar::Sidecar;
use intact_format::image::{ChunkId, Durable, ImageReference};
use intact_format::place::{self, FileSink, sidecar_path};
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;

use crate::error::StoreError;
use crate::head::Summary;
use crate::key::Generation;
use crate::place::StoreSource;
use crate::save::{Draft, Expected, Saved};
use crate::store::SessionStore;

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Which save it is.
    pub generation: Generation,
    /// The session file, and its sidecar where it has an image.
    pub files: Vec<PathBuf>,
    /// Bytes written.
    pub bytes: u64,
}

impl SessionStore {
    /// Writes the latest save of a session as a file with its sidecar.
    ///
    /// # Errors
    /// When there is no such session, it is damaged, or the files cannot be written; an old file is whole then.
    pub fn export(&self, session: &SessionId, file: &Path) -> Result<Exported, StoreError> {
        let opened = self.session(session)?;
        let (generation, document) = (opened.generation, opened.document.clone());
        let image = read(&document, session)?.image;
        let mut source = StoreSource::of(self, opened);
        let mut sink = FileSink::new(file, Durable::default());
        let bytes = place::copy(&mut source, &document, image.as_ref(), &mut sink)?.bytes;
        let sidecar = image.is_some().then(|| sidecar_path(file));
        let files = [file.to_owned()].into_iter().chain(sidecar).collect();
        Ok(Exported { generation, files, bytes })
    }

    /// Saves a session file with its sidecar in the store.
    ///
    /// # Errors
    /// When the files cannot be read or are damaged, and as [`SessionStore::save`].
    pub fn import(&self, file: &Path, expected: Expected) -> Result<(SessionId, Saved), StoreError> {
        let bytes = fs::read(file).map_err(|source| StoreError::File { path: file.to_owned(), source })?;
        let read = session::read(&bytes, FormatVersion::CURRENT);
        let document = read
            .map_err(|source| StoreError::SessionFile { path: file.to_owned(), source: Box::new(source) })?
            .document;
        let chunks = match &document.image {
            Some(image) => Sidecar::open(sidecar_path(file))?.read_image(image)?,
            None => Vec::new(),
        };
        let needs: Vec<(ChunkId, u64)> = document.image.iter().flat_map(ImageReference::chunk_ids).collect();
        let draft = Draft {
            session: document.session_id.clone(),
            summary: Summary::of(&document),
            document: &bytes,
            needs,
            chunks: &chunks,
        };
        let saved = self.save(&draft, expected)?;
        Ok((document.session_id, saved))
    }
}

fn read(bytes: &[u8], session: &SessionId) -> Result<SessionDocument, StoreError> {
    let read = session::read(bytes, FormatVersion::CURRENT);
    let failed = |source| StoreError::Session { session: session.clone(), source };
    Ok(read.map_err(failed)?.document)
}
