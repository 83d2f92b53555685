//! GGUF model files: the metadata and the list of tensors, read without holding what is not needed.
//!
//! Versions 2 and 3, little-endian. The reader takes any [`Read`] and the number of bytes it stands for; every length the
//! file declares is checked against what is left of the file before anything is allocated, arrays are hashed as they
//! stream by, and only short numeric arrays are kept ([`Array::items`]). Tensor data is never read.

mod read;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod types;
mod value;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::regular;

pub use types::{TensorType, file_type_name};
pub use value::{Array, Value, ValueType};

/// The metadata of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
    /// Version of the container: 2 or 3.
    pub version: u32,
    /// Key/value pairs by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Where tensor data begins, in bytes from the start of the file.
    pub data_offset: u64,
    /// Length of the whole file in bytes.
    pub file_size: u64,
}

/// A tensor as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Elements per dimension, fastest first; one to four dimensions.
    pub shape: Vec<u64>,
    /// How its elements are encoded.
    pub kind: TensorType,
    /// Where its data begins, in bytes from [`Gguf::data_offset`].
    pub offset: u64,
}

/// Why a GGUF file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// Reading failed.
    #[error("the model file cannot be read: {0}")]
    Io(io::Error),
    /// The file does not start with `GGUF`.
    #[error("not a GGUF file: it starts with {found:02x?}; choose a file that ends in .gguf")]
    NotGguf {
        /// The first bytes of the file.
        found: [u8; 4],
    },
    /// A version this reader does not know.
    #[error(
        "GGUF version {version} cannot be read, versions 2 and 3 can; convert the file with a current llama.cpp"
    )]
    UnsupportedVersion {
        /// What the file declares.
        version: u32,
    },
    /// The file was written for a big-endian machine.
    #[error("the GGUF file is big-endian; convert it with llama.cpp's gguf_convert_endian.py")]
    BigEndian,
    /// The file ends before what it declares.
    #[error(
        "the GGUF file is cut short: {what} needs {needed} bytes at byte {offset} of {file_size}; fetch the file again"
    )]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: u64,
        /// Bytes that are declared.
        needed: u64,
        /// Bytes that the file has.
        file_size: u64,
    },
    /// The file ends before its last tensor does.
    #[error(
        "the GGUF file is cut short: {missing} bytes are missing, since its last tensor, at byte {offset}, ends at byte {end} \
         and the file has {file_size}; fetch the file again"
    )]
    Cut {
        /// Where the last tensor begins.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// Bytes that are missing.
        missing: u64,
        /// Bytes that the file has.
        file_size: u64,
    },
    /// The file declares something that cannot be.
    #[error("the GGUF file is damaged at byte {offset}: {problem}; fetch the file again")]
    Malformed {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A key that is needed is not there, or is of another type.
    #[error(
        "the GGUF file does not say `{key}` as {expected}: it is not a language model that llama.cpp can load"
    )]
    MissingKey {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
    },
}

impl From<io::Error> for GgufError {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl Gguf {
    /// Reads the metadata of the file at `path`.
    ///
    /// # Errors
    /// [`GgufError`] where the file cannot be read or is not a sound GGUF file.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let file = regular::open(path)?;
        let size = file.metadata()?.len();
        Self::read(BufReader::with_capacity(1 << 16, file), size)
    }

    /// Reads the metadata from `source`, which yields at most `file_size` bytes.
    ///
    /// # Errors
    /// [`GgufError`] where reading fails or the bytes are not a sound GGUF file.
    pub fn read(source: impl Read, file_size: u64) -> Result<Self, GgufError> {
        read::gguf(source, file_size)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The text that `key` holds.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// The non-negative whole number that `key` holds.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Value::as_u64)
    }

    /// `general.architecture`: llama, qwen2, gemma3, ...
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] where the file does not name one.
    pub fn architecture(&self) -> Result<&str, GgufError> {
        self.text("general.architecture")
            .ok_or_else(|| GgufError::MissingKey { key: "general.architecture".to_owned(), expected: "text" })
    }

    /// The model's Jinja chat template, where the file carries one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// The name of `general.file_type` (`Q4_K_M`); without one, the commonest type among the tensors with more than one
    /// dimension.
    #[must_use]
    pub fn quantization(&self) -> String {
        if let Some(number) = self.number("general.file_type") {
            return file_type_name(number).map_or_else(|| format!("file type {number}"), str::to_owned);
        }
        let mut counts = BTreeMap::<TensorType, usize>::new();
        for tensor in self.tensors.iter().filter(|tensor| tensor.shape.len() > 1) {
            *counts.entry(tensor.kind).or_default() += 1;
        }
        let commonest = counts.into_iter().max_by_key(|(_, count)| *count);
        commonest.map_or_else(|| "unknown".to_owned(), |(kind, _)| kind.to_string())
    }

    /// Whether all tensor data that is declared lies inside the file. A model that was cut short while it was copied has
    /// sound metadata and fails here.
    ///
    /// # Errors
    /// [`GgufError::Cut`], with how much is missing, where a tensor ends behind the file's end.
    pub fn check_extent(&self) -> Result<(), GgufError> {
        let ends = self.tensors.iter().map(|tensor| {
            let offset = self.data_offset.saturating_add(tensor.offset);
            (offset.saturating_add(tensor.bytes().unwrap_or(0)), offset)
        });
        match ends.max() {
            Some((end, offset)) if end > self.file_size => {
                Err(GgufError::Cut { offset, end, missing: end - self.file_size, file_size: self.file_size })
            }
            _ => Ok(()),
        }
    }
}

impl Tensor {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Length of its data in bytes; `None` for a type this reader does not know.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let (elements, bytes) = self.kind.block()?;
        (self.elements() / elements).checked_mul(bytes)
    }
}
