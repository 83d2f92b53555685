//! The few requests that a store makes, all of which every backend has: list, get, put, put if new, remove.

use std::fmt::Display;
#[cfg(unix)]
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::ChunkId;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::error::{StoreError, hint};
use crate::key::{Folder, Key};
#[cfg(unix)]
use crate::local::{self, LocalFolder};

/// Requests under way at the same time.
pub(crate) const CONCURRENCY: usize = 16;

/// How often a read is made whose answer breaks off. Requests that get no answer at all are made again by the backend.
const READS: u32 = 4;

/// Bytes that a document of the protocol has at most. A sweep of a million payloads has 100 MB.
const LONGEST_DOCUMENT: u64 = 512 << 20;
/// Bytes that are made room for before any have come.
const ROOM: u64 = 16 << 20;

/// An object store, and the folder in it that is ours.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    inner: Arc<dyn ObjectStore>,
    /// The same, where it is a folder of this machine: what is read, listed and removed goes this way, which follows no links.
    #[cfg(unix)]
    local: Option<LocalFolder>,
    root: Path,
    address: String,
}

/// Which length of an object is accepted. Where another one is there, nothing is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// What refers to it says so.
    Exactly(u64),
    /// It is a document of the protocol.
    Document,
    /// Whatever it has.
    Any,
}

/// What a folder has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// What is ours, by name.
    pub(crate) objects: Vec<Listed>,
    /// Names of links below it, which were passed over.
    pub(crate) links: Vec<String>,
}

/// An object that was listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) key: Key,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
}

impl Objects {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, root: Path, address: String) -> Self {
        Self {
            inner,
            #[cfg(unix)]
            local: None,
            root,
            address,
        }
    }

    /// Those in a folder of this machine, which `inner` writes to.
    #[cfg(unix)]
    pub(crate) fn local(inner: Arc<dyn ObjectStore>, folder: &FilePath, address: String) -> Self {
        Self { local: Some(LocalFolder::new(folder)), ..Self::new(inner, Path::default(), address) }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything of ours in a folder. What else lies there is not seen.
    pub(crate) async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        self.survey(folder).await.map(|found| found.objects)
    }

    /// The same, with the links that lie there.
    pub(crate) async fn survey(&self, folder: Folder) -> Result<Found, StoreError> {
        let (found, links) = self.below_folder(&folder.path()).await?;
        let objects = found.iter().filter_map(|found| self.listed(found)).collect();
        Ok(Found { objects, links })
    }

    /// Names of everything below a folder.
    pub(crate) async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let (found, _) = self.below_folder(folder).await?;
        let name = |meta: &Meta| -> Option<Path> { Some(meta.location.prefix_match(&self.root)?.collect()) };
        Ok(found.iter().filter_map(name).map(String::from).collect())
    }

    async fn below_folder(&self, folder: &str) -> Result<(Vec<Meta>, Vec<String>), StoreError> {
        let path = self.below(folder);
        #[cfg(unix)]
        if let Some(local) = &self.local {
            let listed = blocking(local, move |local| local.list(&path)).await;
            let listed = listed.map_err(|refused| self.refused("listing", folder, refused))?;
            let files = listed.files.into_iter().map(Meta::from).collect();
            return Ok((files, listed.links.into_iter().map(String::from).collect()));
        }
        let found = patiently(|| self.inner.list(Some(&path)).try_collect::<Vec<_>>()).await;
        // A folder that was never made is empty.
        let found = found.map_err(|source| self.failed("listing", folder, source))?.unwrap_or_default();
        Ok((found.iter().filter_map(Meta::of).collect(), Vec::new()))
    }

    /// A document of the protocol; none where there is none.
    pub(crate) async fn document(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(key, Length::Document).await
    }

    /// The content of an object; none where there is none.
    pub(crate) async fn get(
        &self,
        key: &(impl Display + Sync),
        length: Length,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(key);
        let name = key.to_string();
        #[cfg(unix)]
        if let Some(local) = &self.local {
            let admits = {
                let name = name.clone();
                move |found| length.admits(&name, found)
            };
            let read = blocking(local, move |local| local.read::<Unread>(&path, |found| Ok(admits(found)?)));
            return match read.await {
                Ok(content) => Ok(Some(content)),
                Err(Unread::Refused(local::Refused::Missing)) => Ok(None),
                Err(Unread::Refused(refused)) => Err(self.refused("reading", &name, refused)),
                Err(Unread::Length(error)) => Err(*error),
            };
        }
        let content = patiently(|| self.fetch(&path, &name, length)).await;
        content.map_err(|source| self.failed("reading", &name, source))?.transpose()
    }

    /// Reads no more than what the length admits, whatever the other side says and sends.
    async fn fetch(
        &self,
        path: &Path,
        name: &str,
        length: Length,
    ) -> object_store::Result<Result<Vec<u8>, StoreError>> {
        let found = self.inner.get(path).await?;
        let bytes = found.meta.size;
        if let Err(error) = length.admits(name, bytes) {
            return Ok(Err(error));
        }
        let mut content = Vec::with_capacity(usize::try_from(bytes.min(ROOM)).unwrap_or_default());
        let mut pieces = found.into_stream();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece?);
            if content.len() as u64 > bytes {
                return Ok(Err(StoreError::WrongLength {
                    key: name.to_owned(),
                    expected: bytes,
                    found: content.len() as u64,
                }));
            }
        }
        Ok(Ok(content))
    }

    /// The hash of an object's bytes, and how many there are; none where there is none. It is never in memory as a whole.
    pub(crate) async fn hash(&self, key: &Key) -> Result<Option<(ChunkId, u64)>, StoreError> {
        let path = self.path(key);
        let name = key.to_string();
        #[cfg(unix)]
        if let Some(local) = &self.local {
            let hashed = blocking(local, move |local| {
                let (mut file, _) = local.open(&path)?;
                let mut hasher = blake3::Hasher::new();
                let bytes = std::io::copy(&mut file, &mut hasher).map_err(local::Refused::Io)?;
                Ok((ChunkId(*hasher.finalize().as_bytes()), bytes))
            });
            return match hashed.await {
                Ok(hashed) => Ok(Some(hashed)),
                Err(local::Refused::Missing) => Ok(None),
                Err(refused) => Err(self.refused("reading", &name, refused)),
            };
        }
        let hashed = patiently(|| async {
            let mut pieces = self.inner.get(&path).await?.into_stream();
            let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                bytes += piece.len() as u64;
                hasher.update(&piece);
            }
            Ok((ChunkId(*hasher.finalize().as_bytes()), bytes))
        });
        hashed.await.map_err(|source| self.failed("reading", &name, source))
    }

    /// Length and time of an object; none where there is none.
    pub(crate) async fn head(&self, key: &Key) -> Result<Option<Listed>, StoreError> {
        let found = self.meta(&key.to_string()).await?;
        Ok(found.and_then(|found| self.listed(&found)))
    }

    /// Whether there is such an object.
    pub(crate) async fn holds(&self, name: &str) -> Result<bool, StoreError> {
        match self.meta(name).await {
            Ok(found) => Ok(found.is_some()),
            // A folder or a link is no such object.
            Err(StoreError::Irregular { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn meta(&self, name: &str) -> Result<Option<Meta>, StoreError> {
        let path = self.path(&name);
        #[cfg(unix)]
        if let Some(local) = &self.local {
            return match blocking(local, move |local| local.look(&path)).await {
                Ok(found) => Ok(Some(found.into())),
                Err(local::Refused::Missing) => Ok(None),
                Err(refused) => Err(self.refused("asking for", name, refused)),
            };
        }
        match self.inner.head(&path).await {
            Ok(meta) => Ok(Meta::of(&meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("asking for", name, source)),
        }
    }

    /// Makes an object, or replaces it.
    pub(crate) async fn put(&self, key: &(impl Display + Sync), content: Vec<u8>) -> Result<(), StoreError> {
        self.admit(&key.to_string()).await?;
        let path = self.path(key);
        let put = self.inner.put_opts(&path, PutPayload::from(content), PutMode::Overwrite.into());
        put.await.map(|_| ()).map_err(|source| self.failed("writing", &key.to_string(), source))
    }

    /// Makes an object; says false, and changes nothing, where there is one.
    pub(crate) async fn create(&self, key: &Key, content: Vec<u8>) -> Result<bool, StoreError> {
        self.admit(&key.to_string()).await?;
        let path = self.path(key);
        let put = self.inner.put_opts(&path, PutPayload::from(content), PutMode::Create.into());
        match put.await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(source) => Err(self.failed("writing", &key.to_string(), source)),
        }
    }

    /// Nothing is written through a link.
    #[cfg_attr(not(unix), expect(clippy::unused_async, reason = "there is nothing to wait for"))]
    async fn admit(&self, name: &str) -> Result<(), StoreError> {
        #[cfg(unix)]
        if let Some(local) = &self.local {
            let path = self.path(&name);
            let admitted = blocking(local, move |local| local.admit(&path)).await;
            return admitted.map_err(|refused| self.refused("writing", name, refused));
        }
        let _ = name;
        Ok(())
    }

    /// Removes objects. Those that are gone already are no error.
    pub(crate) async fn remove(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), StoreError> {
        let paths: Vec<_> = keys.into_iter().map(|key| self.path(&key)).collect();
        #[cfg(unix)]
        if let Some(local) = &self.local {
            let removed = blocking(local, move |local| {
                paths.iter().try_for_each(|path| match local.remove(path) {
                    Ok(()) | Err(local::Refused::Missing) => Ok(()),
                    Err(refused) => Err(refused),
                })
            });
            return removed.await.map_err(|refused| self.refused("removing from", &self.address, refused));
        }
        let mut removed = self.inner.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        while let Some(outcome) = removed.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(self.failed("removing from", &self.address, source)),
            }
        }
        Ok(())
    }

    fn path(&self, key: &impl Display) -> Path {
        self.below(&key.to_string())
    }

    fn below(&self, relative: &str) -> Path {
        self.root.parts().chain(Path::from(relative).parts()).collect()
    }

    fn listed(&self, meta: &Meta) -> Option<Listed> {
        let relative: Path = meta.location.prefix_match(&self.root)?.collect();
        Some(Listed { key: Key::parse(&relative)?, bytes: meta.bytes, modified: meta.modified })
    }

    #[cfg(unix)]
    fn refused(&self, action: &'static str, key: &str, refused: local::Refused) -> StoreError {
        let error: Box<dyn std::error::Error + Send + Sync> = match refused {
            local::Refused::Irregular { part, what } => return StoreError::Irregular { key: part, what },
            local::Refused::Missing => std::io::Error::from(std::io::ErrorKind::NotFound).into(),
            local::Refused::Io(error) => error.into(),
        };
        self.failed(action, key, object_store::Error::Generic { store: "folder", source: error })
    }

    fn failed(&self, action: &'static str, key: &str, source: object_store::Error) -> StoreError {
        let hint = hint(&source);
        StoreError::Backend {
            address: self.address.clone(),
            action,
            key: key.to_owned(),
            cause: Box::new(source),
            hint,
        }
    }
}

/// What every backend says of an object.
struct Meta {
    location: Path,
    bytes: u64,
    modified: Timestamp,
}

impl Meta {
    fn of(meta: &ObjectMeta) -> Option<Self> {
        let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok()?;
        Some(Self { location: meta.location.clone(), bytes: meta.size, modified })
    }
}

#[cfg(unix)]
impl From<local::LocalFile> for Meta {
    fn from(local::LocalFile { location, bytes, modified }: local::LocalFile) -> Self {
        Self { location, bytes, modified }
    }
}

impl Length {
    fn admits(self, key: &str, found: u64) -> Result<(), StoreError> {
        let key = key.to_owned();
        match self {
            Self::Exactly(expected) if found != expected => {
                Err(StoreError::WrongLength { key, expected, found })
            }
            Self::Document if found > LONGEST_DOCUMENT => {
                Err(StoreError::TooLong { key, found, most: LONGEST_DOCUMENT })
            }
            Self::Exactly(_) | Self::Document | Self::Any => Ok(()),
        }
    }
}

/// Why a file was not read.
#[cfg(unix)]
enum Unread {
    Refused(local::Refused),
    Length(Box<StoreError>),
}

#[cfg(unix)]
impl From<local::Refused> for Unread {
    fn from(refused: local::Refused) -> Self {
        Self::Refused(refused)
    }
}

#[cfg(unix)]
impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Length(Box::new(error))
    }
}

/// Reads until an answer comes whole; none where there is no such thing.
async fn patiently<T, R: Future<Output = object_store::Result<T>>>(
    mut read: impl FnMut() -> R,
) -> object_store::Result<Option<T>> {
    let mut reads = 1;
    loop {
        match read().await {
            Ok(found) => return Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(object_store::Error::Generic { .. }) if reads < READS => reads += 1,
            Err(source) => return Err(source),
        }
    }
}

/// Does something with a folder where it may be waited for, beside other such things.
#[cfg(unix)]
async fn blocking<T: Send + 'static, E: From<local::Refused> + Send + 'static>(
    folder: &LocalFolder,
    action: impl FnOnce(&LocalFolder) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let folder = folder.clone();
    if tokio::runtime::Handle::try_current().is_err() {
        return action(&folder);
    }
    match tokio::task::spawn_blocking(move || action(&folder)).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(local::Refused::Io(std::io::Error::other(error)).into()),
    }
}
