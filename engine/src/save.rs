//! Saving: the session goes on unchanged, and a kill at any point leaves the old file or the new one.

use std::io;
use std::path::Path;

use intact_format::canary::Canary;
use intact_format::image::{Chunk, Cut, CutOptions, Durable, cut, cut_opaque};
use intact_format::manifest::Manifest;
use intact_format::parameters::SamplerState;
use intact_format::passport::Passport;
use intact_format::place::{FileSink, SessionSink, sidecar_path};
use intact_format::session::{SessionDocument, write};
use intact_format::token::Position;
use intact_format::version::FormatVersion;

use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::passport;
use crate::probe::Probe;
use crate::request::{SaveOptions, Saved, Timings};
use crate::session::{Session, Timeline};

/// What a save notes where the image would have no proof.
const UNPROVEN: &str =
    "The model's logits are not numbers, so the KV is not saved; a load evaluates the tokens.";

impl Engine {
    /// Saves a live session into a file, and its KV beside it. Blocks until everything is on the disk.
    ///
    /// # Errors
    /// As [`Engine::save_to`], and when the manifest cannot be written.
    pub fn save(&mut self, id: &str, options: &SaveOptions) -> Result<Saved, EngineError> {
        let mut clock = Stopwatch::start();
        let path = match &options.path {
            Some(path) => path.clone(),
            None => Self::default_path(&self.session(id)?.id),
        };
        let mut sink = FileSink::new(&path, Durable::default());
        let options = SaveOptions { path: Some(path.clone()), ..options.clone() };
        let (mut saved, document) = self.save_document(id, &mut sink, &options, &mut clock)?;
        saved.files = vec![path.clone()];
        if document.image.is_some() {
            saved.files.push(sidecar_path(&path));
        }
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

    /// Saves a live session into any place that can hold a document and chunks. The path of the options only names the
    /// session in its manifest.
    ///
    /// The image holds the KV of all tokens but the last, and the document what the model said after the last one: a load
    /// evaluates that token again and compares.
    ///
    /// # Errors
    /// When there is no such session, the format is unknown, or the place fails; the old session is whole there then.
    pub fn save_to(
        &mut self,
        id: &str,
        sink: &mut dyn SessionSink,
        options: &SaveOptions,
    ) -> Result<Saved, EngineError> {
        let mut clock = Stopwatch::start();
        let (mut saved, _) = self.save_document(id, sink, options, &mut clock)?;
        saved.timings = clock.stop();
        Ok(saved)
    }

    fn save_document(
        &mut self,
        id: &str,
        sink: &mut dyn SessionSink,
        options: &SaveOptions,
        clock: &mut Stopwatch,
    ) -> Result<(Saved, SessionDocument), EngineError> {
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
        let mut notes = Vec::new();
        let mut bytes = 0;
        if format >= FormatVersion::V2_0 {
            let (canary, image) = take_image(session, clock)?;
            document.canary = canary;
            if let Some(Cut { reference, chunks }) = image {
                document.image = Some(reference);
                for chunk in &chunks {
                    bytes += sink.put(chunk)?;
                }
            }
            if document.canary.is_none() && !session.timeline.tokens().is_empty() {
                notes.push(UNPROVEN.to_owned());
            }
        }
        let written = write(&document, format)?;
        clock.lap("encode");
        let committed = sink.commit(&written.bytes, document.image.as_ref())?;
        clock.lap("write");
        if let Some(remark) = &committed.remark {
            tracing::warn!(session = %session.id, %remark, "the session is saved");
        }
        let saved = Saved {
            path,
            files: Vec::new(),
            bytes: bytes + committed.bytes,
            tokens: session.timeline.tokens().len(),
            notes: [written.notes, notes].concat(),
            timings: Timings::default(),
        };
        Ok((saved, document))
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

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> EngineError + use<'p> {
    move |source| EngineError::Io { action, path: path.to_owned(), source }
}
