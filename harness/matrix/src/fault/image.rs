//! An image with another session's cells and every hash right: only what the model says can tell.

use std::fs;
use std::path::Path;

use intact_format::regular;

use super::{FaultError, SessionFiles, document, inapplicable, rewrite};

pub(super) fn forge(files: &SessionFiles, theirs: &SessionFiles) -> Result<(), FaultError> {
    let (Some(image), Some(their_image)) = (&files.image, &theirs.image) else {
        return Err(inapplicable("a session has no image"));
    };
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| FaultError::Io { path, source }
    };
    let their_document = regular::read(&theirs.document).map_err(io_error(&theirs.document))?;
    rewrite(&files.document, |bytes| document::with_image_of(&bytes, &their_document))?;
    fs::copy(their_image, image).map_err(io_error(image))?;
    Ok(())
}
