//! The part of `llama-cpp-2` that the engine uses, under the same names, over llama.cpp's C interface alone.
//!
//! `llama-cpp-2` changes from version to version. The C interface below it has hardly changed. So the engine is built on
//! `llama-cpp-2` for the current releases, and on this for the older ones; the `cfg`s, set by the build script, mark the few
//! calls that differ between those.

#![expect(unsafe_code, reason = "a binding to C")]

pub(super) mod llama_backend;
pub(super) mod model;
pub(super) mod sampling;
pub(super) mod token;
mod vocab;

use std::ffi::{CStr, c_char};

use super::native::{Failed, c_path, failed};

/// A copy of a C string; `None` for null.
///
/// # Safety
/// `text` is null, or points to a NUL-terminated string that lives during this call.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
