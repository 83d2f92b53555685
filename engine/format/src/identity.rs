//! Which model it is: everything about a GGUF file that a saved session depends on.
//!
//! The weights are named by the SHA-256 of the whole file. SHA-256 and not BLAKE3, which is faster, because hubs, mirrors
//! and pin lists publish it: a value from any of them compares with one computed here, and a file that comes out of a
//! Hugging Face cache does not have to be hashed at all. What is computed is kept in an [`IdentityCache`], so no file is
//! hashed twice.

mod cache;
mod hub;
mod parts;
mod shape;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cache::{IdentityCache, user_folder};
pub use hub::HubFile;
pub use parts::model_files;
pub use shape::KvShape;
pub use watch::ModelWatch;

use crate::gguf::{Gguf, GgufError};

/// What a model is. Two identities are of the same weights exactly where [`Self::same_weights`] says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// Repository it came from (`owner/name`), where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Commit of the repository, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// File name without its folder.
    pub file: String,
    /// Length of the file in bytes; of all files of a model that lies in several.
    pub size: u64,
    /// SHA-256 of the whole file, in lower-case hexadecimal. Of a model that lies in several files: of their SHA-256 and
    /// lengths, `<sha256> <length>` and a newline for each, in order.
    pub sha256: String,
    /// `general.architecture`: llama, qwen2, gemma3, ...
    pub architecture: String,
    /// Name of the file's quantization: `Q4_K_M`.
    pub quantization: String,
    /// `general.name`, where the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The metadata that decides what KV cells look like and mean.
    pub shape: KvShape,
    /// BLAKE3 over everything that turns text into token ids, in lower-case hexadecimal.
    pub vocabulary: String,
    /// BLAKE3 of the Jinja chat template, in lower-case hexadecimal; none where the file has no template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
}

/// Why a model could not be identified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is not there.
    #[error("there is no model file {}; check the path, or fetch the model", .0.display())]
    NotFound(PathBuf),
    /// Reading failed.
    #[error("the model file {} cannot be read: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Its metadata is unsound.
    #[error("{}: {cause}", .path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: GgufError,
    },
    /// It is a part of a model in several files, and not the first one.
    #[error("{} is part {part} of {count} of a model: open part 1, {}", .path.display(), .first.display())]
    OtherPart {
        /// The file.
        path: PathBuf,
        /// Which part it is.
        part: u64,
        /// How many there are.
        count: u64,
        /// The first one.
        first: PathBuf,
    },
    /// A part of a model in several files is not there, or is a part of another model.
    #[error("part {part} of {count} of the model is not at {}; put all parts into one folder", .path.display())]
    MissingPart {
        /// Where it should be.
        path: PathBuf,
        /// Which part it is.
        part: u64,
        /// How many there are.
        count: u64,
    },
    /// A part of a model in several files whose name does not tell the others.
    #[error(
        "{} is part {part} of {count} of a model, and its name does not end in -{part:05}-of-{count:05}.gguf, by which \
         the other parts are found; give it its name back", .path.display()
    )]
    PartName {
        /// The file.
        path: PathBuf,
        /// Which part it is.
        part: u64,
        /// How many there are.
        count: u64,
    },
    /// Somebody wrote to the file while it was hashed.
    #[error("the model file {} changed while it was read; wait until it is complete and try again", .0.display())]
    Changed(PathBuf),
}

impl ModelIdentity {
    /// The identity of the file whose metadata and SHA-256 are already known. `path` gives the file name and, inside a
    /// Hugging Face cache, the repository and the revision.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] where the file does not name its architecture.
    pub fn new(path: &Path, gguf: &Gguf, sha256: String) -> Result<Self, GgufError> {
        let hub = HubFile::of(path);
        // Only the first file of a model in several names what it is.
        let later_part = gguf.number("split.no").is_some_and(|part| part > 0);
        Ok(Self {
            repository: hub.as_ref().map(|hub| hub.repository.clone()),
            revision: hub.as_ref().map(|hub| hub.revision.clone()),
            file: file_name(path),
            size: gguf.file_size,
            sha256,
            architecture: if later_part { String::new() } else { gguf.architecture()?.to_owned() },
            quantization: gguf.quantization(),
            name: gguf.text("general.name").map(str::to_owned),
            shape: if later_part { KvShape::default() } else { KvShape::of(gguf)? },
            vocabulary: shape::vocabulary_hash(gguf),
            chat_template: gguf
                .chat_template()
                .map(|text| blake3::hash(text.as_bytes()).to_hex().to_string()),
        })
    }

    /// The same identity with the source that a preset names, where the path did not tell.
    #[must_use]
    pub fn with_repository(mut self, repository: Option<String>) -> Self {
        self.repository = self.repository.or(repository);
        self
    }

    /// Whether both are the same weights, byte for byte, wherever they came from.
    #[must_use]
    pub fn same_weights(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.size == other.size
    }

    /// Whether token ids of one mean the same text for the other.
    #[must_use]
    pub fn same_tokenizer(&self, other: &Self) -> bool {
        self.vocabulary == other.vocabulary
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
