//! Saving: the session goes on unchanged, and a kill at any point leaves the old file or the new one.

mod image;
mod parts;
mod pipeline;
mod tail;
mod whole;

use std::fs;
use std::io;
use std::path::Path;

use intact_format::image::{Durable, ImageReference};
use intact_format::manifest::Manifest;
use intact_format::noise::Noise;
use intact_format::parameters::SamplerState;
use intact_format::passport::Passport;
use intact_format::place::{FileSink, OutputError, PlaceError, Replaces, SessionSink, sidecar_path};
use intact_format::session::{SessionDocument, write};
use intact_format::version::FormatVersion;

use self::image::Taken;
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::options::{Replace, SaveOptions};
use crate::passport;
use crate::receipt::{Saved, Timings};

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
    /// As [`Engine::save_to`], when the file may not be replaced ([`Replace`]), and when the manifest cannot be written.
    pub fn save(&mut self, id: impl AsRef<str>, options: &SaveOptions) -> Result<Saved, EngineError> {
        self.save_file(id.as_ref(), options)
    }

    fn save_file(&mut self, id: &str, options: &SaveOptions) -> Result<Saved, EngineError> {
        let mut clock = Stopwatch::start();
        let path = match &options.path {
            Some(path) => path.clone(),
            None => Self::default_path(&self.session(id)?.id),
        };
        let replaces = match options.replace {
            Replace::Own => self.files.replaces(id, &path),
            Replace::Any => Replaces::Session,
            Replace::Never => Replaces::Nothing,
        };
        let manifest = options.manifest.then(|| Manifest::path_of(&path));
        manifest.as_deref().map_or(Ok(()), unless_foreign)?;
        let mut sink = FileSink::new(&path, replaces, Durable::default());
        let options = SaveOptions { path: Some(path), ..options.clone() };
        let (mut saved, document) = self.save_document(id, &mut sink, &options, &mut clock)?;
        let file = sink.file();
        saved.files = vec![file.to_owned()];
        if document.image.is_some() {
            saved.files.push(sidecar_path(file));
        }
        if let Some(document) = sink.saved() {
            self.files.note(id, file, document);
        }
        if let (Some(manifest), Some(path)) = (document.manifest, manifest) {
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
        id: impl AsRef<str>,
        sink: &mut dyn SessionSink,
        options: &SaveOptions,
    ) -> Result<Saved, EngineError> {
        let mut clock = Stopwatch::start();
        let (mut saved, _) = self.save_document(id.as_ref(), sink, options, &mut clock)?;
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
        let weights_hold = self.shared.holds(&self.identity);
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
            notes.push(format!("The session is saved, but {remark}."));
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

/// Fails where something else than a manifest is in its place.
fn unless_foreign(path: &Path) -> Result<(), EngineError> {
    let foreign = || PlaceError::from(OutputError::Foreign { path: path.to_owned() });
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(foreign().into()),
        Ok(_) => {
            let bytes = fs::read(path).map_err(failed("read", path))?;
            Manifest::read(&bytes).map(drop).map_err(|_| foreign().into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> EngineError + use<'p> {
    move |cause| EngineError::Io { action, path: path.to_owned(), cause }
}
