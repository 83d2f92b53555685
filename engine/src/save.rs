//! Saving: the session goes on unchanged, and a kill at any point leaves the old file or the new one.

mod image;
mod parts;
mod pipeline;
mod tail;
mod whole;

use std::io;
use std::path::Path;

use intact_format::image::{Durable, ImageReference};
use intact_format::manifest::Manifest;
use intact_format::noise::Noise;
use intact_format::parameters::SamplerState;
use intact_format::passport::Passport;
use intact_format::place::{FileSink, SessionSink, sidecar_path};
use intact_format::session::{SessionDocument, write};
use intact_format::version::FormatVersion;

use self::image::Taken;
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::passport;
use crate::request::{SaveOptions, Saved, Timings};

/// What a save notes where the image would have no proof.
const UNPROVEN: &str =
    "The model's logits are not numbers, so the KV is not saved; a load evaluates the tokens.";

/// What a save notes where nobody knows any more which weights gave the KV.
const WEIGHTS_CHANGED: &str = "The model file was written to since it was loaded, so the KV is not saved: it may come of other \
     weights than those that were loaded. A load evaluates the tokens.";

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
        let weights_hold = self.watch.holds(&self.identity).unwrap_or(false);
        let noise = if weights_hold && format >= FormatVersion::V2_1 { self.noise_of(id)? } else { None };
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
        if format >= FormatVersion::V2_0 && !weights_hold {
            notes.push(WEIGHTS_CHANGED.to_owned());
        } else if format >= FormatVersion::V2_0 {
            let Taken { canary, image, written } = image::take(session, sink, clock)?;
            (document.canary, document.image, bytes) = (canary, image, written);
            if document.canary.is_none() && !session.timeline.tokens().is_empty() {
                notes.push(UNPROVEN.to_owned());
            }
            document.noise = noise.filter(|_| document.canary.is_some());
            if let Some(ImageReference::Opaque(opaque)) = &document.image {
                notes.push(opaque.remark());
            }
        }
        let written = write(&document, format)?;
        clock.lap("encode");
        let committed = sink.commit(&written.bytes, document.image.as_ref())?;
        clock.lap("commit");
        session.remember(document.image.as_ref());
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

impl Engine {
    /// How far the model is from itself in the context of a session that has anything to be proven.
    fn noise_of(&mut self, id: &str) -> Result<Option<Noise>, EngineError> {
        let session = self.session(id)?;
        if self.skip_noise || session.timeline.tokens().is_empty() {
            return Ok(None);
        }
        let (parameters, passport) = (session.parameters.clone(), session.passport.clone());
        Ok(self.noise(&parameters, &passport))
    }
}

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> EngineError + use<'p> {
    move |source| EngineError::Io { action, path: path.to_owned(), source }
}
