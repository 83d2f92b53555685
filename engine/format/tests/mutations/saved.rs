//! A saved session, and the way to load one that the engine takes.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::image::sidecar::{Sidecar, SidecarWriter};
use intact_format::image::{
    Chunk, CutOptions, Durable, Gathering, ImageReference, Target, assemble, cut, part,
};
use intact_format::layout::{Layout, MemoryShape};
use intact_format::session::{SessionDocument, read, write};
use intact_format::version::FormatVersion;
use tempfile::TempDir;

use crate::generated::dense;

/// What a load gives: the session, and the state for llama.cpp.
pub(crate) type Content = (SessionDocument, Vec<u8>);

/// The bytes of a session's two files.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) document: Vec<u8>,
    pub(crate) sidecar: Vec<u8>,
}

/// A session, saved.
pub(crate) struct Saved {
    pub(crate) files: Files,
    pub(crate) content: Content,
    pub(crate) reference: ImageReference,
    pub(crate) chunks: Vec<Chunk<'static>>,
    folder: TempDir,
}

impl Files {
    pub(crate) fn len(&self) -> usize {
        self.document.len() + self.sidecar.len()
    }
}

impl Saved {
    /// A session, saved in the version that it is saved in.
    pub(crate) fn of(mut session: SessionDocument) -> Self {
        let layout = Layout::newest();
        let tokens = session.tokens().expect("it has tokens").len();
        let state = dense(layout, tokens - 1, 1);
        let options = CutOptions { chunk_tokens: 16, ..CutOptions::default() };
        let cut = cut(&state, layout, options).expect("a dense state can be cut");
        session.image = Some(cut.reference.clone());
        let document = write(&session, session.version()).expect("it can be written").bytes;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("session.kv");
        let mut writer = SidecarWriter::open(&path, Durable::default()).expect("a new sidecar");
        writer.append(&cut.chunks).expect("room for chunks");
        let sidecar = fs::read(&path).expect("the sidecar");
        let blob = assemble(&cut.reference, &cut.chunks, &Target::blob(layout)).expect("a whole image");
        let files = Files { document, sidecar };
        Self { files, content: (session, blob), reference: cut.reference, chunks: cut.chunks, folder }
    }

    pub(crate) fn shape(&self) -> MemoryShape {
        match &self.reference {
            ImageReference::Cells(image) => image.shape.clone(),
            ImageReference::Opaque(_) => MemoryShape::dense(),
        }
    }

    /// Puts files in place and says where their document is.
    pub(crate) fn write(&self, files: &Files) -> PathBuf {
        let path = self.folder.path().join("session.json");
        fs::write(&path, &files.document).expect("a document");
        fs::write(path.with_extension("kv"), &files.sidecar).expect("a sidecar");
        path
    }
}

/// Loads a session's files as far as that needs no model.
pub(crate) fn load(path: &Path) -> Option<Content> {
    let session = read(&fs::read(path).ok()?, FormatVersion::CURRENT).ok()?.document;
    let reference = session.image.as_ref()?;
    let chunks = Sidecar::open(path.with_extension("kv")).ok()?.read_image(reference).ok()?;
    let blob = gathered(reference, &chunks)?;
    Some((session, blob))
}

/// The state that chunks are when each is put into its place alone.
fn gathered(reference: &ImageReference, chunks: &[Chunk<'_>]) -> Option<Vec<u8>> {
    let target = Target::blob(Layout::newest());
    let ImageReference::Cells(image) = reference else { return assemble(reference, chunks, &target).ok() };
    let mut gathering = Gathering::new(image, &target).ok()?;
    for (at, section) in image.sections.iter().enumerate() {
        for reference in &section.chunks {
            let chunk = chunks.iter().find(|chunk| chunk.id() == reference.id)?;
            let section = part(image, at, reference, chunk).ok()?;
            gathering.place(&section, &section).ok()?;
        }
    }
    gathering.finish().ok()
}
