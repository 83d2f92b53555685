//! The golden session, for counting what the pure parts do with it.

use std::fs;
use std::path::PathBuf;

use intact_format::image::sidecar::Sidecar;
use intact_format::image::{Chunk, ImageReference, Target, assemble};
use intact_format::layout::{Container, Layout, MemoryShape, identify};
use intact_format::session::read;
use intact_format::version::FormatVersion;

/// A KV image, and the state that it is put together to.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the session document says of it.
    pub reference: ImageReference,
    /// Its chunks.
    pub chunks: Vec<Chunk<'static>>,
    /// Its layout.
    pub layout: &'static Layout,
    /// The state as llama.cpp writes it.
    pub state: Vec<u8>,
    /// The shape of the state.
    pub shape: MemoryShape,
}

fn file(extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/golden/releases/b8233/f16")
        .with_extension(extension)
}

/// The golden session document.
///
/// # Panics
/// Where it is not in the checkout.
#[must_use]
pub fn document() -> Vec<u8> {
    fs::read(file("json")).expect("the golden document")
}

/// The golden image.
///
/// # Panics
/// Where it is not in the checkout, or is not what the document says.
#[must_use]
pub fn image() -> Image {
    let session = read(&document(), FormatVersion::CURRENT).expect("the golden session").document;
    let reference = session.image.expect("it has an image");
    let chunks =
        Sidecar::open(file("kv")).and_then(|mut file| file.read_image(&reference)).expect("its chunks");
    let ImageReference::Cells(cells) = &reference else { panic!("an image of cells") };
    let layout = Layout::by_id(&cells.layout).expect("a known layout");
    let state = assemble(&reference, &chunks, &Target::blob(layout)).expect("a state");
    let shape = identify(&state, layout, Container::Blob).expect("its shape");
    Image { reference, chunks, layout, state, shape }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_golden_image_is_put_together_to_a_state_that_parses() {
        let image = super::image();
        assert!(!image.state.is_empty() && !image.chunks.is_empty());
    }
}
