//! Contexts, over llama.cpp's C interface.
//!
//! `llama-cpp-2` keeps the address of its contexts to itself, and offers little of what one has to do with a context here:
//! it applies one LoRA adapter at a time and no control vectors, passes a state on without its length, and panics where
//! there are no logits. So the engine makes its contexts itself, on every release; the `cfg`s, set by the build script,
//! mark the few calls that differ between those.

#![expect(unsafe_code, reason = "a binding to C")]

pub(super) mod adapter;
pub(super) mod batch;
pub(super) mod context;
pub(super) mod device;
pub(super) mod log;
pub(super) mod params;

use std::ffi::CString;
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;

use crate::llama::sys;

use super::binding::model::LlamaModel;

/// What llama.cpp did not do.
#[derive(Debug)]
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

pub(super) fn failed(what: impl Into<String>) -> Failed {
    Failed(what.into())
}

pub(super) fn c_path(path: &Path) -> Result<CString, Failed> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| failed("the path contains a NUL"))
}

#[cfg(llama_raw)]
fn address(model: &LlamaModel) -> NonNull<sys::llama_model> {
    model.pointer()
}

/// The model that a wrapper of the crate holds.
#[cfg(not(llama_raw))]
fn address(model: &LlamaModel) -> NonNull<sys::llama_model> {
    const { assert!(size_of::<LlamaModel>() == size_of::<NonNull<sys::llama_model>>()) };
    // SAFETY: the wrapper is `repr(transparent)` over a non-null pointer to its model, in the versions of the crate that
    // are pinned. The pointer is copied, and used only while the wrapper lives.
    unsafe { *std::ptr::from_ref(model).cast() }
}
