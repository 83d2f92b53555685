//! Where a session file may be written: names that work, and what may be replaced.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{PlaceError, SIDECAR_EXTENSION, sidecar_path};
use crate::digest::Digest;
use crate::image::locked;
use crate::image::sidecar::SIDECAR_MAGIC;
use crate::manifest::Manifest;
use crate::regular::{self, kind_of};
use crate::route::RefusalCode;
use crate::session::SEALED;
use crate::session_id::SessionId;
use crate::text::without_byte_order_mark;

/// Most bytes of a name in a folder, on every file system in common use.
const LONGEST_NAME: usize = 255;
/// The first bytes of a session that is compressed, or sealed under its encryption.
const ENVELOPE: &[u8] = b"{\"IntactEnvelope\":";

/// What a save may take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Nothing: there must be no file of that name.
    Nothing,
    /// The session file with these bytes, which the caller has loaded or saved; or nothing, if that is gone.
    Document(Digest),
    /// Whatever session is there. Never something else.
    Session,
}

/// Why no session can be saved under a name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// No file can have that name, here or wherever the session goes.
    #[error("{}: no session can be saved under that name: {why}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something else than a file has it.
    #[error("{}: no session can be saved there: it is {what}", path.display())]
    Special {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There is a file that is no session.
    #[error("{}: it is there and is not a session file, so it is not replaced", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is a session that the caller has not seen.
    #[error("{}: it is there already, and was neither loaded nor saved here before", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// There is another session than the caller has seen.
    #[error("{}: it is not what was loaded or saved here before: somebody else has saved to it since", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: cannot {what}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The reason.
        cause: io::Error,
    },
}

impl OutputError {
    /// The stable name of the reason; none where the file system failed.
    #[must_use]
    pub const fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Name { .. } | Self::Special { .. } => Some(RefusalCode::FileNameUnusable),
            Self::Foreign { .. } => Some(RefusalCode::FileForeign),
            Self::Unknown { .. } => Some(RefusalCode::FileExists),
            Self::Changed { .. } => Some(RefusalCode::FileChanged),
            Self::Io { .. } => None,
        }
    }

    fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, what, cause }
    }
}

impl From<OutputError> for PlaceError {
    fn from(error: OutputError) -> Self {
        Self::new(error.code(), error)
    }
}

/// The file that a save to `path` writes: `path` itself, or what it is a link to. Looks at names and kinds of files only;
/// nothing is opened.
///
/// # Errors
/// When no session can be saved there, whatever is in the file.
pub fn output(path: &Path) -> Result<PathBuf, OutputError> {
    let file = resolved(path)?;
    let image = sidecar_path(&file);
    for path in [&file, &image] {
        if let Some(why) = path.file_name().and_then(fault_of) {
            return Err(OutputError::Name { path: file.clone(), why });
        }
    }
    if let Some(why) = not_for_documents(&file) {
        return Err(OutputError::Name { path: file, why });
    }
    for path in [&file, &image] {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(OutputError::Special { path: path.clone(), what: kind_of(&found) });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OutputError::io(path, "look at it")(error));
            }
            _ => {}
        }
    }
    Ok(file)
}

/// May a save take the place of what is at `path` now? Gives the file that it would write.
///
/// # Errors
/// When it may not. Nothing was touched.
pub fn admit(path: &Path, replaces: Replaces) -> Result<PathBuf, OutputError> {
    let file = output(path)?;
    claim(&file, replaces)?;
    Ok(file)
}

/// Where a link leads; every other path as it is.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, OutputError> {
    if path.file_name().is_none() {
        let why = "it names no file".to_owned();
        return Err(OutputError::Name { path: path.to_owned(), why });
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => match fs::canonicalize(path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OutputError::Special {
                path: path.to_owned(),
                what: "a link to a file that is not there",
            }),
            Err(error) => Err(OutputError::io(path, "follow the link")(error)),
        },
        _ => Ok(path.to_owned()),
    }
}

/// Looks at what is under the name now, and holds it, so that nobody who asks alike replaces it meanwhile. None where
/// nothing is.
pub(super) fn claim(path: &Path, replaces: Replaces) -> Result<Option<File>, OutputError> {
    let found = locked(path, OpenOptions::new().read(true)).map_err(OutputError::io(path, "lock it"))?;
    let Some(mut file) = found else { return Ok(None) };
    let unreadable = || OutputError::io(path, "read it");
    let is_ours = match replaces {
        Replaces::Nothing => false,
        Replaces::Document(known) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&mut file).map_err(unreadable())?;
            if Digest::from(hasher.finalize()) == known {
                return Ok(Some(file));
            }
            true
        }
        Replaces::Session => true,
    };
    file.seek(SeekFrom::Start(0)).map_err(unreadable())?;
    let path = || path.to_owned();
    if !is_session(&file, &sidecar_path(&path())).map_err(unreadable())? {
        return Err(OutputError::Foreign { path: path() });
    }
    match replaces {
        Replaces::Session => Ok(Some(file)),
        _ if is_ours => Err(OutputError::Changed { path: path() }),
        _ => Err(OutputError::Unknown { path: path() }),
    }
}

/// Is this a session of ours, of whatever version and form? A file without anything in it may become one.
fn is_session(file: &File, image: &Path) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "FormatVersion")]
        _version: IgnoredAny,
        #[serde(rename = "SessionId")]
        _session: IgnoredAny,
    }

    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start)?;
    let text = without_byte_order_mark(&start).trim_ascii_start();
    if start.is_empty() || start.starts_with(ENVELOPE) {
        return Ok(true);
    }
    if start.starts_with(SEALED) {
        // Others use age too. What is sealed here has its image beside it.
        return begins_with(image, &SIDECAR_MAGIC);
    }
    if !text.starts_with(b"{") {
        return Ok(false);
    }
    let mut rest = BufReader::new(file);
    rest.seek(SeekFrom::Start((start.len() - text.len()) as u64))?;
    match serde_json::from_reader::<_, Document>(rest) {
        Ok(_) => Ok(true),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Is there a regular file that begins so?
pub(super) fn begins_with(path: &Path, magic: &[u8]) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut start = Vec::new();
    regular::open(path)?.take(magic.len() as u64).read_to_end(&mut start)?;
    Ok(start == magic)
}

/// Why no file can have this name.
fn fault_of(name: &OsStr) -> Option<String> {
    let bytes = name.as_encoded_bytes();
    if bytes.len() > LONGEST_NAME {
        return Some(format!(
            "it or the name of its image has {} bytes, and {LONGEST_NAME} are possible",
            bytes.len()
        ));
    }
    if cfg!(windows) {
        // A drive letter or a stream would be meant by what is fine elsewhere.
        return name.to_str().and_then(SessionId::unportable).map(|error| error.to_string());
    }
    None
}

/// Why no session file can have this name, which other files have.
fn not_for_documents(file: &Path) -> Option<String> {
    let is_image = file.extension().is_some_and(|it| it.eq_ignore_ascii_case(SIDECAR_EXTENSION));
    if is_image {
        return Some(format!("files in .{SIDECAR_EXTENSION} are the images beside session files"));
    }
    let is_manifest = file.file_name().is_some_and(|name| name == Manifest::FILE_NAME);
    is_manifest.then(|| "it is the name of the manifest beside session files".to_owned())
}
