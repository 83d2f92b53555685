//! Bytes to sessions and back.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::sealing::{Sealed, opened, sealed_bytes, verbatim};
use super::{
    DocumentV1_0, DocumentV1_1, DocumentV2_0, DocumentV2_1, DocumentV2_2, Read, ReadError, SessionDocument,
    WriteError, Written, migrate,
};
use crate::text::without_byte_order_mark;
use crate::version::FormatVersion;

/// What a file encrypted with age starts with.
pub(crate) const SEALED: &[u8] = b"age-encryption.org/";

/// The one field that every version has.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct VersionOnly {
    #[serde(rename = "FormatVersion")]
    format_version: Option<String>,
}

/// A document that is as this crate wrote it.
enum Verbatim {
    V2_0(DocumentV2_0),
    V2_1(DocumentV2_1),
    V2_2(DocumentV2_2),
}

pub(super) fn read(bytes: &[u8], newest: FormatVersion) -> Result<Read, ReadError> {
    let mut notes = Vec::new();
    let bytes = without_byte_order_mark(bytes);
    // What this crate wrote need not be parsed for its version and written again for its digest.
    let verbatim = verbatim(bytes)
        .map(Verbatim::V2_2)
        .or_else(|| verbatim(bytes).map(Verbatim::V2_1))
        .or_else(|| verbatim(bytes).map(Verbatim::V2_0));
    let written_as = match &verbatim {
        Some(Verbatim::V2_2(_)) => FormatVersion::V2_2,
        Some(Verbatim::V2_1(_)) => FormatVersion::V2_1,
        Some(Verbatim::V2_0(_)) => FormatVersion::V2_0,
        None => version(bytes)?,
    };
    written_as.readable_by(newest.min(FormatVersion::CURRENT))?;
    let newer = |document| migrate::to_2_2(migrate::to_2_1(document));
    let current = match (verbatim, written_as) {
        (Some(Verbatim::V2_2(document)), _) => document,
        (Some(Verbatim::V2_1(document)), _) => migrate::to_2_2(document),
        (Some(Verbatim::V2_0(document)), _) => newer(document),
        (None, FormatVersion::V1_0) => {
            let next = migrate::to_1_1(parse::<DocumentV1_0>(bytes, written_as)?, &mut notes);
            newer(migrate::to_2_0(next, &mut notes))
        }
        (None, FormatVersion::V1_1) => {
            newer(migrate::to_2_0(parse::<DocumentV1_1>(bytes, written_as)?, &mut notes))
        }
        (None, FormatVersion::V2_0) => newer(opened(parse::<DocumentV2_0>(bytes, written_as)?)?),
        (None, FormatVersion::V2_1) => migrate::to_2_2(opened(parse::<DocumentV2_1>(bytes, written_as)?)?),
        (None, FormatVersion::V2_2) => opened(parse::<DocumentV2_2>(bytes, written_as)?)?,
        (None, found) => return Err(ReadError::NoSuchVersion { found }),
    };
    let document = current.into_session()?;
    document.validate()?;
    Ok(Read { written_as, document, notes })
}

pub(super) fn write(document: &SessionDocument, version: FormatVersion) -> Result<Written, WriteError> {
    document.validate()?;
    let mut notes = Vec::new();
    let current = DocumentV2_2::of(document);
    if version == FormatVersion::V2_2 {
        let bytes = sealed_line(&current)?;
        // Messages and the image are text and integers, which JSON gives back as they were.
        encode(&DocumentV2_2 { history: Vec::new(), image: None, ..current })?;
        return Ok(Written { bytes, notes });
    }
    let older = migrate::back_to_2_1(current, &mut notes);
    if version == FormatVersion::V2_1 {
        let bytes = sealed_line(&older)?;
        encode(&DocumentV2_1 { history: Vec::new(), image: None, ..older })?;
        return Ok(Written { bytes, notes });
    }
    let older = migrate::back_to_2_0(older, &mut notes);
    let bytes = match version {
        FormatVersion::V2_0 => {
            let bytes = sealed_line(&older)?;
            encode(&DocumentV2_0 { history: Vec::new(), image: None, ..older })?;
            bytes
        }
        FormatVersion::V1_1 => encode(&migrate::back_to_1_1(older, &mut notes))?,
        FormatVersion::V1_0 => {
            let older = migrate::back_to_1_1(older, &mut notes);
            encode(&migrate::back_to_1_0(older, &mut notes))?
        }
        unknown => return Err(WriteError::UnknownVersion(unknown)),
    };
    Ok(Written { bytes, notes })
}

/// A document with its digest, on a line.
fn sealed_line<D: Sealed>(document: &D) -> Result<Vec<u8>, WriteError> {
    let mut bytes = sealed_bytes(document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The version alone, so that nothing else of a newer file is looked at.
fn version(bytes: &[u8]) -> Result<FormatVersion, ReadError> {
    let not_a_session = |reason: String| ReadError::NotASession { reason };
    if bytes.is_empty() {
        return Err(not_a_session("the file is empty".to_owned()));
    }
    if bytes.starts_with(SEALED) {
        return Err(ReadError::Sealed);
    }
    if [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(not_a_session("it is text in UTF-16; session files are in UTF-8".to_owned()));
    }
    let only: VersionOnly = serde_json::from_slice(bytes).map_err(|error| {
        let text = bytes.trim_ascii();
        if text.starts_with(b"{") && (error.is_eof() || !text.ends_with(b"}")) {
            ReadError::Truncated { bytes: bytes.len() }
        } else {
            not_a_session(error.to_string())
        }
    })?;
    let text = only.format_version.ok_or_else(|| not_a_session("it has no FormatVersion".to_owned()))?;
    Ok(text.parse()?)
}

fn parse<D: DeserializeOwned>(bytes: &[u8], version: FormatVersion) -> Result<D, ReadError> {
    serde_json::from_slice(bytes).map_err(|cause| ReadError::Malformed { version, cause })
}

/// The document's bytes, proven to read back as the same document: JSON has no word for a number that is not finite.
fn encode<D: Serialize + DeserializeOwned + PartialEq>(document: &D) -> Result<Vec<u8>, WriteError> {
    let mut bytes = serde_json::to_vec(document)?;
    bytes.push(b'\n');
    match serde_json::from_slice::<D>(&bytes) {
        Ok(back) if back == *document => Ok(bytes),
        Ok(_) => Err(WriteError::Unfaithful { reason: "another document".to_owned() }),
        Err(error) => Err(WriteError::Unfaithful { reason: error.to_string() }),
    }
}
