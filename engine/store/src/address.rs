//! From what a user writes to an object store: a folder, or a URL.

use std::fmt::Display;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use crate::error::StoreError;
use crate::objects::Objects;

/// What a name of a store stands for.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Folder(PathBuf),
    Remote(Url),
}

/// The objects at a place. `create` makes the folder where it is missing.
pub(crate) fn open(given: &str, create: bool) -> Result<Objects, StoreError> {
    match parse(given)? {
        Address::Folder(folder) => local(given, &folder, create),
        Address::Remote(url) => {
            let (inner, root) = remote(&url).map_err(|why| refused(given, why))?;
            Ok(Objects::new(inner, root, url.to_string()))
        }
    }
}

fn parse(given: &str) -> Result<Address, StoreError> {
    if given.is_empty() {
        return Err(refused(given, "it is empty"));
    }
    match Url::parse(given) {
        Ok(url) if url.scheme() == "file" => {
            let folder =
                url.to_file_path().map_err(|()| refused(given, "it is not a path on this machine"))?;
            Ok(Address::Folder(folder))
        }
        // A drive letter is no scheme.
        Ok(url) if url.scheme().len() > 1 => Ok(Address::Remote(url)),
        _ => Ok(Address::Folder(PathBuf::from(given))),
    }
}

fn local(given: &str, folder: &FilePath, create: bool) -> Result<Objects, StoreError> {
    let failed = |cause| StoreError::File { path: folder.to_owned(), cause };
    if create {
        fs::create_dir_all(folder).map_err(failed)?;
    } else if !folder.is_dir() {
        return Err(StoreError::NoStore { address: given.to_owned() });
    }
    let files = LocalFileSystem::new_with_prefix(folder).map_err(|why| refused(given, why))?;
    // A save that returned has to survive a power cut.
    let files: Arc<dyn ObjectStore> = Arc::new(files.with_fsync(true));
    #[cfg(unix)]
    let objects = Objects::local(files, folder, given.to_owned());
    #[cfg(not(unix))]
    let objects = Objects::new(files, Path::default(), given.to_owned());
    Ok(objects)
}

fn remote(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| error.to_string())?;
    let path = Path::parse(path).map_err(|error| error.to_string())?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Memory => Arc::new(InMemory::new()),
        #[cfg(feature = "aws")]
        ObjectStoreScheme::AmazonS3 => {
            let builder = object_store::aws::AmazonS3Builder::from_env().with_url(url.as_str());
            Arc::new(builder.build().map_err(|error| error.to_string())?)
        }
        #[cfg(feature = "gcp")]
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.build().map_err(|error| error.to_string())?)
        }
        #[cfg(feature = "azure")]
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.build().map_err(|error| error.to_string())?)
        }
        ObjectStoreScheme::Http => return Err("a web server is not a store".to_owned()),
        other => return Err(format!("this intact was built without stores of the kind {other:?}")),
    };
    Ok((store, path))
}

fn refused(given: &str, why: impl Display) -> StoreError {
    StoreError::Address { given: given.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_urls_are_told_apart() {
        for (given, folder) in
            [("store", "store"), ("/a/b c", "/a/b c"), ("file:///a/b%20c", "/a/b c"), ("C:\\x", "C:\\x")]
        {
            assert_eq!(parse(given).unwrap(), Address::Folder(folder.into()), "{given}");
        }
        assert!(matches!(parse("s3://bucket/path").unwrap(), Address::Remote(_)));
    }

    #[test]
    fn a_place_that_cannot_be_is_refused_with_the_forms_that_can() {
        for given in ["", "https://example.com/x", "ftp://example.com/x"] {
            let text = open(given, true).unwrap_err().to_string();
            assert!(text.contains("names no store") && text.contains("s3://"), "{text}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = open(missing.to_str().unwrap(), false).unwrap_err();
        assert!(matches!(error, StoreError::NoStore { .. }), "{error}");
        assert!(!missing.exists());
    }
}
