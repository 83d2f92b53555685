//! Chat sessions over llama.cpp that are saved, restored, verified, or refused with a reason.

pub mod adopt;
mod afresh;
mod auto_save;
pub mod blind;
mod buffers;
pub mod cancel;
pub mod cleanup;
mod clock;
mod context;
mod engine;
mod error;
pub mod llama;
mod load;
mod noise;
pub mod passport;
pub mod preset;
pub mod probe;
mod replay;
mod request;
pub mod sampler;
mod save;
pub mod session;
mod spares;
pub mod template;

pub use auto_save::{AutoSave, AutoSavePolicy, OpenedSession, Turn};
pub use engine::Engine;
pub use error::EngineError;
pub use intact_format::place::{SIDECAR_EXTENSION, find_sidecar, sidecar_path};
pub use replay::{Replay, Replayed};
pub use request::{
    Check, EngineOptions, LoadOptions, LoadParameters, Loaded, Receipt, Replace, SaveOptions, Saved,
    StartOptions, Timings, Transcoding,
};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
