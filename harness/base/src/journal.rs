//! Journals: values as JSON, one a line, that are only appended to. One process at a time writes; a process that is killed,
//! or a machine that loses power, leaves an end that was not written in full at worst, which readers pass over and the next
//! writer cuts off.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use intact_format::regular;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A journal, open for appending.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    values: PhantomData<fn(T)>,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of its lines is not what it should be.
    #[error("{path} cannot be read: line {line}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Another process writes it.
    #[error("{path} is in use by another process", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// How often a lock is tried, and how long between. A process that another thread is starting has every open file for a
/// moment, also one that was closed.
const ATTEMPTS: u32 = 50;
const REST: Duration = Duration::from_millis(10);

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens a journal behind its last whole line, alone; makes it where there is none.
    ///
    /// # Errors
    /// [`JournalError::Busy`] and [`JournalError::Io`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let at = at(path);
        other_than_file(path).map_err(&at)?;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = file.map_err(&at)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(&at)?;
        let whole = whole(&bytes);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(&at)?;
        }
        file.seek(SeekFrom::Start(whole as u64)).map_err(&at)?;
        Ok(Self { path: path.to_owned(), file, values: PhantomData })
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn clear(&mut self) -> Result<(), JournalError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map(|_| ()).map_err(at(&self.path))
    }

    /// Appends a value, as a whole line in one write. Where that fails, nothing of it stays.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, value: &T) -> Result<(), JournalError> {
        let end = self.file.stream_position().map_err(at(&self.path))?;
        let appended = serde_json::to_vec(value).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        appended.map_err(|error| {
            // A disk that was full for a moment must not leave half a line before the next one.
            let _undone = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
            at(&self.path)(error)
        })
    }

    /// Every whole line of a journal. One that is not there has none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(path: &Path) -> Result<Vec<T>, JournalError> {
        let bytes = match regular::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(path)(error)),
        };
        let lines = bytes[..whole(&bytes)].split_inclusive(|byte| *byte == b'\n');
        let parse = |(index, line): (usize, &[u8])| {
            serde_json::from_slice(line).map_err(|error| JournalError::Malformed {
                path: path.to_owned(),
                line: index + 1,
                reason: error.to_string(),
            })
        };
        lines.enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()).map(parse).collect()
    }
}

/// Bytes up to the end of the last line that was written in full. What a machine that lost power had not written is not
/// there, or is zeros; no line of ours has any.
fn whole(bytes: &[u8]) -> usize {
    let written = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(REST),
            locked => return locked,
        }
    }
    file.try_lock()
}

/// A pipe or a device would be waited for.
fn other_than_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = Journal<String>;

    fn journal() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words.jsonl");
        (folder, path)
    }

    fn append(path: &Path, word: &str) {
        Words::open(path).expect("a journal").append(&word.to_owned()).expect("appended");
    }

    #[test]
    fn wherever_a_write_was_torn_the_end_is_passed_over_and_then_cut_off() {
        let (_folder, path) = journal();
        append(&path, "first");
        // Cut inside characters of several bytes too.
        let line = "\"d\u{e9}j\u{e0} vu \u{1f642}\"\n".as_bytes();
        for torn in 0..line.len() {
            for zeros in [0, 7] {
                let lost = vec![0; zeros];
                let bytes = [b"\"first\"\n".as_slice(), &line[..torn], &lost].concat();
                fs::write(&path, bytes).expect("written");
                assert_eq!(Words::read(&path).expect("read"), ["first"], "torn at {torn}");
                append(&path, "second");
                assert_eq!(Words::read(&path).expect("read"), ["first", "second"], "torn at {torn}");
            }
        }
    }

    #[test]
    fn a_line_that_power_took_ends_the_journal_whatever_came_behind_it() {
        let (_folder, path) = journal();
        fs::write(&path, b"\"first\"\n\0\0\0\0\0\0\0\0\0\"third\"\n").expect("written");
        assert_eq!(Words::read(&path).expect("read"), ["first"]);
        append(&path, "second");
        assert_eq!(fs::read(&path).expect("read"), b"\"first\"\n\"second\"\n");
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let (_folder, path) = journal();
        fs::write(&path, "\"first\"\n{\n\"third\"\n").expect("written");
        let error = Words::read(&path).expect_err("broken").to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_a_journal_what_is_appended_comes_behind_it(
            lines in proptest::collection::vec("\"[a-z\u{e9}]{0,3}\"\n|[\0-\u{ff}]{0,6}|\n", 0..6),
            torn in 0..8_usize,
        ) {
            let (_folder, path) = journal();
            let text = lines.concat();
            let bytes = &text.as_bytes()[..text.len().saturating_sub(torn)];
            fs::write(&path, bytes).expect("written");
            let before = Words::read(&path);
            append(&path, "last");
            let kept = fs::read(&path).expect("read");
            proptest::prop_assert!(kept.strip_suffix(b"\"last\"\n").is_some_and(|kept| bytes.starts_with(kept)));
            match (before, Words::read(&path)) {
                (Ok(mut words), Ok(after)) => {
                    words.push("last".into());
                    proptest::prop_assert_eq!(words, after);
                }
                (Err(before), Err(after)) => proptest::prop_assert_eq!(before.to_string(), after.to_string()),
                (before, after) => proptest::prop_assert!(false, "{:?} became {:?}", before, after),
            }
        }
    }

    #[test]
    fn one_writes_at_a_time() {
        let (_folder, path) = journal();
        let first = Words::open(&path).expect("a journal");
        assert!(matches!(Words::open(&path), Err(JournalError::Busy { .. })));
        drop(first);
        assert!(Words::open(&path).is_ok());
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(Words::open(folder.path()), Err(JournalError::Io { .. })));
        assert!(matches!(Words::read(folder.path()), Err(JournalError::Io { .. })));
    }
}
