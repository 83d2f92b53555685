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
use intact_format::regular;
use intact_format::session::{SessionDocument, write};
use intact_format::version::FormatVersion;

use self::image::Taken;
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::options::{Replace, SaveOptions};
use crate::passport;
use crate::receipt::Saved;

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
        let Written { document, tokens, mut bytes, notes } =
            self.write(id, &mut sink, Some(&path), options.format, &mut clock)?;
        let file = sink.file();
        let mut files = vec![file.to_owned()];
        if document.image.is_some() {
            files.push(sidecar_path(file));
        }
        if let Some(document) = sink.saved() {
            self.files.note(id, file, document);
        }
        if let (Some(manifest), Some(path)) = (document.manifest, manifest) {
            let text = manifest.write().map_err(|error| failed("write", &path)(io::Error::other(error)))?;
            Durable::default().replace(&path, &text).map_err(failed("write", &path))?;
            bytes += text.len() as u64;
            files.push(path);
        }
        Ok(Saved { path, files, bytes, tokens, notes, timings: clock.stop() })
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
        let path = options.path.as_deref();
        let Written { document, tokens, bytes, notes } =
            self.write(id.as_ref(), sink, path, options.format, &mut clock)?;
        let path = path.map_or_else(|| Self::default_path(&document.session_id), Path::to_owned);
        Ok(Saved { path, files: Vec::new(), bytes, tokens, notes, timings: clock.stop() })
    }

    /// Writes a session into a place, under the name of a path in its manifest.
    fn write(
        &mut self,
        id: &str,
        sink: &mut dyn SessionSink,
        path: Option<&Path>,
        format: Option<FormatVersion>,
        clock: &mut Stopwatch,
    ) -> Result<Written, EngineError> {
        let asked = format;
        let format = format.unwrap_or(FormatVersion::CURRENT);
        let weights_hold = self.shared.holds(&self.identity);
        let noise = if weights_hold && format >= FormatVersion::V2_1 { self.noise_of(id)? } else { None };
        let session = self.session_mut(id)?;
        let keeps_kv = format >= FormatVersion::V2_0;
        let Taken { canary, image, written } =
            if keeps_kv && weights_hold { image::take(session, sink, clock)? } else { Taken::default() };
        let unproven = weights_hold && canary.is_none() && !session.timeline.tokens().is_empty();
        let left_out = [(!weights_hold, WEIGHTS_CHANGED), (unproven, UNPROVEN)];
        let left_out = left_out.into_iter().filter(|(holds, _)| keeps_kv && *holds);
        let mut remarks: Vec<String> = left_out.map(|(_, remark)| remark.to_owned()).collect();
        if let Some(ImageReference::Opaque(opaque)) = &image {
            remarks.push(opaque.remark());
        }
        let saved_at = passport::now();
        let passport = Passport { saved_at, ..session.passport.clone() };
        let named = path.map_or_else(|| Self::default_path(&session.id), Path::to_owned);
        let mut document = SessionDocument {
            session_id: session.id.clone(),
            saved_at: Some(saved_at),
            history: session.chat.messages().to_vec(),
            inputs: session.template.inputs(),
            manifest: Some(Manifest::of(&passport, &named)),
            parameters: Some(session.parameters.clone()),
            sampler: Some(SamplerState { seed: session.seed }),
            passport: Some(passport),
            noise: noise.filter(|_| canary.is_some()),
            canary,
            image,
        };
        let holding = document.version();
        let format = asked.unwrap_or(holding);
        if let Some(passport) = &mut document.passport {
            passport.format = format;
        }
        let encoded = write(&document, format)?;
        clock.lap("encode");
        let committed = sink.commit(&encoded.bytes, document.image.as_ref())?;
        clock.lap("commit");
        session.remember(document.image.as_ref());
        if let Some(remark) = &committed.remark {
            tracing::warn!(session = %session.id, %remark, "the session is saved");
            remarks.push(format!("The session is saved, but {remark}."));
        }
        Ok(Written {
            document,
            tokens: session.timeline.tokens().len(),
            bytes: written + committed.bytes,
            notes: [encoded.notes, remarks].concat(),
        })
    }
}

/// A session that is in its place.
struct Written {
    document: SessionDocument,
    tokens: usize,
    bytes: u64,
    notes: Vec<String>,
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
            let bytes = regular::read(path).map_err(failed("read", path))?;
            Manifest::read(&bytes).map(drop).map_err(|_| foreign().into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn failed<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> EngineError + use<'p> {
    move |cause| EngineError::Io { action, path: path.to_owned(), cause }
}
