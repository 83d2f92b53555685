//! Saving: the session goes on unchanged, and a kill at any point leaves the old file or the new one.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use intact_format::canary::Canary;
use intact_format::image::{
    Chunk, ChunkId, Cut, CutOptions, Durable, ImageReference, cut, cut_opaque,
    sidecar::{SidecarError, SidecarWriter},
};
use intact_format::manifest::Manifest;
use intact_format::parameters::SamplerState;
use intact_format::passport::Passport;
use intact_format::session::{SessionDocument, write};
use intact_format::token::Position;
use intact_format::version::FormatVersion;

use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::passport;
use crate::probe::Probe;
use crate::request::{SaveOptions, Saved};
use crate::session::{Session, Timeline};

/// Extension of the file beside a session file that holds its KV image.
pub const SIDECAR_EXTENSION: &str = "kv";

/// The file beside a session file that holds its KV image: `<name>.kv`.
#[must_use]
pub fn sidecar_path(session_file: &Path) -> PathBuf {
    session_file.with_extension(SIDECAR_EXTENSION)
}

impl Engine {
    /// Saves a live session. Blocks until everything is on the disk.
    ///
    /// The image holds the KV of all tokens but the last, and the document what the model said after the last one: a load
    /// evaluates that token again and compares.
    ///
    /// # Errors
    /// When there is no such session, the format is unknown, or a file cannot be written; the old file is whole then.
    pub fn save(&mut self, id: &str, options: &SaveOptions) -> Result<Saved, EngineError> {
        let mut clock = Stopwatch::start();
        let format = options.format.unwrap_or(FormatVersion::CURRENT);
        let session = self.session_mut(id)?;
        let path = options.path.clone().unwrap_or_else(|| Self::default_path(&session.id));

        let mut document = SessionDocument::new(session.id.clone());
        let saved_at = passport::now();
        document.saved_at = Some(saved_at);
        document.history = session.chat.messages().to_vec();
        document.parameters = Some(session.parameters.clone());
        document.sampler = Some(SamplerState { seed: session.seed });
        let passport = Passport { saved_at, ..session.passport.clone() };
        document.manifest = Some(Manifest::of(&passport, &path));
        document.passport = Some(passport);
        let chunks = if format >= FormatVersion::V2_0 {
            let (canary, image) = take_image(session, &mut clock)?;
            document.canary = canary;
            image.map_or_else(Vec::new, |cut| {
                document.image = Some(cut.reference);
                cut.chunks
            })
        } else {
            Vec::new()
        };
        let unproven = if format >= FormatVersion::V2_0
            && document.canary.is_none()
            && !session.timeline.tokens().is_empty()
        {
            vec![
                "The model's logits are not numbers, so the KV is not saved; a load evaluates the tokens."
                    .to_owned(),
            ]
        } else {
            Vec::new()
        };
        let written = write(&document, format)?;
        clock.lap("encode");

        let mut saved = Saved {
            path: path.clone(),
            files: vec![path.clone()],
            bytes: written.bytes.len() as u64,
            tokens: session.timeline.tokens().len(),
            notes: [written.notes, unproven].concat(),
            timings: crate::request::Timings::default(),
        };
        commit(&path, &written.bytes, document.image.as_ref(), &chunks, &mut saved)?;
        clock.lap("write");
        if let Some(manifest) = document.manifest.filter(|_| options.manifest) {
            let path = Manifest::path_of(&path);
            let bytes = manifest.write().map_err(|error| failed("write", &path)(io::Error::other(error)))?;
            Durable::default().replace(&path, &bytes).map_err(failed("write", &path))?;
            saved.bytes += bytes.len() as u64;
            saved.files.push(path);
        }
        saved.timings = clock.stop();
        Ok(saved)
    }
}

/// Takes the state of all tokens but the last, then evaluates the last one for the canary, which a later turn does not have
/// to do again.
fn take_image(
    session: &mut Session,
    clock: &mut Stopwatch,
) -> Result<(Option<Canary>, Option<Cut<'static>>), EngineError> {
    let Session { timeline, probe, .. } = session;
    let Some((&last, before)) = timeline.tokens().split_last() else { return Ok((None, None)) };
    let position = Position(u32::try_from(before.len()).unwrap_or(u32::MAX));
    let has_image = !before.is_empty();
    let image = if has_image { Some(cut_state(timeline, probe, clock)?) } else { None };
    let logits = timeline.settled_logits()?.unwrap_or_default();
    let canary = Canary::of(last, position, logits);
    clock.lap("canary");
    // Without a canary nothing could prove the image: such a session comes back by its tokens.
    let image = image.filter(|_| canary.is_some());
    Ok((canary, image))
}

fn cut_state(
    timeline: &mut Timeline,
    probe: &Probe,
    clock: &mut Stopwatch,
) -> Result<Cut<'static>, EngineError> {
    let drop_last = !timeline.is_pending() && timeline.memory().can_be_cut() && probe.understood().is_some();
    if !drop_last {
        timeline.hold_back()?;
    }
    let state = timeline.state()?;
    clock.lap("state");
    let options = CutOptions { drop_last, ..CutOptions::default() };
    let understood = probe.understood().ok_or_else(|| probe.describe()).and_then(|understood| {
        let state = understood.parse(state.bytes()).map_err(|error| error.to_string())?;
        cut(&state, understood.layout, options).map_err(|error| error.to_string())
    });
    let image = match understood {
        Ok(image) => image,
        Err(reason) if drop_last => {
            tracing::warn!(%reason, "the state was not understood; the image is opaque");
            timeline.hold_back()?;
            opaque(timeline.state()?.bytes(), reason)
        }
        Err(reason) => opaque(state.bytes(), reason),
    };
    clock.lap("cut");
    Ok(image)
}

fn opaque(bytes: &[u8], reason: String) -> Cut<'static> {
    let Cut { reference, chunks } = cut_opaque(bytes, reason);
    Cut { reference, chunks: chunks.into_iter().map(|chunk| Chunk::new(chunk.payload().to_vec())).collect() }
}

/// Chunks first, then the document that refers to them, under one lock; then chunks that nothing refers to any more go.
fn commit(
    path: &Path,
    document: &[u8],
    image: Option<&ImageReference>,
    chunks: &[Chunk<'_>],
    saved: &mut Saved,
) -> Result<(), EngineError> {
    let durable = Durable::default();
    let Some(image) = image else {
        return durable.replace(path, document).map_err(failed("write", path));
    };
    let sidecar = sidecar_path(path);
    let failed_image = |error: SidecarError| failed("write", &sidecar_path(path))(io::Error::other(error));
    let mut writer = SidecarWriter::open(&sidecar, durable.clone()).map_err(failed_image)?;
    saved.bytes += writer.append(chunks).map_err(failed_image)?.bytes;
    durable.replace(path, document).map_err(failed("write", path))?;
    saved.files.push(sidecar.clone());
    let needed: HashSet<ChunkId> = image.chunk_ids().map(|(id, _)| id).collect();
    // The session is saved by now; what is left over is taken out by a later save.
    if writer.is_mostly_garbage(&needed)
        && let Err(error) = writer.compact(&needed)
    {
        tracing::warn!(%error, "the KV image was not compacted");
    }
    Ok(())
}

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> EngineError + use<'p> {
    move |source| EngineError::Io { action, path: path.to_owned(), source }
}
