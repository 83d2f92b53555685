//! What a store has to know of a session document, which others may have to open for it.

use intact_format::image::ImageReference;
use intact_format::place::PlaceError;
use intact_format::route::RefusalCode;
use intact_format::session;
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;

use crate::head::Summary;

/// What a session document says that a store has to know.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The session's id.
    pub session: SessionId,
    /// What a list may show of it to everybody who sees the store.
    pub summary: Summary,
    /// Its image, by the ids and lengths of what is stored.
    pub image: Option<ImageReference>,
}

/// Reads a session document as it is stored. For one that is encrypted, and that none of the keys at hand opens, the error
/// has the code [`RefusalCode::KeyMissing`] or [`RefusalCode::KeyWrong`].
pub type ReadContents<'r> = dyn Fn(&[u8]) -> Result<Contents, PlaceError> + Sync + 'r;

/// Reads a session document that is neither encrypted nor compressed.
///
/// # Errors
/// When it is not one.
pub fn plain(document: &[u8]) -> Result<Contents, PlaceError> {
    let document = session::read(document, FormatVersion::CURRENT)
        .map_err(|error| PlaceError::new(Some(error.code()), error))?
        .document;
    let summary = Summary::of(&document);
    Ok(Contents { session: document.session_id, summary, image: document.image })
}

/// Is the document encrypted, and the key not at hand?
pub(crate) fn is_closed(error: &PlaceError) -> bool {
    matches!(error.code, Some(RefusalCode::KeyMissing | RefusalCode::KeyWrong))
}
