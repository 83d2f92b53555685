//! Session files, passports, KV layouts and images of intact: pure Rust, no llama.cpp.

pub mod image;
pub mod layout;
