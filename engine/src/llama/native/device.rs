//! What ggml can evaluate on here.

use std::ffi::CStr;

use crate::llama::sys;

use crate::llama::device::{Device, Kind};

/// The devices that ggml has found, in its order.
pub(in crate::llama) fn devices() -> Vec<Device> {
    // SAFETY: takes nothing and returns a value; ggml registers its devices once, when it is first asked.
    let count = unsafe { sys::ggml_backend_dev_count() };
    (0..count).filter_map(device).collect()
}

fn device(at: usize) -> Option<Device> {
    // SAFETY: the index is below the count. The device, its backend and their names live as long as the program.
    let (kind, name) = unsafe {
        let device = sys::ggml_backend_dev_get(at);
        if device.is_null() {
            return None;
        }
        let backend = sys::ggml_backend_dev_backend_reg(device);
        let name = if backend.is_null() { std::ptr::null() } else { sys::ggml_backend_reg_name(backend) };
        if name.is_null() {
            return None;
        }
        (sys::ggml_backend_dev_type(device), CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    let kind = match kind {
        sys::GGML_BACKEND_DEVICE_TYPE_CPU => Kind::Processor,
        sys::GGML_BACKEND_DEVICE_TYPE_ACCEL => Kind::Helper,
        _ => Kind::Accelerator,
    };
    Some(Device { kind, name })
}

/// Layers that llama.cpp puts on an accelerator where nothing else is asked for; below 0 for all of them.
pub(in crate::llama) fn usual_layers() -> i32 {
    // SAFETY: takes nothing and returns a value.
    unsafe { sys::llama_model_default_params() }.n_gpu_layers
}
