//! A session file as it is stored: plain, compressed or sealed, opened with the keys that were given.

use std::path::Path;

use intact_format::image::{Chunk, ImageReference};
use intact_format::place::{FileSource, PlaceError, SessionSource};
use intact_format::route::RefusalCode;
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

    /// The chunks of its image, one after the other, each hashed.
    pub(super) fn chunks(
        &mut self,
        image: &ImageReference,
    ) -> Result<impl Iterator<Item = Result<Chunk<'static>, PlaceError>>, PlaceError> {
        self.source.locate(image)?;
        let source = &self.source;
        Ok(image.chunk_ids().map(move |(id, bytes)| {
            // It was located, so its length is that of something that is there.
            let mut payload = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
            source.read(id, &mut payload)?;
            Chunk::verified(id, payload)
                .map_err(|error| PlaceError::new(Some(RefusalCode::ImageDamaged), error))
        }))
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
