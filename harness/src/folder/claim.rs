//! Whose a folder is. A run takes a folder that is new, empty, or a run's already, and no other; of what is in it, nothing is
//! removed or replaced but what runs write.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use intact_format::regular;
use tempfile::TempDir;

use super::artifact::{CONTENT, INDEX, is_hash};
use super::manifest::{self, Manifest};
use super::{EVENTS, FolderError, PLAN, RESULTS, RUN, at, plain_file};
use crate::files::write_whole;

/// The folder, in a run's folder, of what is gone when the run ends.
const OWN: &str = ".intact";
/// What says, in it, that a run's folder is being made: `run.json` is not there yet, or no longer.
const CLAIM: &str = "claim";
const CLAIMED: &str = "intact is making the folder above a run's\n";
/// Beginning of the names of folders in it.
const SCRATCH: &str = "work-";

/// Files of a run's folder that runs write.
const FILES: [&str; 11] = [
    RUN,
    PLAN,
    EVENTS,
    INDEX,
    RESULTS,
    "intact.toml",
    "expectations.toml",
    "report.html",
    "report.md",
    "junit.xml",
    "badge.svg",
];
/// Those of them that belong to what was run there before. The configuration is replaced when it is written.
const STALE: [&str; 8] = [RUN, PLAN, INDEX, RESULTS, "report.html", "report.md", "junit.xml", "badge.svg"];
/// Folders of a run's folder that runs write into.
const FOLDERS: [&str; 3] = [CONTENT, "parts", OWN];

/// Those of them whose content stays when the run has ended. What is in the other one is removed, links as links.
const KEPT: [&str; 2] = [CONTENT, "parts"];

/// How many names of what is in the way are told.
const TOLD: usize = 3;

/// What a folder is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    Us,
}

/// Makes sure that a run may take a folder, and changes nothing.
pub(super) fn check(path: &Path) -> Result<(), FolderError> {
    owner(path).map(|_| ())
}

/// Takes a folder for a run, and makes it where it is missing: from now on it is ours, also where the run that takes it does
/// not come to write its manifest.
pub(super) fn claim(path: &Path) -> Result<(), FolderError> {
    let owner = owner(path)?;
    fs::create_dir_all(path).map_err(at(path))?;
    if owner == Owner::Nobody { mark(path) } else { Ok(()) }
}

/// Removes what an earlier run left in a folder that is ours. Until there is another manifest, the mark says so.
pub(super) fn clear(path: &Path) -> Result<(), FolderError> {
    mark(path)?;
    for name in STALE {
        remove_file(&path.join(name))?;
    }
    let content = path.join(CONTENT);
    for shelf in entries(&content)?.into_iter().filter(|shelf| is_own_folder(shelf)) {
        for file in entries(&shelf)?.into_iter().filter(|file| is_kept(&shelf, file)) {
            remove_file(&file)?;
        }
        remove_if_empty(&shelf);
    }
    remove_if_empty(&content);
    for unfinished in entries(path)?.iter().filter(|file| is_unfinished(file)) {
        remove_file(unfinished)?;
    }
    remove_scratch(path);
    Ok(())
}

/// Removes a run with its folder. What is none of a run's stays, and is told.
pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
    if owner(path)? == Owner::Us {
        clear(path)?;
        for name in FILES {
            remove_file(&path.join(name))?;
        }
        unmark(path);
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            Err(foreign(path, format!("it has {}", told(&entries(path)?))))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// There is a manifest, so nothing else need say whose the folder is.
pub(super) fn unmark(path: &Path) {
    let own = path.join(OWN);
    let _none = fs::remove_file(own.join(CLAIM));
    remove_if_empty(&own);
}

/// Removes what a run that was killed could not.
pub(super) fn remove_scratch(path: &Path) {
    let own = path.join(OWN);
    for entry in entries(&own).into_iter().flatten() {
        let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(SCRATCH.as_bytes()) && is_own_folder(&entry) {
            let _left_behind = fs::remove_dir_all(&entry);
        } else if is_unfinished(&entry) {
            let _left_behind = fs::remove_file(&entry);
        }
    }
    remove_if_empty(&own);
}

/// A folder for files that nobody needs when the run has ended.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
    own: PathBuf,
}

impl Scratch {
    pub(super) fn new(run: &Path) -> Result<Self, FolderError> {
        let own = run.join(OWN);
        let made =
            fs::create_dir_all(&own).and_then(|()| tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&own));
        let dir = made.map_err(at(&own))?;
        Ok(Self { path: dir.path().to_owned(), dir: Some(dir), own })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.dir.take());
        remove_if_empty(&self.own);
    }
}

fn owner(path: &Path) -> Result<Owner, FolderError> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(foreign(path, "it is not a folder".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is somebody's.
            return match path.symlink_metadata() {
                Ok(_) => Err(foreign(path, "it is a link that leads nowhere".to_owned())),
                Err(_) => Ok(Owner::Nobody),
            };
        }
        Err(error) => return Err(at(path)(error)),
    }
    let present = entries(path)?;
    if present.is_empty() || is_being_claimed(path, &present)? {
        return Ok(Owner::Nobody);
    }
    let run = path.join(RUN);
    let marked = || {
        let mark = path.join(OWN).join(CLAIM);
        is_own_file(&mark) && regular::read(mark).is_ok_and(|text| text == CLAIMED.as_bytes())
    };
    if !marked() {
        match run.symlink_metadata() {
            Ok(there) if there.is_file() => match manifest::read::<Manifest>(&run) {
                Ok(_) => {}
                Err(FolderError::Malformed { reason, .. }) => {
                    return Err(foreign(
                        path,
                        format!("its run.json is none that this version writes: {reason}"),
                    ));
                }
                Err(error) => return Err(error),
            },
            _ => return Err(foreign(path, format!("it has {}", told(&present)))),
        }
    }
    let of_kind = |names: &[&str], right: fn(&Metadata) -> bool, what: &str| {
        let wrong =
            names.iter().find(|name| path.join(name).symlink_metadata().is_ok_and(|there| !right(&there)));
        wrong.map_or(Ok(()), |name| Err(foreign(path, format!("its {name} is no {what} of its own"))))
    };
    of_kind(&FILES, Metadata::is_file, "file")?;
    of_kind(&FOLDERS, Metadata::is_dir, "folder")?;
    if let Some(link) = KEPT.iter().find_map(|folder| link_in(&path.join(folder))) {
        return Err(foreign(path, format!("its {} is a link", below(path, &link))));
    }
    Ok(Owner::Us)
}

/// A run's folder may be somebody else's: nothing that runs read or write there is a link.
pub(super) fn without_links(path: &Path) -> Result<(), FolderError> {
    for name in FILES {
        plain_file(&path.join(name))?;
    }
    let folder = FOLDERS.iter().map(|name| path.join(name)).find(|folder| folder.is_symlink());
    match folder.or_else(|| KEPT.iter().find_map(|folder| link_in(&path.join(folder)))) {
        Some(path) => Err(FolderError::NoFile { path, what: "a link" }),
        None => Ok(()),
    }
}

/// A link that is somewhere in a folder.
fn link_in(folder: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            return Some(entry.path());
        }
        if kind.is_dir()
            && let Some(link) = link_in(&entry.path())
        {
            return Some(link);
        }
    }
    None
}

fn below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

/// Whether nothing is in a folder but what a process left that was killed while it claimed it.
fn is_being_claimed(path: &Path, present: &[PathBuf]) -> Result<bool, FolderError> {
    let own = path.join(OWN);
    if present != [own.as_path()] || !is_own_folder(&own) {
        return Ok(false);
    }
    Ok(entries(&own)?.iter().all(|path| is_unfinished(path)))
}

/// Whether a file is one that was not written to its end and has no name yet: [`write_whole`] and what else writes here call
/// them so.
fn is_unfinished(path: &Path) -> bool {
    is_own_file(path) && is_called_unfinished(path)
}

fn is_called_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".intact-") && [".part", ".tmp"].iter().any(|end| name.ends_with(end))
}

fn foreign(path: &Path, found: String) -> FolderError {
    FolderError::Foreign { path: path.to_owned(), found }
}

fn told(present: &[PathBuf]) -> String {
    let mut names: Vec<String> =
        present.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    names.sort();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

fn mark(path: &Path) -> Result<(), FolderError> {
    let own = path.join(OWN);
    let mark = own.join(CLAIM);
    fs::create_dir_all(&own).and_then(|()| write_whole(&mark, CLAIMED)).map_err(at(&mark))
}

/// Whether a file is one that [`super::ArtifactStore`] keeps on a shelf, or was putting there.
fn is_kept(shelf: &Path, file: &Path) -> bool {
    let torn = is_unfinished(file);
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let (shelf, file) = (name(shelf), name(file));
    shelf.len() == 2 && (torn || is_hash(&file) && file.starts_with(&shelf))
}

/// Whether it is a file, and not a link to one.
fn is_own_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| there.is_file())
}

/// Whether it is a folder, and not a link to one.
fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| there.is_dir())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    match fs::read_dir(folder) {
        Ok(entries) => {
            let paths: io::Result<Vec<PathBuf>> =
                entries.map(|entry| entry.map(|entry| entry.path())).collect();
            paths.map_err(at(folder))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(at(folder)(error)),
    }
}

fn remove_file(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// A folder that has something else in it stays.
fn remove_if_empty(folder: &Path) {
    let _not_empty = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::report;

    #[test]
    fn every_report_is_a_file_that_runs_write() {
        assert!(report::FILES.iter().all(|file| FILES.contains(file) && STALE.contains(file)));
        assert!(STALE.iter().all(|file| FILES.contains(file)));
    }

    #[test]
    fn what_is_neither_empty_nor_a_run_is_refused_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(check(&folder.path().join("new")).is_ok() && check(folder.path()).is_ok());
        assert!(!folder.path().join("new").exists(), "who only looks makes nothing");
        for name in ["b.txt", "a.txt", "d", "c.txt"] {
            fs::write(folder.path().join(name), "mine").expect("written");
        }
        let told = check(folder.path()).expect_err("somebody's").to_string();
        assert!(told.contains("it has a.txt, b.txt, c.txt and 1 more"), "{told}");
        fs::write(folder.path().join(RUN), "{}").expect("written");
        let told = check(folder.path()).expect_err("somebody's").to_string();
        assert!(told.contains("run.json is none that this version writes"), "{told}");
    }

    #[test]
    fn a_folder_that_was_claimed_is_ours_until_it_has_a_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        claim(&run).expect("claimed");
        fs::write(run.join(EVENTS), "").expect("written");
        assert_eq!(owner(&run).expect("ours"), Owner::Us);
        unmark(&run);
        assert!(check(&run).is_err(), "a log alone says nothing");
    }

    #[test]
    fn what_a_killed_write_leaves_has_a_name_that_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let done = AtomicBool::new(false);
        // Who looks in the middle of a write sees what a kill then would leave.
        let unknown = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut unknown = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let seen = entries(path).expect("a folder");
                    let other = |file: &PathBuf| !file.ends_with("run.json") && !is_called_unfinished(file);
                    unknown.extend(seen.into_iter().filter(other));
                }
                unknown
            });
            for _ in 0..200 {
                write_whole(&path.join("run.json"), vec![b'x'; 1 << 16]).expect("written");
            }
            done.store(true, Ordering::SeqCst);
            watch.join().expect("joined")
        });
        assert_eq!(unknown, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_folder_that_was_nearly_claimed_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(OWN)).expect("made");
        fs::write(folder.path().join(OWN).join(".intact-x.part"), "int").expect("written");
        fs::write(folder.path().join(OWN).join(".intact-x.tmp"), "int").expect("written");
        assert_eq!(owner(folder.path()).expect("free"), Owner::Nobody);
        fs::write(folder.path().join(OWN).join("notes"), "mine").expect("written");
        assert!(owner(folder.path()).is_err());
    }

    #[test]
    fn of_a_run_only_what_runs_write_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let hash = "ab".repeat(32);
        let ours = [
            "plan.json".to_owned(),
            "results.json".to_owned(),
            format!("artifacts/ab/{hash}"),
            "artifacts/ab/.intact-x.part".to_owned(),
            "artifacts/ab/.intact-x.tmp".to_owned(),
            ".intact/work-x/cells/a".to_owned(),
            ".intact/.intact-x.tmp".to_owned(),
            ".intact-x.tmp".to_owned(),
        ];
        let foreign = [
            "work-notes/a".to_owned(),
            "artifacts/a".to_owned(),
            "artifacts/ab/a".to_owned(),
            format!("artifacts/cd/{hash}"),
            ".intact/notes".to_owned(),
            "perf.json".to_owned(),
        ];
        for file in ours.iter().chain(&foreign) {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "x").expect("written");
        }
        clear(folder.path()).expect("cleared");
        for file in &ours {
            assert!(!folder.path().join(file).exists(), "{file}");
        }
        for file in &foreign {
            assert!(folder.path().join(file).exists(), "{file}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_in_place_of_our_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        claim(&run).expect("claimed");
        for name in ["results.json", CONTENT] {
            std::os::unix::fs::symlink(folder.path(), run.join(name)).expect("linked");
            let told = check(&run).expect_err("a link").to_string();
            assert!(told.contains(&format!("its {name} is no")), "{told}");
            fs::remove_file(run.join(name)).expect("removed");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_deeper_in_a_run_are_refused_and_what_they_lead_to_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, theirs) = (folder.path().join("run"), folder.path().join("theirs"));
        claim(&run).expect("claimed");
        let file = theirs.join(format!("19{}", "0".repeat(62)));
        fs::create_dir(&theirs).expect("made");
        fs::write(&file, "somebody's payload").expect("written");
        for link in ["artifacts/19", "parts/0", "parts/0/run", "artifacts/aa/bb"] {
            let path = run.join(link);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::os::unix::fs::symlink(&theirs, &path).expect("linked");
            let told = check(&run).expect_err("a link").to_string();
            assert!(told.contains(&format!("its {link} is a link")), "{told}");
            assert!(matches!(without_links(&run), Err(FolderError::NoFile { .. })), "{link}");
            clear(&run).expect("cleared");
            assert!(file.exists(), "{link}: what somebody else keeps was removed");
            let _cleared = fs::remove_file(&path);
            let _cleared = fs::remove_dir_all(run.join("parts"));
        }
        check(&run).expect("ours again");
    }
}
