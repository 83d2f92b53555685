//! Documents that carry a digest over their own content.

use std::io::BufWriter;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ReadError;
use crate::digest::Digest;
use crate::version::FormatVersion;

/// A document with a digest over it, BLAKE3 of its compact JSON without that digest.
pub(super) trait Sealed: Serialize + DeserializeOwned {
    /// The version whose document it is.
    const VERSION: FormatVersion;

    /// Where its digest is.
    fn digest_mut(&mut self) -> &mut Option<Digest>;
}

/// How a document begins, before its digest.
fn head(version: FormatVersion) -> String {
    format!("{{\"FormatVersion\":\"{version}\"")
}

/// The bytes of a document without digest, once it is sealed: the digest is put in where it belongs.
pub(super) fn sealed_bytes<D: Sealed>(document: &D) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(document)?;
    let digest = format!(",\"Digest\":\"{}\"", Digest::of(&bytes));
    let at = head(D::VERSION).len();
    bytes.splice(at..at, digest.into_bytes());
    Ok(bytes)
}

/// The document that these bytes are, without its digest, if that is where [`sealed_bytes`] puts it and the one of the
/// bytes around it.
pub(super) fn verbatim<D: Sealed>(bytes: &[u8]) -> Option<D> {
    let head = head(D::VERSION);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let rest = bytes.strip_prefix(head.as_bytes())?.strip_prefix(b",\"Digest\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let declared: Digest = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(head.as_bytes()).update(&rest[end + 1..]);
    if declared != hasher.finalize().into() {
        return None;
    }
    let mut document: D = serde_json::from_slice(bytes).ok()?;
    *document.digest_mut() = None;
    Some(document)
}

/// The document without its digest, which must be the one of its content.
pub(super) fn opened<D: Sealed>(mut document: D) -> Result<D, ReadError> {
    let declared = document.digest_mut().take().ok_or(ReadError::Unsealed)?;
    let malformed = |cause| ReadError::Malformed { version: D::VERSION, cause };
    let actual = content_digest(&document).map_err(malformed)?;
    if declared == actual { Ok(document) } else { Err(ReadError::Digest { declared, actual }) }
}

/// The same document with the digest of its content.
pub(super) fn sealed<D: Sealed>(mut document: D) -> Result<D, serde_json::Error> {
    *document.digest_mut() = None;
    *document.digest_mut() = Some(content_digest(&document)?);
    Ok(document)
}

fn content_digest<D: Sealed>(document: &D) -> Result<Digest, serde_json::Error> {
    let mut hasher = blake3::Hasher::new();
    serde_json::to_writer(BufWriter::new(&mut hasher), document)?;
    Ok(hasher.finalize().into())
}
