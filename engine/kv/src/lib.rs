//! llama.cpp's KV as bytes, without llama.cpp: [`layout`] parses and writes the state of every release, [`image`] cuts it in
//! chunks that are named by their content and keeps them in files, [`foreign`] reads the state files that others write.
//! [`regular`] reads nothing but regular files. Nothing here knows of sessions, models or routes.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod foreign;
pub mod image;
pub mod layout;
pub mod regular;
