//! A session file as it is stored: plain, compressed or sealed, opened with the keys that were given.

use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use intact_format::image::{Chunk, ImageReference};
use intact_format::place::{
    FileSource, OutputError, PlaceError, SessionSource, output, read_chunk, sidecar_path,
};
use intact_format::regular;
use intact_format::route::RefusalCode;
use intact_format::session;
use intact_format::version::FormatVersion;
use intact_seal::{Form, Origin, SealedSource};

use super::Failure;
use super::keys::KeyArguments;
use super::table::plain;

/// Bytes at the start of a document that tell its form.
const FORM: u64 = 64;

/// A session file that was opened.
pub(super) struct Stored<S = FileSource> {
    /// The session's document.
    pub(super) document: Vec<u8>,
    /// Where its chunks are.
    pub(super) source: SealedSource<S>,
    /// What is to be known before it is believed. It was said on standard error.
    pub(super) warning: Option<&'static str>,
}

impl Stored {
    /// Opens a session file of any form.
    pub(super) fn open(file: &Path, keys: &KeyArguments) -> Result<Self, Failure> {
        Self::within(file, FileSource::new(file), keys)
    }
}

impl<S: SessionSource> Stored<S> {
    /// Opens the session that a file holds in this place.
    pub(super) fn within(file: &Path, place: S, keys: &KeyArguments) -> Result<Self, Failure> {
        let failed = |error: PlaceError| refused(file, &error);
        let mut source = SealedSource::open(place, &keys.keys()?, keys.sealed).map_err(failed)?;
        let document = source.document().map_err(failed)?;
        let warning = warning(source.origin(), keys.are_given());
        if let Some(warning) = warning {
            eprintln!("note: {}: {warning}", plain(&file.display().to_string()));
        }
        Ok(Self { document, source, warning })
    }

    /// In which form the file is.
    pub(super) fn form(&self) -> Form {
        self.source.form()
    }

    /// Who can have written it.
    pub(super) fn origin(&self) -> Origin {
        self.source.origin()
    }

    /// What the document says.
    pub(super) fn read(&self) -> Result<session::Read, session::ReadError> {
        session::read(&self.document, FormatVersion::CURRENT)
    }

    /// The chunks of its image, each once, hashed.
    pub(super) fn chunks(
        &mut self,
        image: &ImageReference,
    ) -> Result<impl Iterator<Item = Result<Chunk<'static>, PlaceError>>, PlaceError> {
        self.source.locate(image)?;
        let source = &self.source;
        Ok(image.distinct_chunks().map(move |(id, bytes)| read_chunk(source, id, bytes)))
    }
}

/// A form in a word.
pub(super) const fn form_name(form: Form) -> &'static str {
    match form {
        Form::Plain => "plain",
        Form::Wrapped => "compressed",
        Form::Sealed => "sealed",
    }
}

/// What is to be known of a session that may be somebody else's, where keys were given or not.
pub(super) fn warning(origin: Origin, keys_given: bool) -> Option<&'static str> {
    match origin {
        Origin::Signed(_) | Origin::Passphrase => None,
        Origin::Anybody => Some(
            "it is not signed: whoever has the public key can have sealed it; --trusted accepts signed sessions only",
        ),
        Origin::Unsealed if keys_given => Some(
            "it is not sealed, although a key was given: whoever can write the file can have written it; --sealed refuses it",
        ),
        Origin::Unsealed => None,
    }
}

/// A plain session is not written over a sealed one, where nobody would notice, nor a sealed one over a plain one, whose
/// chunks would stay readable in the image beside it.
pub(super) fn unless_mixed(file: &Path, sealing: bool) -> Result<(), Failure> {
    let mut start = Vec::new();
    let found = match regular::open(file).and_then(|file| file.take(FORM).read_to_end(&mut start)) {
        Ok(_) => Some(Form::of(&start) == Form::Sealed),
        Err(_) if sealing && sidecar_path(file).exists() => Some(false),
        Err(_) => None,
    };
    let name = file.display();
    match found {
        Some(true) if !sealing => Err(Failure::setup(format!("{name} is sealed, and this session is not"))
            .help("name another file; `intact chat --sealed` saves sealed, `intact seal FILE` makes a sealed file of a plain one")),
        Some(false) if sealing => Err(Failure::setup(format!("{name} is there and not sealed, and this session is"))
            .help("name another file; what was plain would stay readable in the image beside it")),
        _ => Ok(()),
    }
}

/// Says on standard error what did not work after a session was saved.
pub(super) fn tell(remark: Option<&str>) {
    if let Some(remark) = remark {
        eprintln!("note: {}", plain(remark));
    }
}

/// A session file that may not be written, with the option that lets it, where there is one.
pub(super) fn not_written(error: &OutputError, flag: &str) -> Failure {
    let failure = Failure::setup(error);
    match error.code() {
        Some(RefusalCode::FileExists | RefusalCode::FileChanged) => failure.help(flag),
        Some(code) => failure.help(code.next_step()),
        None => failure,
    }
}

/// A new session file can be written there: neither it nor its image is there.
pub(super) fn unless_taken(out: &Path) -> Result<(), Failure> {
    let file = output(out).map_err(|error| not_written(&error, ""))?;
    Failure::unless_free(&[out, &sidecar_path(&file)])
}

/// The name of a file beside `file`: its own without `.json`, and what is put behind.
pub(super) fn beside(file: &Path, behind: &str) -> PathBuf {
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let stem = if is_json { file.file_stem() } else { file.file_name() };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(behind);
    file.with_file_name(name)
}

/// A place's failure with a file, with what to do about it.
pub(super) fn refused(file: &Path, error: &PlaceError) -> Failure {
    denied(file.display(), error)
}

/// A place's failure with what is called so there, with what to do about it.
pub(super) fn denied(name: impl Display, error: &PlaceError) -> Failure {
    let (name, said) = (name.to_string(), error.to_string());
    let (what, hint) = said.split_once('\n').map_or((said.as_str(), None), |(what, hint)| (what, Some(hint)));
    let failure =
        Failure::setup(if what.contains(&name) { what.to_owned() } else { format!("{name}: {what}") });
    match hint.or(error.code.map(RefusalCode::next_step)) {
        Some(help) => failure.help(help),
        None => failure,
    }
}
