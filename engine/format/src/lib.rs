//! Session files, passports, KV layouts and images of intact: pure Rust, no llama.cpp.

pub mod gguf;
pub mod identity;
pub mod image;
pub mod layout;
