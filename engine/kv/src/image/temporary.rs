//! New files on their way to their names.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Durable, Onto, is_current};

/// How often a name is tried that somebody has.
const TRIES: u32 = 100;
const START: &str = ".intact-";
const END: &str = ".tmp";

/// A file beside the one whose name it is to have. Its own name is random, is made where nothing was, and follows no link;
/// it goes when this is dropped, unless the process ends first. It is locked as long as it is open, so that
/// [`sweep`] can tell it from one that a dead process left.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    durable: Durable,
    is_placed: bool,
}

impl Temporary {
    /// A new, locked file for what is to be at `target`, with these permissions, or those that new files have.
    pub(crate) fn create(
        target: &Path,
        permissions: Option<&Permissions>,
        durable: &Durable,
    ) -> io::Result<(File, Self)> {
        let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let random = RandomState::new().hash_one(target);
            let path = target.with_file_name(format!("{}{random:016x}{END}", start_of(target)));
            match durable.create(&path, permissions) {
                Ok(file) => {
                    let temporary = Self { path, durable: durable.clone(), is_placed: false };
                    file.lock()?;
                    // Somebody may have taken it for something that was left behind before it was locked.
                    if is_current(&file, &temporary.path)? {
                        return Ok((file, temporary));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    pub(super) fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Gives it its name.
    pub(crate) fn put_at(&mut self, target: &Path, onto: Onto) -> io::Result<()> {
        match onto {
            Onto::Anything => self.durable.rename(&self.path, target)?,
            Onto::Nothing => self.durable.rename_new(&self.path, target)?,
        }
        self.is_placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_placed {
            self.durable.discard(&self.path);
        }
    }
}

/// Removes the temporary files for any of `targets`, which are in one folder, that dead processes left. What cannot be
/// removed stays, and does no harm.
pub fn sweep(targets: [&Path; 2], durable: &Durable) {
    let starts = targets.map(start_of);
    let folder = targets[0].parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or_else(|| Path::new("."))) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            let random = starts.iter().find_map(|start| name.strip_prefix(start.as_str())?.strip_suffix(END));
            random.is_some_and(|random| {
                random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        });
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        // Who lives holds a lock on its own.
        if let Ok(file) = OpenOptions::new().read(true).open(&path)
            && file.try_lock().is_ok()
        {
            durable.discard(&path);
        }
    }
}

/// What the names of all temporary files for one target begin with.
fn start_of(target: &Path) -> String {
    let name = target.file_name().map_or(&b""[..], OsStr::as_encoded_bytes);
    format!("{START}{:.16}-", blake3::hash(name).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn one_that_is_dropped_goes_and_one_that_is_placed_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.json");
        let durable = Durable::default();
        drop(Temporary::create(&target, None, &durable).expect("made"));
        assert!(names(folder.path()).is_empty());
        let (_file, mut temporary) = Temporary::create(&target, None, &durable).expect("made");
        temporary.put_at(&target, Onto::Nothing).expect("placed");
        drop(temporary);
        let (_file, mut second) = Temporary::create(&target, None, &durable).expect("made");
        let error = second.put_at(&target, Onto::Nothing).expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        second.put_at(&target, Onto::Anything).expect("placed over it");
        drop(second);
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, other) = (folder.path().join("a.json"), folder.path().join("b.json"));
        let durable = Durable::default();
        let (living, live) = Temporary::create(&target, None, &durable).expect("made");
        let left = folder.path().join(format!("{}{:016x}{END}", start_of(&target), 1));
        let others = folder.path().join(format!("{}{:016x}{END}", start_of(&other), 2));
        let alike = folder.path().join(format!("{}notes{END}", start_of(&target)));
        for path in [&left, &others, &alike] {
            fs::write(path, "x").expect("written");
        }
        sweep([&target, &target], &durable);
        assert!(!left.exists() && others.exists() && alike.exists() && live.path.exists());
        drop((living, live));
    }
}
