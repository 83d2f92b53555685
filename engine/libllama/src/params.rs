//! The structs that are passed by value, in the layout of the library that is open.

use crate::layout::Layout;
use crate::probe::Probe;

/// More bytes than `llama_model_params` and `llama_context_params` have in any release. What is passed in excess is not read.
pub(crate) const PARAMS: usize = 1024;
/// More bytes than `llama_batch` has in any release.
pub(crate) const BATCH: usize = 128;

/// A struct whose fields are known at run time only.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Blob<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Blob<N> {
    pub(crate) fn put<const M: usize>(&mut self, at: usize, bytes: [u8; M]) {
        self.0[at..at + M].copy_from_slice(&bytes);
    }
}

/// A struct of the library: where its fields are, and its defaults.
pub(crate) struct Form {
    pub(crate) layout: &'static Layout,
    defaults: Blob<PARAMS>,
}

impl Form {
    pub(crate) fn new(layout: &'static Layout, probe: &Probe) -> Self {
        Self { layout, defaults: probe.blob() }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.layout.offset(field).is_some()
    }

    /// The default of a field. None where there is no such field.
    pub(crate) fn default_i32(&self, field: &str) -> Option<i32> {
        self.default(field).map(i32::from_ne_bytes)
    }

    pub(crate) fn default_f32(&self, field: &str) -> Option<f32> {
        self.default(field).map(f32::from_ne_bytes)
    }

    pub(crate) fn default_bool(&self, field: &str) -> Option<bool> {
        self.default(field).map(|[byte]| byte != 0)
    }

    fn default<const M: usize>(&self, field: &str) -> Option<[u8; M]> {
        let at = self.layout.offset(field)?;
        self.defaults.0.get(at..at + M)?.try_into().ok()
    }

    /// The defaults, with values in place of some of them. Fails with the name of a field that is to be other than what the
    /// library does without it.
    pub(crate) fn with(&self, values: &[(&'static str, Value)]) -> Result<Blob<PARAMS>, &'static str> {
        let mut blob = self.defaults;
        for (field, value) in values {
            match (self.layout.offset(field), value) {
                (Some(at), Value::I32(value)) => blob.put(at, value.to_ne_bytes()),
                (Some(at), Value::F32(value)) => blob.put(at, value.to_ne_bytes()),
                (Some(at), Value::Bool { value, .. }) => blob.put(at, [u8::from(*value)]),
                (None, Value::Bool { value, without }) if without.is_none_or(|without| without == *value) => {
                }
                (None, _) => return Err(field),
            }
        }
        Ok(blob)
    }
}

/// What a field is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    I32(i32),
    F32(f32),
    Bool {
        value: bool,
        /// What libraries without this field do. None where it makes no difference to them.
        without: Option<bool>,
    },
}
