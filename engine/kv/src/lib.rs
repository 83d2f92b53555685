//! llama.cpp's KV as bytes, without llama.cpp: [`layout`] parses and writes the state of every release, [`image`] cuts it in
//! chunks that are named by their content and keeps them in files, [`foreign`] reads the state files that others write.
//! Nothing here knows of sessions, models or routes.

pub mod foreign;
pub mod image;
pub mod layout;
