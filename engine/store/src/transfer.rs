//! Between a store and the file form of a session, `name.json` with `name.kv`. The document's bytes stay as they are.

use std::path::{Path, PathBuf};

use intact_format::image::sidecar::Sidecar;
use intact_format::image::{ChunkId, Durable, ImageReference};
use intact_format::place::{
    self, Committed, FileSink, FileSource, Replaces, SessionSource, find_sidecar, sidecar_path,
};
use intact_format::session_id::SessionId;

use crate::contents::{self, Contents, ReadContents};
use crate::error::StoreError;
use crate::key::Generation;
use crate::place::StoreSource;
use crate::read::Opened;
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
    /// What did not work afterwards; the session is written all the same.
    pub remark: Option<String>,
}

impl SessionStore {
    /// Writes the latest save of a session as a file with its sidecar, as it is stored: what is encrypted stays encrypted. Of
    /// a session that `read` opens only what it needs is written, of others all that was saved.
    ///
    /// # Errors
    /// When there is no such session, it is damaged, or the files cannot be written or may not be replaced; an old file is
    /// whole then.
    pub fn export(
        &self,
        session: &SessionId,
        file: &Path,
        replaces: Replaces,
        read: &ReadContents<'_>,
    ) -> Result<Exported, StoreError> {
        let opened = self.session(session)?;
        let (generation, document) = (opened.generation, opened.document.clone());
        let image = match read(&document) {
            Ok(contents) if contents.session == *session => contents.image,
            Ok(Contents { session: found, .. }) => {
                return Err(StoreError::OtherSession { session: session.clone(), found });
            }
            Err(error) if contents::is_closed(&error) => stored_image(&opened),
            Err(cause) => return Err(StoreError::Session { session: session.clone(), cause }),
        };
        let mut source = StoreSource::of(self, opened);
        let mut sink = FileSink::new(file, replaces, Durable::default());
        let Committed { bytes, remark } = place::copy(&mut source, &document, image.as_ref(), &mut sink)?;
        let file = sink.file();
        let sidecar = image.is_some().then(|| sidecar_path(file));
        let files = [file.to_owned()].into_iter().chain(sidecar).collect();
        Ok(Exported { generation, files, bytes, remark })
    }

    /// Saves a session file with its sidecar in the store, as they are: what is encrypted stays encrypted.
    ///
    /// # Errors
    /// When the files cannot be read or are damaged, `read` does not open the document, and as [`SessionStore::save`].
    pub fn import(
        &self,
        file: &Path,
        expected: Expected,
        read: &ReadContents<'_>,
    ) -> Result<(SessionId, Saved), StoreError> {
        let document = FileSource::new(file)
            .document()
            .map_err(|cause| StoreError::SessionFile { path: file.to_owned(), cause })?;
        let Contents { session, summary, image } =
            read(&document).map_err(|cause| StoreError::SessionFile { path: file.to_owned(), cause })?;
        let chunks = match &image {
            Some(image) => Sidecar::open(find_sidecar(file))?.read_image(image)?,
            None => Vec::new(),
        };
        let needs: Vec<(ChunkId, u64)> = image.iter().flat_map(ImageReference::chunk_ids).collect();
        let draft = Draft { session: session.clone(), summary, document: &document, needs, chunks: &chunks };
        let saved = self.save(&draft, expected)?;
        Ok((session, saved))
    }
}

/// All chunks that a session was saved with.
fn stored_image(opened: &Opened) -> Option<ImageReference> {
    let chunks = opened.chunks.iter().map(|chunk| (chunk.id, chunk.bytes));
    (!opened.chunks.is_empty()).then(|| ImageReference::opaque(chunks, "as it is stored"))
}
