//! Chat sessions over llama.cpp that are saved, restored, verified, or refused with a reason.
//!
//! ```
//! use intact_engine::{Engine, Generation, LoadOptions, SaveOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let model = intact_fixtures::cached("llama")?;
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("chat.json");
//! let mut engine = Engine::builder(&model).context_size(1024).threads(1).build()?;
//! engine.send("My name is Ada.", &Generation::default().max_tokens(16), &mut |piece| print!("{piece}"))?;
//! let session = engine.current().expect("sending has started one").clone();
//! engine.save(&session, &SaveOptions::to(&file))?;
//!
//! // Later, in another process: the session goes on, and nothing but its last token is evaluated again.
//! let mut engine = Engine::builder(&model).context_size(1024).threads(1).build()?;
//! let loaded = engine.load(&file, &LoadOptions::default())?;
//! assert_eq!(loaded.receipt.tokens_evaluated, 1);
//! engine.send("What is my name?", &Generation::default().max_tokens(16), &mut |piece| print!("{piece}"))?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a save writes, and what a load does with it
//!
//! ```text
//!  a live session
//!  ┌───────────────────────────────┐        ┌────────────────────────────────────────────────┐
//!  │ messages ─ tokens ─ KV in the │  save  │ chat.json   messages, tokens, parameters       │
//!  │                     context   ├───────►│             passport: model, cache, RoPE, …    │
//!  └───────────────────────────────┘        │             canary: what the last token gave   │
//!                                           │ chat.kv     the KV, in chunks named by hash    │
//!                                           └───────────────────────┬────────────────────────┘
//!                                                                   │ load
//!                       ┌───────────────────────────────────────────▼───┐
//!                       │ compare the passport with what is here        │
//!                       └──┬──────────┬──────────────┬──────────────┬───┘
//!                 the same │   another│ release,     │ other        │ another
//!                          │   type or order of KV   │ settings     │ model
//!                      direct    transcoded     reprefilled      replayed, or refused
//!                     as it was   re-encoded    saved tokens       by the chat's
//!                          │          │        are evaluated       own messages
//!                          └──────────┴──────┬───────┘
//!                       ┌────────────────────▼──────────────────────────┐
//!                       │ evaluate the last token: is it the canary?    │──no──► the next route, or refused
//!                       └────────────────────┬──────────────────────────┘
//!                                       live, with a receipt
//! ```
//!
//! A load happens in a context of its own: a refusal leaves the live sessions as they were. It is a typed error that names every
//! axis that differs ([`Refusal`]), and [`Receipt`] says how a load was carried out and why not better. [`LoadPolicy`] says which
//! routes may be taken. No byte reaches llama.cpp before it has been verified against its hash and the bounds of its layout.
//!
//! # Where to go on
//!
//! - [`AutoSave`] saves after each turn, and loads what is spoken to; it keeps sessions on a [`Shelf`], such as a [`Folder`].
//! - [`Engine::save_to`] and [`Engine::load_from`] take any place that holds a document and chunks; the crates `intact-store` and
//!   `intact-seal` have places in object stores, encrypted ones, and such in one file.
//! - [`Engine::check`] says what a load would do, and [`Engine::adopt`] makes a session of a state that another program saved.
//! - [`Engine::over`] puts an engine over a model that is loaded already.
//! - Every call blocks until it is done. Another thread stops a reply by its [`CancelToken`].
//! - llama.cpp's log goes to [`tracing`](https://docs.rs/tracing), unless the program has started llama.cpp's backend itself.
//!
//! # Features
//!
//! `cuda`, `metal` and `vulkan` build llama.cpp with a backend for an accelerator, as those of `llama-cpp-2` do. On Apple silicon
//! Metal is always there. llama.cpp is compiled along with the crate: that takes CMake, a C++ compiler, libclang, and minutes.
//! In a debug build, `LLAMA_LIB_PROFILE=Release` in the environment has it optimized all the same.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

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
mod options;
pub mod passport;
pub mod preset;
pub mod probe;
mod receipt;
mod replay;
pub mod sampler;
mod save;
pub mod session;
mod setters;
mod shared_model;
mod spares;
pub mod template;

pub use adopt::{AdoptOptions, Adopted};
pub use auto_save::{AutoSave, AutoSavePolicy, OpenedSession, Turn};
pub use cancel::CancelToken;
pub use engine::Engine;
pub use error::EngineError;
pub use llama::{LlamaError, Model, ModelSettings};
#[doc(hidden)]
pub use options::Hooks;
pub use options::{EngineOptions, LoadOptions, LoadParameters, Replace, SaveOptions, StartOptions};
pub use preset::{Preset, PresetError};
pub use receipt::{Check, Loaded, Receipt, Saved, Survey, Timings, Transcoding};
pub use replay::{Replay, Replayed};
pub use session::{Finish, Generation, Reply, Session};
pub use shared_model::SharedModel;

/// Everything about documents, passports, images and places, none of which needs llama.cpp.
pub use intact_format as format;
pub use intact_format::identity::ModelIdentity;
pub use intact_format::inputs::TemplateInputs;
pub use intact_format::kv_type::KvType;
pub use intact_format::message::{Details, Message, Role, ToolCall};
pub use intact_format::parameters::{
    CacheCleanupStrategy, ContextParameters, FlashAttentionMode, Parameters, SamplerParameters,
};
pub use intact_format::passport::{Axis, Consequence, Difference, Passport};
pub use intact_format::place::{
    Folder, PlaceError, SIDECAR_EXTENSION, SessionSink, SessionSource, Shelf, find_sidecar, sidecar_path,
};
pub use intact_format::route::{LoadPolicy, Refusal, RefusalCode, Route};
pub use intact_format::session_id::SessionId;
pub use intact_format::version::FormatVersion;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct CrateReadme;
