//! llama.cpp, behind a small interface of our own: the only place that knows its crates, and the only one with
//! `unsafe`. What differs between the releases that the engine is built against is in `release`.
//!
//! There are two ways in, under one set of names. This crate is linked with one llama.cpp, through `llama-cpp-2` or, for
//! older releases, through its C interface alone (`raw`). Its twin `intact-engine-loaded` is compiled from the same sources
//! without any, and opens a library at run time (`loaded`).

mod adapters;
mod backend;
mod context;
mod control_vector;
mod device;
mod error;
mod huge_pages;
#[cfg(llama_loaded)]
mod loaded;
mod model;
mod native;
#[cfg(not(llama_loaded))]
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
#[cfg(llama_loaded)]
pub use loaded::open_library;
pub use model::{Model, ModelSettings};
#[cfg(not(llama_loaded))]
pub use quantize::quantize;
pub use release::{Linked, States, release};
pub use sampler::{Sampler, Stage};
pub use settings::{ContextSettings, FlashAttention};

pub use intact_format::token::Token;

#[cfg(llama_loaded)]
use intact_libllama::sys;
#[cfg(not(llama_raw))]
use llama_cpp_2 as binding;
#[cfg(not(llama_loaded))]
use llama_cpp_sys_2 as sys;
#[cfg(llama_raw)]
use raw as binding;
