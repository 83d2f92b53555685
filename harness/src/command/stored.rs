//! A session file as it is stored: plain, compressed or sealed, opened with the keys that were given.

use std::path::Path;

use intact_format::image::{Chunk, ImageReference};
use intact_format::place::{FileSource, PlaceError, SessionSource, read_chunk};
use intact_format::session::{self, Read};
use intact_format::version::FormatVersion;
use intact_seal::{Form, SealedSource};

use super::Failure;
use super::keys::KeyArguments;

/// A session file that was opened.
pub(super) struct Stored {
    /// The session's document.
    pub(super) document: Vec<u8>,
    /// Where its chunks are.
    pub(super) source: SealedSource<FileSource>,
}

impl Stored {
    /// Opens a session file of any form.
    pub(super) fn open(file: &Path, keys: &KeyArguments) -> Result<Self, Failure> {
        let failed = |error: PlaceError| refused(file, &error);
        let mut source = SealedSource::open(FileSource::new(file), &keys.keys()?, false).map_err(failed)?;
        let document = source.document().map_err(failed)?;
        Ok(Self { document, source })
    }

    /// In which form the file is.
    pub(super) fn form(&self) -> Form {
        self.source.form()
    }

    /// What the document says.
    pub(super) fn read(&self) -> Result<Read, session::ReadError> {
        session::read(&self.document, FormatVersion::CURRENT)
    }

    /// The chunks of its image, each once, hashed.
    pub(super) fn chunks(
        &mut self,
        image: &ImageReference,
    ) -> Result<impl Iterator<Item = Result<Chunk<'static>, PlaceError>>, PlaceError> {
        self.source.locate(image)?;
        let source = &self.source;
        Ok(image.distinct_chunks().map(move |(id, bytes)| read_chunk(source, id, bytes)))
    }
}

/// A form in a word.
pub(super) const fn form_name(form: Form) -> &'static str {
    match form {
        Form::Plain => "plain",
        Form::Wrapped => "compressed",
        Form::Sealed => "sealed",
    }
}

/// A place's failure, with what to do about it.
pub(super) fn refused(file: &Path, error: &PlaceError) -> Failure {
    let (name, said) = (file.display().to_string(), error.to_string());
    let failure = Failure::setup(if said.contains(&name) { said } else { format!("{name}: {said}") });
    match error.code {
        Some(code) => failure.help(code.next_step()),
        None => failure,
    }
}
