//! Regular files, which are all that is read: a pipe would be waited for, a device may do something, and neither ends.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens a file to be read.
///
/// # Errors
/// Those of the system, and [`io::ErrorKind::InvalidInput`] for what is no regular file, which is not waited for.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    // Opening a device can be enough to make it do something.
    refused(&std::fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // What has the name now may be a pipe.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = options.open(path)?;
    refused(&file.metadata()?)?;
    Ok(file)
}

/// Reads a file, and no more of it than it was long when it was opened, unless it does not tell its length.
///
/// # Errors
/// As [`open`], and [`io::ErrorKind::OutOfMemory`] for one that is longer than what can be held.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let mut content = room(length)?;
    // Files of the system's own, below /proc, are of length 0 and have content.
    let limit = if length == 0 { UNTOLD } else { length };
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Memory for so many bytes.
fn room(bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    content.try_reserve_exact(usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?)?;
    Ok(content)
}

/// What is read of a file that does not tell its length.
const UNTOLD: u64 = 64 << 20;

/// Reads a text.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::InvalidData`] for what is no UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text: not all of it is UTF-8"))
}

fn refused(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}", kind_of(found))))
}

/// What has a name, in words.
#[must_use]
pub fn kind_of(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let special = [
            (kind.is_fifo(), "a named pipe"),
            (kind.is_socket(), "a socket"),
            (kind.is_block_device() || kind.is_char_device(), "a device"),
        ];
        if let Some((_, name)) = special.into_iter().find(|(is_one, _)| *is_one) {
            return name;
        }
    }
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "no regular file"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        for (path, kind) in [
            (pipe.as_path(), "a named pipe"),
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "a folder"),
        ] {
            let error = read(path).expect_err(kind);
            assert_eq!(
                (error.kind(), error.to_string()),
                (io::ErrorKind::InvalidInput, format!("it is {kind}"))
            );
            assert!(open(path).is_err() && read_text(path).is_err(), "{kind}");
        }
    }

    #[test]
    fn files_are_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        for content in [&b""[..], b"a text", &[0xff; 70_000]] {
            std::fs::write(&file, content).expect("written");
            assert_eq!(read(&file).expect("read"), content);
            assert_eq!(read_text(&file).ok().as_deref(), std::str::from_utf8(content).ok());
        }
        assert_eq!(read(folder.path().join("none")).expect_err("none").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_longer_than_memory_is_refused_before_anything_is_read() {
        assert_eq!(room(1 << 62).expect_err("too long").kind(), io::ErrorKind::OutOfMemory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_without_a_length_are_read_too() {
        assert!(read_text(Path::new("/proc/self/status")).expect("read").contains("Name:"));
    }
}
