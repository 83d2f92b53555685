//! Many sessions, each under its id.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::{Committed, FileSink, FileSource, PlaceError, ReadParts, Replaces, SessionSink, SessionSource};
use crate::digest::Digest;
use crate::image::{Chunk, ChunkId, Durable, ImageReference};
use crate::session_id::SessionId;

/// Keeps sessions by their ids.
pub trait Shelf: Send {
    /// Takes a save of a session.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError>;

    /// Gives a session back; none where there is none of that id.
    ///
    /// # Errors
    /// When the place cannot be reached, or what is there cannot be opened.
    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError>;
}

/// A folder of session files, each named for its session. A session that somebody else has saved there since it was given
/// out, or taken, is not replaced.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    durable: Durable,
    known: HashMap<SessionId, Digest>,
}

/// A save that the folder remembers.
struct Remembered<'f> {
    sink: FileSink,
    id: SessionId,
    known: &'f mut HashMap<SessionId, Digest>,
}

/// A session that the folder remembers to have given out.
struct Given<'f> {
    source: FileSource,
    id: SessionId,
    known: &'f mut HashMap<SessionId, Digest>,
}

impl Folder {
    /// The sessions in this folder. It is made by the first save.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durable: Durable::default(), known: HashMap::new() }
    }

    fn file(&self, id: &SessionId) -> PathBuf {
        self.path.join(id.default_file_name())
    }
}

impl Shelf for Folder {
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError> {
        fs::create_dir_all(&self.path)
            .map_err(|error| PlaceError::unwritable("create the folder", &self.path, error))?;
        let replaces = self.known.get(id).map_or(Replaces::Nothing, |known| Replaces::Document(*known));
        let sink = FileSink::new(self.file(id), replaces, self.durable.clone());
        Ok(Box::new(Remembered { sink, id: id.clone(), known: &mut self.known }))
    }

    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError> {
        let file = self.file(id);
        match file.try_exists() {
            Ok(true) => {
                let source = FileSource::new(file);
                Ok(Some(Box::new(Given { source, id: id.clone(), known: &mut self.known })))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(PlaceError::unreadable("look for", &file, error)),
        }
    }
}

impl SessionSink for Remembered<'_> {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        self.sink.holds(id, bytes)
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        self.sink.put(chunk)
    }

    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        let committed = self.sink.commit(document, image)?;
        self.known.extend(self.sink.saved().map(|saved| (self.id.clone(), saved)));
        Ok(committed)
    }
}

impl SessionSource for Given<'_> {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        let document = self.source.document()?;
        self.known.extend(self.source.document_read().map(|read| (self.id.clone(), read)));
        Ok(document)
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        self.source.locate(image)
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        self.source.read(id, payload)
    }

    fn parts(&self) -> Option<&dyn ReadParts> {
        self.source.parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RefusalCode;

    #[test]
    fn two_who_keep_one_session_in_a_folder_do_not_lose_each_others_saves() {
        let folder = tempfile::tempdir().expect("a folder");
        let id = SessionId::new("ada").expect("an id");
        let document = |text: &str| {
            format!("{{\"FormatVersion\":\"2.0\",\"SessionId\":\"ada\",\"x\":\"{text}\"}}").into_bytes()
        };
        let [mut one, mut other] = [(); 2].map(|()| Folder::new(folder.path()));
        let save = |shelf: &mut Folder, text: &str| {
            shelf
                .sink(&id)
                .and_then(|mut sink| sink.commit(&document(text), None))
                .map_err(|error| error.code)
        };
        save(&mut one, "first").expect("it is new");
        assert_eq!(save(&mut other, "lost"), Err(Some(RefusalCode::FileExists)));
        other.source(&id).expect("readable").expect("there").document().expect("read");
        save(&mut other, "second").expect("it was read");
        assert_eq!(save(&mut one, "lost"), Err(Some(RefusalCode::FileChanged)));
    }
}
