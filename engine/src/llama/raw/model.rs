use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;

use crate::llama::sys;

use super::llama_backend::LlamaBackend;
use super::vocab::LlamaVocab;
use super::{Failed, c_path, failed, owned};

/// A loaded model.
#[derive(Debug)]
pub(in crate::llama) struct LlamaModel {
    pointer: NonNull<sys::llama_model>,
}

// SAFETY: llama.cpp's models are not bound to a thread, and what takes them by shared reference here only reads them. What
// creating a context writes to, the trained context length, is read once, before there is a context; and contexts are
// created one at a time: the owner of the model holds a lock for that.
unsafe impl Send for LlamaModel {}
// SAFETY: as above.
unsafe impl Sync for LlamaModel {}

impl LlamaModel {
    pub(in crate::llama) fn load_from_file(
        _: &LlamaBackend,
        path: &Path,
        params: &params::LlamaModelParams,
    ) -> Result<Self, Failed> {
        let path = c_path(path)?;
        // SAFETY: the path is NUL-terminated and the parameters are llama.cpp's own defaults with fields set.
        let pointer = unsafe { sys::llama_model_load_from_file(path.as_ptr(), params.0) };
        NonNull::new(pointer)
            .map(|pointer| Self { pointer })
            .ok_or_else(|| failed("null result from llama.cpp"))
    }

    pub(in crate::llama) fn pointer(&self) -> NonNull<sys::llama_model> {
        self.pointer
    }

    pub(in crate::llama) fn n_vocab(&self) -> i32 {
        // SAFETY: the vocabulary belongs to the model, which lives.
        unsafe { sys::llama_vocab_n_tokens(self.vocabulary()) }
    }

    pub(in crate::llama) fn n_ctx_train(&self) -> u32 {
        // SAFETY: the model lives.
        u32::try_from(unsafe { sys::llama_model_n_ctx_train(self.pointer.as_ptr()) }).unwrap_or_default()
    }

    pub(in crate::llama) fn n_layer(&self) -> u32 {
        // SAFETY: the model lives.
        u32::try_from(unsafe { sys::llama_model_n_layer(self.pointer.as_ptr()) }).unwrap_or_default()
    }

    pub(in crate::llama) fn is_recurrent(&self) -> bool {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_is_recurrent(self.pointer.as_ptr()) }
    }

    pub(in crate::llama) fn is_hybrid(&self) -> bool {
        #[cfg(llama_model_is_hybrid)]
        // SAFETY: the model lives.
        return unsafe { sys::llama_model_is_hybrid(self.pointer.as_ptr()) };
        #[cfg(not(llama_model_is_hybrid))]
        // These releases have no hybrid memory.
        false
    }

    pub(in crate::llama) fn meta_val_str(&self, key: &str) -> Result<String, Failed> {
        let key = CString::new(key).map_err(|_| failed("the key contains a NUL"))?;
        // Returns the whole length, however little was written.
        let get = |room: &mut [u8]| {
            // SAFETY: the key is NUL-terminated, and the length of the buffer travels with it.
            unsafe {
                sys::llama_model_meta_val_str(
                    self.pointer.as_ptr(),
                    key.as_ptr(),
                    room.as_mut_ptr().cast(),
                    room.len(),
                )
            }
        };
        let length = usize::try_from(get(&mut [])).map_err(|_| failed("no such key"))?;
        let mut text = vec![0; length + 1];
        get(&mut text);
        text.truncate(length);
        String::from_utf8(text).map_err(|_| failed("the value is not UTF-8"))
    }

    pub(in crate::llama) fn chat_template(&self, _name: Option<&str>) -> Result<Template, Failed> {
        // SAFETY: the model lives and so does the string, which is copied at once.
        let text = unsafe { owned(sys::llama_model_chat_template(self.pointer.as_ptr(), std::ptr::null())) };
        text.map(Template).ok_or_else(|| failed("the model has no chat template"))
    }

    pub(in crate::llama) fn vocab(&self) -> LlamaVocab<'_> {
        LlamaVocab::of(self)
    }

    pub(super) fn vocabulary(&self) -> *const sys::llama_vocab {
        // SAFETY: the model lives.
        unsafe { sys::llama_model_get_vocab(self.pointer.as_ptr()) }
    }
}

impl Drop for LlamaModel {
    fn drop(&mut self) {
        // SAFETY: contexts borrow the model, so none is left.
        unsafe { sys::llama_model_free(self.pointer.as_ptr()) };
    }
}

/// A chat template in Jinja.
#[derive(Debug)]
pub(in crate::llama) struct Template(String);

impl Template {
    #[expect(clippy::unnecessary_wraps, reason = "as in llama-cpp-2")]
    pub(in crate::llama) fn to_string(&self) -> Result<String, Failed> {
        Ok(self.0.clone())
    }
}

pub(in crate::llama) mod params {
    use crate::llama::sys;

    /// How a model is loaded.
    #[derive(Debug)]
    pub(in crate::llama) struct LlamaModelParams(pub(super) sys::llama_model_params);

    impl Default for LlamaModelParams {
        fn default() -> Self {
            // SAFETY: takes nothing and returns a value.
            Self(unsafe { sys::llama_model_default_params() })
        }
    }

    impl LlamaModelParams {
        pub(in crate::llama) fn with_n_gpu_layers(mut self, layers: u32) -> Self {
            self.0.n_gpu_layers = i32::try_from(layers).unwrap_or(i32::MAX);
            self
        }

        pub(in crate::llama) fn with_main_gpu(mut self, gpu: i32) -> Self {
            self.0.main_gpu = gpu;
            self
        }

        #[cfg(not(llama_load_mode))]
        pub(in crate::llama) fn with_use_mmap(mut self, mmap: bool) -> Self {
            self.0.use_mmap = mmap;
            self
        }

        #[cfg(not(llama_load_mode))]
        pub(in crate::llama) fn with_use_mlock(mut self, mlock: bool) -> Self {
            self.0.use_mlock = mlock;
            self
        }

        #[cfg(llama_load_mode)]
        pub(in crate::llama) fn with_use_mmap(mut self, mmap: bool) -> Self {
            self.0.load_mode = load_mode(mmap, self.locks());
            self
        }

        #[cfg(llama_load_mode)]
        pub(in crate::llama) fn with_use_mlock(mut self, mlock: bool) -> Self {
            let maps = ![sys::LLAMA_LOAD_MODE_NONE, sys::LLAMA_LOAD_MODE_MLOCK].contains(&self.0.load_mode);
            self.0.load_mode = load_mode(maps, mlock);
            self
        }

        #[cfg(llama_load_mode)]
        fn locks(&self) -> bool {
            [sys::LLAMA_LOAD_MODE_MLOCK, sys::LLAMA_LOAD_MODE_MMAP_MLOCK].contains(&self.0.load_mode)
        }
    }

    #[cfg(llama_load_mode)]
    fn load_mode(mmap: bool, mlock: bool) -> sys::llama_load_mode {
        match (mmap, mlock) {
            (false, false) => sys::LLAMA_LOAD_MODE_NONE,
            (true, false) => sys::LLAMA_LOAD_MODE_MMAP,
            (false, true) => sys::LLAMA_LOAD_MODE_MLOCK,
            (true, true) => sys::LLAMA_LOAD_MODE_MMAP_MLOCK,
        }
    }
}
