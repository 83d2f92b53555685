//! Any `libllama` that is at hand, opened at run time: a release's own binaries, a package of another vendor, a fork.
//!
//! [`open`] takes a folder with the library and its backends. It reads the headers of the files before anything of them is
//! run, opens them in order, finds the functions, and finds out by two calls how this release lays out the two structs that
//! are passed by value (`probe`, `layout`). What is not known is refused with the bytes that a new row of `layouts.toml`
//! needs; nothing is guessed. From then on [`sys`] has llama.cpp's functions under the names and with the types that
//! `llama-cpp-sys-2` gives them for the current release, whatever the library calls them.
//!
//! A process opens one library. Two releases in one process bind to each other's symbols, which nobody notices.

#![expect(unsafe_code, reason = "a binding to C")]

mod error;
mod file;
mod folder;
mod layout;
mod library;
mod params;
mod probe;
mod sampling;
mod symbols;
pub mod sys;

pub use error::OpenError;
pub use folder::Folder;
pub use library::{Library, Options, library, open};
