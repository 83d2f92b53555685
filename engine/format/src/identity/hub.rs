//! Files of a Hugging Face cache: `models--owner--name/snapshots/<commit>/<file>`, a link to `blobs/<SHA-256>`.

use std::path::Path;

/// What the path of a file inside a Hugging Face cache tells about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/name`.
    pub repository: String,
    /// The commit.
    pub revision: String,
    /// SHA-256 of the content as the hub published it, in lower-case hexadecimal. None for files that the hub keeps in git
    /// itself (their blobs have a SHA-1 name) and where the cache holds copies instead of links.
    pub sha256: Option<String>,
}

const REPOSITORY_PREFIX: &str = "models--";

impl HubFile {
    /// Takes the path apart; `None` for a path outside such a cache.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap_or("")).collect();
        let snapshots = parts.iter().rposition(|part| *part == "snapshots")?;
        let folder = parts.get(snapshots.checked_sub(1)?)?;
        let revision = parts.get(snapshots + 1)?;
        parts.get(snapshots + 2)?;
        let repository = folder.strip_prefix(REPOSITORY_PREFIX)?.replacen("--", "/", 1);
        Some(Self { repository, revision: (*revision).to_owned(), sha256: blob_name(path) })
    }
}

fn blob_name(path: &Path) -> Option<String> {
    let blob = path.canonicalize().ok()?;
    let in_blobs = blob.parent()?.file_name()? == "blobs";
    let name = blob.file_name()?.to_str()?;
    (in_blobs && is_sha256(name)).then(|| name.to_owned())
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
