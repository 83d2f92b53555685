//! Sessions of given shapes and lengths, for the benches of the restore path.
//!
//! Evaluating a long session takes hours on a CPU, and what is measured here does not depend on what the KV says. So 256
//! tokens are evaluated, and their KV is repeated at every position of the session.

pub mod golden;
mod subject;

use std::error::Error;

use intact_format::kv_type::KvType;

pub use subject::{Subject, load_by_llama, write_plainly};

/// Whatever went wrong while a bench was prepared.
pub type Failure = Box<dyn Error>;

/// A model, a type of KV, and a length of session.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Id of the fixture model.
    pub model: &'static str,
    /// Type of K and V.
    pub kv: KvType,
    /// Tokens of the session.
    pub tokens: usize,
}

const fn shape(model: &'static str, kv: KvType, tokens: usize) -> Shape {
    Shape { model, kv, tokens }
}

/// What is measured always: seconds to prepare, tens of megabytes.
pub const QUICK: [Shape; 3] = [
    shape("kv-0.5b", KvType::F16, 256),
    shape("kv-0.5b", KvType::F16, 4096),
    shape("kv-0.5b", KvType::Q8_0, 4096),
];

/// What is measured where `INTACT_BENCH_LARGE` is set: up to two gigabytes.
pub const LARGE: [Shape; 8] = [
    shape("kv-0.5b", KvType::F16, 32_768),
    shape("kv-7b", KvType::F16, 256),
    shape("kv-7b", KvType::F16, 4096),
    shape("kv-7b", KvType::Q8_0, 4096),
    shape("kv-7b", KvType::F16, 8192),
    shape("kv-7b", KvType::F16, 32_768),
    shape("kv-70b", KvType::F16, 256),
    shape("kv-70b", KvType::F16, 2048),
];

/// What is measured where it is named only: memories whose states are read and written whole.
pub const WHOLE: [Shape; 2] = [shape("kv-window", KvType::F16, 8192), shape("kv-hybrid", KvType::F16, 8192)];

/// The shapes that this process measures. `INTACT_BENCH_SHAPES=kv-7b/f16/4096,...` names some of all.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    if let Ok(names) = std::env::var("INTACT_BENCH_SHAPES") {
        let named = |shape: &Shape| names.split(',').any(|name| name == shape.name());
        return QUICK.into_iter().chain(LARGE).chain(WHOLE).filter(named).collect();
    }
    let large = std::env::var_os("INTACT_BENCH_LARGE").is_some_and(|value| !value.is_empty());
    QUICK.into_iter().chain(LARGE.into_iter().filter(|_| large)).collect()
}

/// Sessions of more tokens are not evaluated again, unless `INTACT_BENCH_PREFILL` allows more: on a CPU that takes minutes
/// to hours.
#[must_use]
pub fn most_to_prefill() -> usize {
    std::env::var("INTACT_BENCH_PREFILL").ok().and_then(|text| text.parse().ok()).unwrap_or(512)
}

impl Shape {
    /// Model, KV type and tokens.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.model, self.kv.name(), self.tokens)
    }
}

/// The examples of the front page, held to the engine as it is.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
