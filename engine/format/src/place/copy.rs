//! From one place to another.

use std::collections::HashSet;

use super::{Committed, PlaceError, SessionSink, SessionSource};
use crate::image::{Chunk, ImageReference};
use crate::route::RefusalCode;

/// Copies a session: every chunk of `image`, verified, then the document. One chunk is in memory at a time. Gives the bytes
/// that were written in all.
///
/// # Errors
/// When the source does not give what the image names, or the sink does not take it; nothing is committed then.
pub fn copy(
    source: &mut dyn SessionSource,
    document: &[u8],
    image: Option<&ImageReference>,
    sink: &mut dyn SessionSink,
) -> Result<Committed, PlaceError> {
    let mut bytes = 0;
    if let Some(image) = image {
        source.locate(image)?;
        let mut seen = HashSet::new();
        for (id, length) in image.chunk_ids().filter(|(id, _)| seen.insert(*id)) {
            if sink.holds(id, length)? {
                continue;
            }
            let damaged = |error| PlaceError::new(Some(RefusalCode::ImageDamaged), error);
            // The source has located it, so its length is that of something that is there.
            let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            source.read(id, &mut payload)?;
            bytes += sink.put(&Chunk::verified(id, payload).map_err(damaged)?)?;
        }
    }
    let committed = sink.commit(document, image)?;
    Ok(Committed { bytes: committed.bytes + bytes, ..committed })
}
