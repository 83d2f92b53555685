//! The part of a model's metadata that shapes KV cells, and the hash of its vocabulary.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gguf::{Gguf, GgufError, Value};

/// Metadata keys under the architecture's name that decide how many KV cells a token has, how long they are, and what
/// their numbers mean. A key that ends in a dot stands for all keys below it.
const SHAPING: [&str; 13] = [
    "block_count",
    "nextn_predict_layers",
    "embedding_length",
    "attention.",
    "rope.",
    "ssm.",
    "wkv.",
    "shortconv.",
    "hyper_connection.",
    "full_attention_interval",
    "decoder_block_count",
    "time_mix_extra_dim",
    "token_shift_count",
];

/// The metadata that shapes KV: key without the architecture's name, and value as text. Comparing two of them tells which
/// keys differ, which a mere hash could not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct KvShape(pub BTreeMap<String, String>);

impl KvShape {
    /// The shape that `gguf` declares.
    ///
    /// # Errors
    /// [`GgufError::MissingKey`] where the file does not name its architecture.
    pub fn of(gguf: &Gguf) -> Result<Self, GgufError> {
        let prefix = format!("{}.", gguf.architecture()?);
        let keys = gguf.metadata.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
        let shaping = keys.filter(|(key, _)| shapes_kv(key));
        Ok(Self(shaping.map(|(key, value)| (key.to_owned(), exact(value))).collect()))
    }

    /// BLAKE3 over all keys and values, in lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in &self.0 {
            update(&mut hasher, key.as_bytes());
            update(&mut hasher, value.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Every key on which the two differ, with both values (none: the key is missing).
    #[must_use]
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let keys = self.0.keys().chain(other.0.keys().filter(|key| !self.0.contains_key(*key)));
        let pairs = keys.map(|key| (key.as_str(), self.0.get(key), other.0.get(key)));
        pairs
            .filter(|(_, mine, theirs)| mine != theirs)
            .map(|(key, mine, theirs)| (key, mine.map(String::as_str), theirs.map(String::as_str)))
            .collect()
    }
}

fn shapes_kv(key: &str) -> bool {
    SHAPING
        .iter()
        .any(|shaping| if shaping.ends_with('.') { key.starts_with(shaping) } else { key == *shaping })
}

/// Floats by their shortest form that reads back to the same number, so that equal text means an equal value.
fn exact(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// BLAKE3 over every `tokenizer.` key except the chat templates: model, pre-tokenizer, tokens, types, scores, merges,
/// special tokens.
pub(super) fn vocabulary_hash(gguf: &Gguf) -> String {
    let mut hasher = blake3::Hasher::new();
    let keys = gguf.metadata.iter().filter(|(key, _)| key.starts_with("tokenizer."));
    for (key, value) in keys.filter(|(key, _)| !key.starts_with("tokenizer.chat_template")) {
        update(&mut hasher, key.as_bytes());
        match value {
            Value::Array(array) => {
                update(&mut hasher, &array.length.to_le_bytes());
                update(&mut hasher, &array.digest);
            }
            other => update(&mut hasher, exact(other).as_bytes()),
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Length first, so that two neighbours cannot trade bytes.
fn update(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
