//! Checking a whole sidecar, without a model.

use std::collections::HashSet;
use std::path::Path;

use super::{Damage, Sidecar, SidecarError};
use crate::image::{ChunkId, ImageReference};

/// What a full check of a sidecar found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Frames in the file.
    pub frames: usize,
    /// Length of the file.
    pub bytes: u64,
    /// Chunks whose bytes are not what their id says.
    pub damaged: Vec<ChunkId>,
    /// Chunks that the image needs and the file does not have, or has in another length.
    pub missing: Vec<ChunkId>,
    /// Bytes that are not frames.
    pub damage: Vec<Damage>,
    /// Bytes of chunks that the image does not need. All of them without an image.
    pub unused_bytes: u64,
}

impl Verification {
    /// Whether every chunk that is needed is there and right. Unfinished tails and unused chunks do no harm; without an
    /// image, every chunk is needed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
            && self.missing.is_empty()
            && self.damage.iter().all(|damage| damage.torn_tail)
    }
}

/// Reads and hashes every chunk of a sidecar, and compares it with the image that a session document refers to.
///
/// # Errors
/// When the file cannot be read or is not a sidecar. Damage is reported, not an error.
pub fn verify(path: &Path, image: Option<&ImageReference>) -> Result<Verification, SidecarError> {
    let mut sidecar = Sidecar::open(path)?;
    let frames = sidecar.frames().to_vec();
    let mut found = Verification {
        frames: frames.len(),
        bytes: sidecar.length(),
        damage: sidecar.damage().to_vec(),
        ..Verification::default()
    };
    let needed: Option<HashSet<_>> = image.map(|image| image.chunk_ids().map(|(id, _)| id).collect());
    let mut checked = HashSet::new();
    for frame in &frames {
        if needed.as_ref().is_none_or(|needed| !needed.contains(&frame.id)) {
            found.unused_bytes += frame.bytes;
        }
        if !checked.insert(frame.id) {
            continue;
        }
        match sidecar.read(frame.id) {
            Ok(_) => {}
            Err(SidecarError::Damaged { .. }) => {
                if needed.as_ref().is_none_or(|needed| needed.contains(&frame.id)) {
                    found.damaged.push(frame.id);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let mut missing = HashSet::new();
    for (id, bytes) in image.into_iter().flat_map(ImageReference::chunk_ids) {
        if sidecar.frame(&id).is_none_or(|frame| frame.bytes != bytes) && missing.insert(id) {
            found.missing.push(id);
        }
    }
    Ok(found)
}
