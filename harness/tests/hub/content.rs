//! What the hub has: a tiny model, a few hundred kilobytes long.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

static MODEL: LazyLock<Vec<u8>> =
    LazyLock::new(|| intact_fixtures::generate(intact_fixtures::find("llama").expect("a fixture")));

/// The model's bytes.
pub(crate) fn model() -> Vec<u8> {
    MODEL.clone()
}

/// The same with one bit flipped.
pub(crate) fn altered() -> Vec<u8> {
    let mut bytes = model();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
