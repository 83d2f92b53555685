//! `intact pack` and `intact unpack`: a session and its KV image in one file, to be handed on.

use std::path::PathBuf;

use clap::Args;
use intact_format::image::sidecar::Sidecar;
use intact_format::image::{Durable, ImageReference};
use intact_format::place::{FileSink, FileSource, Replaces, SessionSource, copy, find_sidecar, output};
use intact_format::session;
use intact_format::version::FormatVersion;
use intact_seal::{BundleSink, BundleSource, Form};

use super::Failure;
use super::seal::free;
use super::stored::{beside, not_written, refused, tell};
use crate::exit::Exit;

/// Put a session file and its KV image into one file
///
/// Only what the session needs goes in, verified: what it has forgotten stays behind. A sealed session stays sealed, and
/// needs no key. The bundle is a tar archive.
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// The session file
    file: PathBuf,

    /// The bundle [default: NAME.intact beside it]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Take a session out of a bundle
#[derive(Debug, Args)]
pub(super) struct Unpack {
    /// The bundle
    file: PathBuf,

    /// The session file [default: NAME.json beside it]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Pack {
    pub(super) fn carry_out(&self) -> Result<Exit, Failure> {
        let failed = |error| refused(&self.file, &error);
        let out = self.out.clone().unwrap_or_else(|| beside(&self.file, ".intact"));
        output(&out).map_err(|error| not_written(&error, ""))?;
        Failure::unless_free(&[&out])?;
        let mut source = FileSource::new(&self.file);
        let document = source.document().map_err(failed)?;
        let image = match Form::of(&document) {
            Form::Plain => {
                session::read(&document, FormatVersion::CURRENT)
                    .map_err(|error| Failure::setup(format!("{}: {error}", self.file.display())))?
                    .document
                    .image
            }
            // Which of its chunks it needs cannot be seen from outside.
            Form::Wrapped | Form::Sealed => self.everything()?,
        };
        let mut sink = BundleSink::create(&out).map_err(failed)?;
        let committed = copy(&mut source, &document, image.as_ref(), &mut sink).map_err(failed)?;
        tell(committed.remark.as_deref());
        println!("{}", out.display());
        Ok(Exit::Fine)
    }

    fn everything(&self) -> Result<Option<ImageReference>, Failure> {
        let path = find_sidecar(&self.file);
        if !path.exists() {
            return Ok(None);
        }
        let sidecar = Sidecar::open(&path).map_err(Failure::setup)?;
        let chunks = sidecar.frames().iter().map(|frame| (frame.id, frame.bytes));
        Ok(Some(ImageReference::opaque(chunks, "as it is stored")))
    }
}

impl Unpack {
    pub(super) fn carry_out(&self) -> Result<Exit, Failure> {
        let failed = |error| refused(&self.file, &error);
        let beside = self.file.with_extension("json");
        let out = free(&self.file, Some(self.out.as_deref().unwrap_or(&beside)), "")?;
        let mut source = BundleSource::open(&self.file).map_err(failed)?;
        let document = source.document().map_err(failed)?;
        if Form::of(&document) == Form::Plain {
            session::read(&document, FormatVersion::CURRENT)
                .map_err(|error| Failure::setup(format!("{}: {error}", self.file.display())))?;
        }
        let image = Some(source.image()).filter(|image| image.chunk_ids().next().is_some());
        let mut sink = FileSink::new(&out, Replaces::Nothing, Durable::default());
        let committed = copy(&mut source, &document, image.as_ref(), &mut sink).map_err(failed)?;
        tell(committed.remark.as_deref());
        println!("{}", out.display());
        Ok(Exit::Fine)
    }
}
