//! A worker of a library with a small context open over a tiny model: how libraries are asked what they write and read.

use std::path::Path;

use intact_protocol::{Cage, FlashAttention, Hello, Open, Request, Settings};

use super::probe::{ProbeError, carried_out, started};
use crate::caging;
use crate::worker::{Limits, Worker};

/// What is opened.
pub(crate) struct Opening<'a> {
    /// Options of the worker that make it the subject.
    pub(crate) subject: &'a [&'a str],
    /// The model.
    pub(crate) model: &'a Path,
    /// The type of K and V.
    pub(crate) kv: &'a str,
    /// With flash attention, or with V by element.
    pub(crate) flash: bool,
    /// Tokens of the context.
    pub(crate) n_ctx: u32,
    /// Bytes of memory of its own that the worker may take; any number if not given.
    pub(crate) memory: Option<u64>,
}

/// Starts the worker of a library, which may write to a folder, and opens the model.
///
/// # Errors
/// [`ProbeError`].
pub(crate) fn opened(
    command: &[String],
    opening: &Opening<'_>,
    folder: &Path,
) -> Result<(Worker, Hello), ProbeError> {
    let options = opening.subject.iter().map(|word| (*word).to_owned());
    let command: Vec<String> = command.iter().cloned().chain(options).collect();
    let cage = Cage { read: caging::model(opening.model), write: vec![folder.to_owned()] };
    let (mut worker, hello) = started(&command, &Limits { memory: opening.memory, cage })?;
    let settings = Settings {
        n_ctx: Some(opening.n_ctx),
        type_k: Some(opening.kv.to_owned()),
        type_v: Some(opening.kv.to_owned()),
        flash_attention: Some(if opening.flash { FlashAttention::On } else { FlashAttention::Off }),
        threads: Some(1),
        ..Settings::default()
    };
    carried_out(&mut worker, Request::Open(Box::new(Open::new(opening.model, settings))))?;
    Ok((worker, hello))
}
