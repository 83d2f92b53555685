//! Giving a state to another sequence, in place.

use super::cursor::Cursor;
use super::parse::{Container, Owner};
use super::{AttentionShape, Layout, LayoutError};

/// Gives the state of one attention cache in a single stream to sequence `sequence`, and says where the payload of its
/// chunk starts: behind the prefix of the layouts that have one. The rest of the bytes is left as it is, and unread.
///
/// # Errors
/// When the bytes do not begin as such a state does.
pub fn renumber(
    blob: &mut [u8],
    layout: &Layout,
    shape: AttentionShape,
    sequence: i32,
) -> Result<usize, LayoutError> {
    let (prefix, first_cell, cells) = {
        let mut cursor = Cursor::new(blob);
        Owner::prefixed(&mut cursor, layout, Container::Blob)?;
        let prefix = cursor.offset();
        if layout.stream_count {
            let streams = cursor.u32("n_stream")?;
            cursor.expect("n_stream", streams.into(), streams == 1, || "1".to_owned())?;
        }
        let cells = cursor.count("cell_count", layout.cell_bytes(shape))?;
        (prefix, cursor.offset(), cells)
    };
    let id = sequence.to_le_bytes();
    if prefix > 0 {
        blob[prefix - id.len()..prefix].copy_from_slice(&id);
    }
    let table = cells * layout.cell_bytes(shape);
    for cell in blob[first_cell..first_cell + table].chunks_exact_mut(layout.cell_bytes(shape)) {
        let (_, owner) = cell.split_at_mut(cell.len() - id.len());
        owner.copy_from_slice(&id);
    }
    Ok(prefix)
}
