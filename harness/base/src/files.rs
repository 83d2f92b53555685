//! Files that are written whole: a reader finds what was there before or what is there now, and never a part of either.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use intact_format::image::Durable;
use intact_format::regular;
use tempfile::NamedTempFile;

/// Writes a file so that it is there whole or not at all: under a new name beside it, which nobody can foresee, and then
/// under its own. What was there keeps its permissions; a link stays one, and the file it leads to is written.
///
/// # Errors
/// Those of the system, and [`io::ErrorKind::InvalidInput`] where something else than a file has that name.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let path = target(path)?;
    match fs::symlink_metadata(&path) {
        Ok(there) if !there.is_file() => return Err(no_file(&path)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It is there by then. Not every file system can flush a folder, and that would be no reason to call it missing.
    let _unflushed = Durable::default().replace(&path, bytes.as_ref())?;
    Ok(())
}

/// The same, where what is there must be ours by what is in it. Something else is not replaced.
///
/// # Errors
/// As [`write_whole`], and [`io::ErrorKind::AlreadyExists`].
pub fn replace_own(
    path: &Path,
    bytes: impl AsRef<[u8]>,
    is_ours: impl FnOnce(&[u8]) -> bool,
) -> io::Result<()> {
    let there = match fs::metadata(path) {
        Ok(there) if there.is_file() => Some(regular::read(path)?),
        _ => None,
    };
    if there.is_some_and(|there| !is_ours(&there)) {
        let told = "it is there already, and intact has not made it; nothing is overwritten";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, told));
    }
    write_whole(path, bytes)
}

/// Whether bytes have a text in them.
pub fn contain(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Writes a file that gets its name when it is whole, in a folder that is made where there is none. A link of that name is
/// replaced, and what it leads to stays.
pub fn put(to: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(to);
    fs::create_dir_all(folder)?;
    let part = beside(folder)?;
    write(part.path())?;
    part.as_file().sync_all()?;
    part.persist(to)?;
    // It is there. Not every file system can flush a folder, and that would be no reason to call it missing.
    let _flushed = Durable::default().sync_folder_of(to);
    Ok(())
}

/// A new file in a folder, that nobody else can have made before.
fn beside(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".intact-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// The file that a lock is taken on. What is in it stays, whoever made it. No link is followed, and no pipe waited for.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_link());
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file(path)) }
}

/// Opens a file of ours for reading and writing, or makes it. What has that name and is no file that this name alone leads to
/// (a link, a pipe, a file with another name too) is somebody else's: it is removed, and what it leads to is not touched.
pub fn own_file(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_link());
    match fs::symlink_metadata(path) {
        Ok(there) if !is_alone(&there) => fs::remove_file(path)?,
        _ => {}
    }
    let file = options.open(path)?;
    if is_alone(&file.metadata()?) { Ok(file) } else { Err(no_file(path)) }
}

/// A link is not followed, and a pipe not waited for.
#[cfg(unix)]
fn no_link() -> i32 {
    use rustix::fs::OFlags;
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default()
}

/// Whether it is a file that no other name leads to.
fn is_alone(there: &fs::Metadata) -> bool {
    #[cfg(unix)]
    let names = std::os::unix::fs::MetadataExt::nlink(there);
    #[cfg(not(unix))]
    let names = 1;
    there.is_file() && names == 1
}

/// Where a path leads.
fn target(path: &Path) -> io::Result<PathBuf> {
    let is_link = path.symlink_metadata().is_ok_and(|there| there.is_symlink());
    if is_link { fs::canonicalize(path) } else { Ok(path.to_owned()) }
}

fn no_file(path: &Path) -> io::Error {
    let told = format!("{} is no file, and is not replaced by one", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, told)
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_keeps_its_mode_and_what_is_new_follows_the_mask() {
        let folder = tempfile::tempdir().expect("a folder");
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        fs::write(&old, "before").expect("written");
        fs::set_permissions(&old, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::write(folder.path().join("plain"), "").expect("written");
        for path in [&new, &old] {
            write_whole(path, "after").expect("written");
            assert_eq!(fs::read(path).expect("read"), b"after");
        }
        let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("there").permissions().mode();
        assert_eq!(mode("old") & 0o777, 0o600);
        assert_eq!(mode("new"), mode("plain"));
        assert_eq!(names(folder.path()), ["new", "old", "plain"], "nothing else is left");
    }

    #[test]
    fn a_link_stays_one_and_a_planted_one_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "before").expect("written");
        symlink("target", &link).expect("linked");
        // What a temporary file would once have been called.
        symlink("elsewhere", folder.path().join("link.part")).expect("linked");
        write_whole(&link, "after").expect("written");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(fs::read(&target).expect("read"), b"after");
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_of_ours_is_opened_and_what_a_link_of_its_name_leads_to_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        for plant in
            [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)]
        {
            fs::write(&theirs, "a diary").expect("written");
            plant(&theirs, &ours).expect("planted");
            let mut file = own_file(&ours).expect("opened");
            io::Write::write_all(&mut file, b"ours").expect("written");
            assert_eq!(fs::read(&theirs).expect("read"), b"a diary");
            assert_eq!(fs::read(&ours).expect("read"), b"ours");
            own_file(&ours).expect("opened again");
            assert_eq!(fs::read(&ours).expect("read"), b"ours", "what is there stays");
            fs::remove_file(&ours).expect("removed");
        }
        fs::create_dir(&ours).expect("made");
        own_file(&ours).expect_err("a folder");
    }

    #[test]
    fn only_what_is_ours_by_its_content_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let ours = |bytes: &[u8]| contain(bytes, "ours");
        for (there, replaced) in [(None, true), (Some("of ours, once"), true), (Some("a diary"), false)] {
            there.map_or(Ok(()), |there| fs::write(&path, there)).expect("written");
            let done = replace_own(&path, "ours now", ours).map_err(|error| error.kind());
            assert_eq!(done, if replaced { Ok(()) } else { Err(io::ErrorKind::AlreadyExists) });
        }
        assert_eq!(fs::read(&path).expect("read"), b"a diary");
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().join("there");
        fs::create_dir(&there).expect("made");
        let refused = write_whole(&there, "x").expect_err("a folder");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        write_whole(Path::new("/dev/null"), "x").expect_err("a device");
        assert_eq!(names(folder.path()), ["there"]);
    }

    #[test]
    fn the_file_of_a_lock_keeps_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        fs::write(&path, "somebody's").expect("written");
        lock_file(&path).expect("opened");
        assert_eq!(fs::read(&path).expect("read"), b"somebody's");
    }

    #[test]
    fn a_lock_is_taken_on_a_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, pipe, elsewhere) =
            (folder.path().join("link"), folder.path().join("pipe"), folder.path().join("elsewhere"));
        symlink(&elsewhere, &link).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        for path in [&link, &pipe, &folder.path().to_owned()] {
            lock_file(path).expect_err("no file");
        }
        assert!(!elsewhere.exists(), "nothing is made where a link leads");
    }
}
