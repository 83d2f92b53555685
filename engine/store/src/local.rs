//! A folder of this machine that others may write to. No link in it is followed, and only regular files are opened, listed
//! and removed: whatever else lies there was not put there by a store.
//!
//! Every name is looked up in the folder before it, which is held open, so that nobody can put a link in its place
//! meanwhile. The folder of the store itself may be a link: it is the user who names it.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path as FilePath, PathBuf};

use jiff::Timestamp;
use nix::unistd::{UnlinkatFlags, unlinkat};
use object_store::path::Path;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, statat};
use rustix::io::Errno;

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Folders in folders that are listed. A store has three, other things of this program a few more.
const DEEPEST: usize = 16;

/// A folder, and what is below.
#[derive(Clone, Debug)]
pub(crate) struct LocalFolder {
    root: PathBuf,
}

/// A regular file that was listed.
#[derive(Clone, Debug)]
pub(crate) struct LocalFile {
    pub(crate) location: Path,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
}

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<LocalFile>,
    /// Links, which were passed over.
    pub(crate) links: Vec<Path>,
}

/// Why something is not opened or removed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is nothing of that name.
    Missing,
    /// Something else than a folder or a regular file has the name, or a part of it.
    Irregular {
        part: String,
        what: &'static str,
    },
    Io(io::Error),
}

impl LocalFolder {
    pub(crate) fn new(root: &FilePath) -> Self {
        Self { root: root.to_owned() }
    }

    /// All regular files below a folder, and the links that were passed over. One that was never made is empty.
    pub(crate) fn list(&self, below: &Path) -> Result<Listing, Refused> {
        let mut listing = Listing::default();
        match self.enter(below) {
            Ok(folder) => list(folder, below, 0, &mut listing)?,
            Err(Refused::Missing) => {}
            Err(refused) => return Err(refused),
        }
        Ok(listing)
    }

    /// Opens a regular file; gives its length and time too.
    pub(crate) fn open(&self, path: &Path) -> Result<(File, LocalFile), Refused> {
        let (folder, name) = self.parent(path)?;
        // A pipe is not waited for, and then refused.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&folder, name.as_str(), flags, Mode::empty())
            .map_err(|errno| refused(&folder, &name, path, errno))?;
        let stat = fstat(&file).map_err(io)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((File::from(file), found(path.clone(), &stat))),
            kind => Err(Refused::Irregular { part: path.to_string(), what: kind_name(kind) }),
        }
    }

    /// The whole content of a regular file, if it has a length that `admits`.
    pub(crate) fn read<E: From<Refused>>(
        &self,
        path: &Path,
        admits: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let (file, found) = self.open(path)?;
        admits(found.bytes)?;
        let mut content = Vec::new();
        let length = usize::try_from(found.bytes).unwrap_or(usize::MAX);
        content.try_reserve_exact(length).map_err(|_| Refused::Io(io::ErrorKind::OutOfMemory.into()))?;
        file.take(found.bytes).read_to_end(&mut content).map_err(Refused::Io)?;
        if content.len() != length {
            return Err(Refused::Io(io::ErrorKind::UnexpectedEof.into()).into());
        }
        Ok(content)
    }

    /// Length and time of a regular file.
    pub(crate) fn look(&self, path: &Path) -> Result<LocalFile, Refused> {
        self.open(path).map(|(_, found)| found)
    }

    /// Removes what has that name, whatever it is, unless it is a folder; never what a link leads to.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Refused> {
        let (folder, name) = self.parent(path)?;
        // Through the C library: what changes files is seen, and made to fail, by the tests of crashes.
        unlinkat(&folder, name.as_str(), UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| refused(&folder, &name, path, Errno::from_raw_os_error(errno as i32)))
    }

    /// May a file of that name be written? Neither it nor a folder that it is in may be something else.
    pub(crate) fn admit(&self, path: &Path) -> Result<(), Refused> {
        match self.look(path) {
            Ok(_) | Err(Refused::Missing) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    fn parent(&self, path: &Path) -> Result<(OwnedFd, String), Refused> {
        let mut parts: Vec<_> = path.parts().collect();
        let name = parts.pop().ok_or(Refused::Missing)?.as_ref().to_owned();
        Ok((self.enter(&parts.into_iter().collect())?, name))
    }

    fn enter(&self, path: &Path) -> Result<OwnedFd, Refused> {
        let mut folder = open(&self.root, FOLDER, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => Refused::Missing,
            errno => io(errno),
        })?;
        let mut entered = Path::default();
        for part in path.parts() {
            entered = entered.join(part.clone());
            folder = openat(&folder, part.as_ref(), FOLDER | OFlags::NOFOLLOW, Mode::empty())
                .map_err(|errno| refused(&folder, part.as_ref(), &entered, errno))?;
        }
        Ok(folder)
    }
}

fn list(folder: OwnedFd, path: &Path, depth: usize, into: &mut Listing) -> Result<(), Refused> {
    let mut entries = Dir::new(folder).map_err(io)?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(io)?;
        // What no store can have called so is not a store's.
        names.extend(valid(entry.file_name()));
    }
    let folder = entries.fd().map_err(io)?;
    for name in names {
        let Ok(location) = Path::parse(format!("{path}/{name}")) else { continue };
        let stat = match statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It went meanwhile.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(io(errno)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => into.files.push(found(location, &stat)),
            FileType::Symlink => into.links.push(location),
            FileType::Directory if depth < DEEPEST => {
                match openat(folder, name.as_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(inner) => list(inner, &location, depth + 1, into)?,
                    // It went, or something else has come to be there.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(errno) => return Err(io(errno)),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A name that an object can have.
fn valid(name: &CStr) -> Option<String> {
    let name = name.to_str().ok()?;
    let is_one = Path::parse(name).is_ok_and(|path| path.as_ref() == name) && !is_on_its_way(name);
    is_one.then(|| name.to_owned())
}

/// Is it the name of a file that is being written? `object_store` puts `#` and a number behind the name that it will have.
fn is_on_its_way(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn found(location: Path, stat: &Stat) -> LocalFile {
    let modified = Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).unwrap_or_default());
    LocalFile {
        location,
        bytes: u64::try_from(stat.st_size).unwrap_or_default(),
        modified: modified.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn refused(folder: &OwnedFd, name: &str, path: &Path, errno: Errno) -> Refused {
    if errno == Errno::NOENT {
        return Refused::Missing;
    }
    let kind =
        statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match (errno, kind) {
        (Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO | Errno::PERM, Ok(kind))
            if kind != FileType::RegularFile || errno == Errno::NOTDIR =>
        {
            Refused::Irregular { part: path.to_string(), what: kind_name(kind) }
        }
        _ => io(errno),
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

fn io(errno: Errno) -> Refused {
    Refused::Io(errno.into())
}
