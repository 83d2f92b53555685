//! Session files, passports, KV layouts and images of intact: pure Rust, no llama.cpp.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod adoption;
pub mod canary;
pub mod digest;
pub mod gguf;
pub mod identity;
pub mod inputs;
pub mod kv_type;
pub mod manifest;
pub mod media;
pub mod message;
pub mod noise;
pub mod parameters;
pub mod passport;
pub mod place;
pub mod preset;
pub mod route;
pub mod schema;
pub mod session;
pub mod session_id;
pub mod text;
pub mod token;
pub mod transcode;
pub mod version;

pub use intact_kv::{foreign, image, layout, regular};
