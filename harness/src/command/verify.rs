//! `intact verify`: is a file whole? Hashes and bounds only; no model is needed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::foreign::{ForeignFile, ForeignKind};
use intact_format::gguf::Gguf;
use intact_format::identity::{IdentityError, model_files};
use intact_format::image::ImageReference;
use intact_format::image::sidecar::{self, Verification};
use intact_format::place::{SessionSource, find_sidecar};
use intact_format::regular;
use intact_format::version::FormatVersion;
use intact_seal::{BundleSource, Form, Origin};
use serde::Serialize;

use super::Failure;
use super::keys::KeyArguments;
use super::kind::Kind;
use super::stored::{Stored, form_name};
use super::table::plain;
use crate::exit::Exit;
use crate::quantity::counted;

/// Check that a session file and its image are whole: hashes and bounds only
///
/// Reads every byte and compares it with the hashes in the file. Whether the session fits a model is another
/// question: `intact check` answers it. Ends with exit code 0 if all is well, 100 if something is damaged or missing.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The session file, or an image or state file alone
    file: PathBuf,

    #[command(flatten)]
    keys: KeyArguments,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was checked.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was checked.
    what: &'static str,
    /// Whether it is whole.
    whole: bool,
    /// In words.
    message: String,
}

impl Finding {
    fn whole(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, whole: true, message: message.into() }
    }

    fn damaged(what: &'static str, message: &dyn Display) -> Self {
        Self { what, whole: false, message: message.to_string() }
    }
}

impl Verify {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let file = &self.file;
        let findings = match Kind::of(file)? {
            Kind::Session => session_file(file, &self.keys)?,
            Kind::Sidecar => vec![image(file, None)],
            Kind::Foreign(_) => vec![foreign(file)?],
            Kind::Model => vec![model(file)],
            Kind::Bundle => bundle(file, &self.keys)?,
        };
        let whole = findings.iter().all(|finding| finding.whole);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&findings).map_err(Failure::setup)?);
        } else {
            for finding in &findings {
                let mark = if finding.whole { "ok     " } else { "damaged" };
                println!("{mark}  {}: {}", finding.what, plain(&finding.message));
            }
        }
        Ok(if whole { Exit::Fine } else { Exit::GateFailed })
    }
}

fn session_file(file: &Path, keys: &KeyArguments) -> Result<Vec<Finding>, Failure> {
    Ok(session(Stored::open(file, keys)?, "", Some(&find_sidecar(file))))
}

/// A bundle, as what is in it: nothing is unpacked.
fn bundle(file: &Path, keys: &KeyArguments) -> Result<Vec<Finding>, Failure> {
    match BundleSource::open(file) {
        Ok(place) => Ok(session(Stored::within(file, place, keys)?, "in a bundle, ", None)),
        Err(error) => Ok(vec![Finding::damaged("bundle", &error)]),
    }
}

/// A session, where it is, and the image file beside it, which has more to tell where it is plain.
fn session<S: SessionSource>(mut stored: Stored<S>, place: &str, sidecar: Option<&Path>) -> Vec<Finding> {
    let read = match stored.read() {
        Ok(read) => read,
        Err(error) => return vec![Finding::damaged("document", &error)],
    };
    let vouched = if read.written_as >= FormatVersion::V2_0 {
        "its digest is right"
    } else {
        "this format has no digest, so only its form was checked"
    };
    let form = match stored.form() {
        Form::Plain => String::new(),
        form => format!("{}, ", form_name(form)),
    };
    let document = Finding::whole("document", format!("{place}{form}format {}, {vouched}", read.written_as));
    let image = read.document.image.as_ref().map(|reference| match (stored.form(), sidecar) {
        (Form::Plain, Some(sidecar)) => image(sidecar, Some(reference)),
        _ => opened_image(&mut stored, reference),
    });
    [document].into_iter().chain(origin(&stored)).chain(image).collect()
}

/// Who can have written it, where that is a question.
fn origin<S: SessionSource>(stored: &Stored<S>) -> Option<Finding> {
    let message = match stored.origin() {
        Origin::Signed(author) => format!("signed by {author}"),
        Origin::Passphrase => "not signed: whoever knows the passphrase can have sealed it".into(),
        Origin::Anybody => "not signed: whoever has the public key can have sealed it".into(),
        Origin::Unsealed => return stored.warning.map(|text| Finding::whole("origin", text)),
    };
    Some(Finding::whole("origin", message))
}

/// An image whose chunks are stored in another form: each is opened, and hashed as what it was.
fn opened_image<S: SessionSource>(stored: &mut Stored<S>, reference: &ImageReference) -> Finding {
    let opened = stored.chunks(reference).and_then(|mut chunks| {
        chunks.try_fold((0, 0), |(count, bytes), chunk| Ok((count + 1, bytes + chunk?.payload().len())))
    });
    match opened {
        Ok((count, bytes)) => Finding::whole(
            "image",
            format!("{}, {bytes} bytes, all open and every hash is right", counted(count, "chunk", "chunks")),
        ),
        Err(error) => Finding::damaged("image", &error),
    }
}

fn image(file: &Path, reference: Option<&ImageReference>) -> Finding {
    match sidecar::verify(file, reference) {
        Ok(found) if found.is_sound() => Finding::whole("image", sound(&found)),
        Ok(found) => Finding::damaged("image", &problems(&found)),
        Err(error) => Finding::damaged("image", &error),
    }
}

fn sound(found: &Verification) -> String {
    let mut words =
        format!("{}, {} bytes, every hash is right", counted(found.frames, "chunk", "chunks"), found.bytes);
    if !found.damage.is_empty() {
        words += "; an unfinished save at the end does no harm";
    }
    words
}

fn problems(found: &Verification) -> String {
    let mut problems = Vec::new();
    if let Some(first) = found.damaged.first() {
        problems.push(format!(
            "{} damaged, the first is {first}",
            counted(found.damaged.len(), "chunk is", "chunks are")
        ));
    }
    if let Some(first) = found.missing.first() {
        problems.push(format!(
            "{} missing, the first is {first}",
            counted(found.missing.len(), "chunk is", "chunks are")
        ));
    }
    for gap in found.damage.iter().filter(|gap| !gap.torn_tail) {
        problems.push(format!("bytes {}..{} belong to no chunk", gap.bytes.start, gap.bytes.end));
    }
    problems.join("; ")
}

fn foreign(file: &Path) -> Result<Finding, Failure> {
    const WHAT: &str = "state file of llama.cpp";
    let content = regular::read(file).map_err(|error| Failure::unreadable(file, &error))?;
    let read = match ForeignFile::read(&content) {
        Ok(read) => read,
        Err(error) => return Ok(Finding::damaged(WHAT, &error)),
    };
    let unvouched = "it has no checksum, so its content cannot be verified";
    Ok(match read.kind {
        ForeignKind::SessionFile => Finding::whole(WHAT, format!("its head is well formed; {unvouched}")),
        ForeignKind::SequenceFile if read.fits().is_empty() => Finding::damaged(
            WHAT,
            &"its bytes fit no layout that is known: truncated, damaged, or of another release",
        ),
        ForeignKind::SequenceFile => {
            Finding::whole(WHAT, format!("it is whole to its last byte; {unvouched}"))
        }
    })
}

/// A model, with its other files where it lies in several. A later one of them is looked at alone.
fn model(file: &Path) -> Finding {
    let files = match model_files(file) {
        Ok(files) => files.len(),
        Err(IdentityError::OtherPart { .. }) => 1,
        Err(error) => return Finding::damaged("model", &error),
    };
    let gguf = match Gguf::open(file).and_then(|gguf| gguf.check_extent().map(|()| gguf)) {
        Ok(gguf) => gguf,
        Err(error) => return Finding::damaged("model", &error),
    };
    let parts = if files > 1 { format!("in {files} files that are all here, ") } else { String::new() };
    let tensors = gguf.tensors.len();
    Finding::whole("model", format!("its head is well formed, {parts}{tensors} tensors, none is cut off"))
}
