//! Many sessions, each under its id.

use std::fs;
use std::path::PathBuf;

use super::{FileSink, FileSource, PlaceError, SessionSink, SessionSource};
use crate::image::Durable;
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

/// A folder of session files, each named for its session.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    durable: Durable,
}

impl Folder {
    /// The sessions in this folder. It is made by the first save.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durable: Durable::default() }
    }

    fn file(&self, id: &SessionId) -> PathBuf {
        self.path.join(id.default_file_name())
    }
}

impl Shelf for Folder {
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError> {
        fs::create_dir_all(&self.path)
            .map_err(|error| PlaceError::unwritable("create the folder", &self.path, error))?;
        Ok(Box::new(FileSink::new(self.file(id), self.durable.clone())))
    }

    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError> {
        let file = self.file(id);
        match file.try_exists() {
            Ok(true) => Ok(Some(Box::new(FileSource::new(file)))),
            Ok(false) => Ok(None),
            Err(error) => Err(PlaceError::unreadable("look for", &file, error)),
        }
    }
}
