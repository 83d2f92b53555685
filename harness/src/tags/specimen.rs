//! Asking a library that nobody listed how it lays out its states: it writes some small ones, and they are read.

use std::fs;
use std::path::Path;

use intact_format::foreign::{ForeignFile, Specimens, Unrecognized};
use intact_format::layout::Layout;
use intact_format::place::sidecar_path;
use intact_protocol::{Cage, FlashAttention, Hello, Open, Request, Settings};

use super::probe::{PATIENCE, ProbeError, carried_out, question, saving, started};
use crate::caging;
use crate::worker::Limits;

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

/// Starts the worker of a library, and lets it save the same session in each way that tells layouts apart. The model has heads
/// of 64 elements, so that a rotation shows.
pub(super) fn shown(command: &[String], model: &Path) -> Result<Shown, ProbeError> {
    let (hello, plain) = written(command, model, "sequence-file", "f16")?;
    let (_, quantized) = written(command, model, "sequence-file", "q8_0")?;
    let (_, blob) = written(command, model, "raw-sequence", "f16")?;
    let sequence_version = ForeignFile::read(&plain).map(|file| file.version).unwrap_or_default();
    let layout = Specimens { plain: &plain, quantized: &quantized, blob: &blob }.layout();
    Ok(Shown { hello, sequence_version, layout })
}

/// A session of a few tokens in this container, with K and V of this type.
fn written(
    command: &[String],
    model: &Path,
    container: &str,
    kv: &str,
) -> Result<(Hello, Vec<u8>), ProbeError> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("specimen.json");
    let cage = Cage { read: caging::model(model), write: vec![folder.path().to_owned()] };
    let limits = Limits { cage, ..Limits::default() };
    let more = ["--subject", "blind", "--container", container].map(str::to_owned);
    let command: Vec<String> = command.iter().cloned().chain(more).collect();
    let (mut worker, hello) = started(&command, &limits)?;
    let settings = Settings {
        n_ctx: Some(256),
        type_k: Some(kv.to_owned()),
        type_v: Some(kv.to_owned()),
        flash_attention: Some(FlashAttention::On),
        threads: Some(1),
        ..Settings::default()
    };
    carried_out(&mut worker, Request::Open(Box::new(Open::new(model, settings))))?;
    carried_out(&mut worker, Request::Say(question()))?;
    carried_out(&mut worker, Request::Save(saving(&path)))?;
    worker.leave(PATIENCE);
    Ok((hello, fs::read(sidecar_path(&path))?))
}
