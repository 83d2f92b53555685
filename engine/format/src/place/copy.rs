//! From one place to another.

use super::{Committed, PlaceError, SessionSink, SessionSource};
use crate::image::{Chunk, ChunkId, ImageReference};
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
        for (id, length) in image.distinct_chunks() {
            if !sink.holds(id, length)? {
                bytes += sink.put(&read_chunk(source, id, length)?)?;
            }
        }
    }
    let committed = sink.commit(document, image)?;
    Ok(Committed { bytes: committed.bytes + bytes, ..committed })
}

/// Reads a chunk of an image that the source has located, and hashes it.
///
/// # Errors
/// When the source does not give it, or it is not what its id says.
pub fn read_chunk(source: &dyn SessionSource, id: ChunkId, bytes: u64) -> Result<Chunk<'static>, PlaceError> {
    // The source has located it, so its length is that of something that is there.
    let mut payload = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    source.read(id, &mut payload)?;
    Chunk::verified(id, payload).map_err(|error| PlaceError::new(Some(RefusalCode::ImageDamaged), error))
}
