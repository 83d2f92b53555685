//! The part of `llama-cpp-2` that the engine uses, under the same names, over llama.cpp's C interface alone.
//!
//! `llama-cpp-2` changes from version to version, and the older ones cannot read the state of a sequence at all. The C
//! interface below it has hardly changed. So the engine is built on `llama-cpp-2` for the current releases, and on this
//! for the older ones; the `cfg`s, set by the build script, mark the few calls that differ between those.

#![expect(unsafe_code, reason = "a binding to C")]

pub(super) mod context;
pub(super) mod llama_backend;
pub(super) mod llama_batch;
pub(super) mod model;
pub(super) mod sampling;
pub(super) mod token;
mod vocab;

pub(super) use llama_backend::{LogOptions, send_logs_to_tracing};

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::path::Path;

/// What llama.cpp did not do.
#[derive(Debug)]
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn failed(what: impl Into<String>) -> Failed {
    Failed(what.into())
}

fn c_path(path: &Path) -> Result<CString, Failed> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| failed("the path contains a NUL"))
}

/// A copy of a C string; `None` for null.
///
/// # Safety
/// `text` is null, or points to a NUL-terminated string that lives during this call.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
