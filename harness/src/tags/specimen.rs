//! Asking a library how it lays out its states: it writes small ones, and they are read.

use std::path::Path;

use intact_format::foreign::{ForeignFile, Specimens, Unrecognized};
use intact_format::layout::Layout;
use intact_format::place::sidecar_path;
use intact_format::regular;
use intact_protocol::{Hello, Request};

use super::opened::{Opening, opened};
use super::probe::{PATIENCE, ProbeError, carried_out, question, saving};
use crate::fleeting::FleetingFolder;

/// What a library showed.
#[derive(Debug)]
pub(super) struct Shown {
    /// Who its worker is, and what the library says of itself.
    pub(super) hello: Hello,
    /// The version word of its sequence files.
    pub(super) sequence_version: u32,
    /// The layout of its states, or why it is none that is known.
    pub(super) layout: Result<&'static Layout, Unrecognized>,
}

/// How a small state is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// What the unprotected subject keeps it in.
    pub(crate) container: &'a str,
    /// The type of K and V.
    pub(crate) kv: &'a str,
    /// With flash attention, or with V by element.
    pub(crate) flash: bool,
}

/// Starts the worker of a library, and lets it save the same session in each way that tells layouts apart. The model has heads
/// of 64 elements, so that a rotation shows.
pub(super) fn shown(command: &[String], model: &Path) -> Result<Shown, ProbeError> {
    let written = |container, kv| written(command, model, Way { container, kv, flash: true });
    let (hello, plain) = written("sequence-file", "f16")?;
    let (_, quantized) = written("sequence-file", "q8_0")?;
    let (_, blob) = written("raw-sequence", "f16")?;
    let sequence_version = ForeignFile::read(&plain).map(|file| file.version).unwrap_or_default();
    let layout = Specimens { plain: &plain, quantized: &quantized, blob: &blob }.layout();
    Ok(Shown { hello, sequence_version, layout })
}

/// A session of a few tokens, written in this way.
///
/// # Errors
/// [`ProbeError`], where the library cannot do that.
pub(crate) fn written(
    command: &[String],
    model: &Path,
    way: Way<'_>,
) -> Result<(Hello, Vec<u8>), ProbeError> {
    let folder = FleetingFolder::make(&std::env::temp_dir())?;
    let path = folder.path().join("specimen.json");
    let opening = Opening {
        subject: &["--subject", "blind", "--container", way.container],
        model,
        kv: way.kv,
        flash: way.flash,
        n_ctx: 256,
        memory: None,
    };
    let (mut worker, hello) = opened(command, &opening, folder.path())?;
    carried_out(&mut worker, Request::Say(question()))?;
    carried_out(&mut worker, Request::Save(saving(&path)))?;
    worker.leave(PATIENCE);
    Ok((hello, regular::read(sidecar_path(&path))?))
}
