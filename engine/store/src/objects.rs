//! The few requests that a store makes, all of which every backend has: list, get, put, put if new, remove.

use std::fmt::Display;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::error::{StoreError, hint};
use crate::key::{Folder, Key};

/// Requests under way at the same time.
pub(crate) const CONCURRENCY: usize = 16;

/// How often a read is made whose answer breaks off. Requests that get no answer at all are made again by the backend.
const READS: u32 = 4;

/// An object store, and the folder in it that is ours.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    inner: Arc<dyn ObjectStore>,
    root: Path,
    address: String,
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
        Self { inner, root, address }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything of ours in a folder. What else lies there is not seen.
    pub(crate) async fn list(&self, folder: Folder) -> Result<Vec<Listed>, StoreError> {
        let found = self.below_folder(&folder.path()).await?;
        Ok(found.iter().filter_map(|meta| self.listed(meta)).collect())
    }

    /// Names of everything below a folder.
    pub(crate) async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let found = self.below_folder(folder).await?;
        let name =
            |meta: &ObjectMeta| -> Option<Path> { Some(meta.location.prefix_match(&self.root)?.collect()) };
        Ok(found.iter().filter_map(name).map(String::from).collect())
    }

    async fn below_folder(&self, folder: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let path = self.below(folder);
        let mut reads = 1;
        loop {
            match self.inner.list(Some(&path)).try_collect().await {
                Ok(found) => return Ok(found),
                // A folder that was never made is empty.
                Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
                Err(object_store::Error::Generic { .. }) if reads < READS => reads += 1,
                Err(source) => return Err(self.failed("listing", folder, source)),
            }
        }
    }

    /// The content of an object; none where there is none.
    pub(crate) async fn get(&self, key: &(impl Display + Sync)) -> Result<Option<Vec<u8>>, StoreError> {
        let mut reads = 1;
        loop {
            let got = async { self.inner.get(&self.path(key)).await?.bytes().await };
            match got.await {
                Ok(bytes) => return Ok(Some(bytes.into())),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(object_store::Error::Generic { .. }) if reads < READS => reads += 1,
                Err(source) => return Err(self.failed("reading", &key.to_string(), source)),
            }
        }
    }

    /// Length and time of an object; none where there is none.
    pub(crate) async fn head(&self, key: &Key) -> Result<Option<Listed>, StoreError> {
        match self.inner.head(&self.path(key)).await {
            Ok(meta) => Ok(self.listed(&meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("asking for", &key.to_string(), source)),
        }
    }

    /// Whether there is such an object.
    pub(crate) async fn holds(&self, name: &str) -> Result<bool, StoreError> {
        match self.inner.head(&self.path(&name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(self.failed("asking for", name, source)),
        }
    }

    /// Makes an object, or replaces it.
    pub(crate) async fn put(&self, key: &(impl Display + Sync), content: Vec<u8>) -> Result<(), StoreError> {
        let path = self.path(key);
        let put = self.inner.put_opts(&path, PutPayload::from(content), PutMode::Overwrite.into());
        put.await.map(|_| ()).map_err(|source| self.failed("writing", &key.to_string(), source))
    }

    /// Makes an object; says false, and changes nothing, where there is one.
    pub(crate) async fn create(&self, key: &Key, content: Vec<u8>) -> Result<bool, StoreError> {
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

    /// Removes objects. Those that are gone already are no error.
    pub(crate) async fn remove(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), StoreError> {
        let paths: Vec<_> = keys.into_iter().map(|key| Ok(self.path(&key))).collect();
        let mut removed = self.inner.delete_stream(stream::iter(paths).boxed());
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

    fn listed(&self, meta: &ObjectMeta) -> Option<Listed> {
        let relative: Path = meta.location.prefix_match(&self.root)?.collect();
        let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok()?;
        Some(Listed { key: Key::parse(&relative)?, bytes: meta.size, modified })
    }

    fn failed(&self, action: &'static str, key: &str, source: object_store::Error) -> StoreError {
        let hint = hint(&source);
        StoreError::Backend {
            address: self.address.clone(),
            action,
            key: key.to_owned(),
            source: Box::new(source),
            hint,
        }
    }
}
