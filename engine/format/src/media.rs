//! Media that a message carries: what a session file says about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What is known about an attached picture. Its bytes are not in the session file: the digest says which they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaMetadata {
    /// The digest of its bytes; formats 1.x do not keep it.
    pub digest: Option<Digest>,
    /// Number of its bytes; formats 1.x do not keep it.
    pub size: Option<u64>,
    /// Its format, by its first bytes.
    pub format: MediaFormat,
    /// Its MIME type.
    pub mime_type: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What it shows.
    pub description: Option<String>,
    /// The name of the file that it came from.
    pub file_name: Option<String>,
}

/// The format of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MediaFormat {
    /// None of the known ones.
    #[default]
    Unknown,
    /// JPEG.
    #[serde(rename = "JPEG")]
    Jpeg,
    /// PNG.
    #[serde(rename = "PNG")]
    Png,
    /// BMP.
    #[serde(rename = "BMP")]
    Bmp,
    /// GIF.
    #[serde(rename = "GIF")]
    Gif,
    /// WebP.
    WebP,
}

impl MediaMetadata {
    /// Most bytes that one attachment may have.
    pub const MAX_BYTES: u64 = 50 * 1024 * 1024;

    /// What can be said about `bytes` without decoding them: digest, size, format and MIME type.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let format = MediaFormat::of(bytes);
        Self {
            digest: Some(Digest::of(bytes)),
            size: Some(bytes.len() as u64),
            format,
            mime_type: format.mime_type().to_owned(),
            ..Self::default()
        }
    }
}

impl MediaFormat {
    /// The format of `bytes`, by how they start.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Self::Png,
            [b'B', b'M', ..] => Self::Bmp,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            _ => Self::Unknown,
        }
    }

    /// The MIME type.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Unknown => "application/octet-stream",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }
}
