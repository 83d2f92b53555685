//! llama.cpp, behind a small interface of our own: the only place that knows its crates, and the only one with
//! `unsafe`. What differs between the releases that the engine is built against is in `release`.

mod adapters;
mod backend;
mod context;
mod control_vector;
mod device;
mod error;
mod huge_pages;
mod model;
mod native;
mod quantize;
#[cfg(llama_raw)]
mod raw;
mod release;
mod sampler;
mod settings;

pub use backend::cpu_features;
pub use context::{Appending, Container, Context, Part, SequenceState};
pub use error::LlamaError;
pub(crate) use huge_pages::{fit, zeroed};
pub use model::{Model, ModelSettings};
pub use quantize::quantize;
pub use release::{LLAMA_PACKAGE, LLAMA_RELEASE};
pub use sampler::{Sampler, Stage};
pub use settings::{ContextSettings, FlashAttention};

pub use intact_format::token::Token;

#[cfg(not(llama_raw))]
use llama_cpp_2 as binding;
#[cfg(llama_raw)]
use raw as binding;
