//! A context, and what can be done with its memory.

use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;

use crate::llama::sys;

use super::batch::LlamaBatch;
use super::params::LlamaContextParams;
use super::{Failed, address, c_path, failed};
use crate::llama::Token;
use crate::llama::binding::model::LlamaModel;

/// A context: a memory, and the logits of the last evaluation.
#[derive(Debug)]
pub(in crate::llama) struct LlamaContext<'model> {
    pointer: NonNull<sys::llama_context>,
    model: NonNull<sys::llama_model>,
    n_vocab: usize,
    borrows: PhantomData<&'model LlamaModel>,
}

// SAFETY: a context is not bound to a thread; whoever has it has it alone.
unsafe impl Send for LlamaContext<'_> {}

impl<'model> LlamaContext<'model> {
    /// An empty context. llama.cpp writes to the model meanwhile: the caller sees to it that nobody else makes one.
    pub(in crate::llama) fn new(
        model: &'model LlamaModel,
        params: LlamaContextParams,
    ) -> Result<Self, Failed> {
        let n_vocab = usize::try_from(model.n_vocab()).unwrap_or_default();
        let model = address(model);
        // SAFETY: the model lives, and outlives the context, which borrows it.
        let pointer = unsafe { sys::llama_init_from_model(model.as_ptr(), params.0) };
        let pointer = NonNull::new(pointer).ok_or_else(|| failed("null result from llama.cpp"))?;
        Ok(Self { pointer, model, n_vocab, borrows: PhantomData })
    }

    pub(super) fn pointer(&mut self) -> *mut sys::llama_context {
        self.pointer.as_ptr()
    }

    #[cfg_attr(not(llama_set_adapters), expect(dead_code, reason = "asked for where adapters are applied"))]
    pub(super) fn model(&self) -> NonNull<sys::llama_model> {
        self.model
    }

    pub(in crate::llama) fn n_ctx(&self) -> u32 {
        // SAFETY: the context lives.
        unsafe { sys::llama_n_ctx(self.pointer.as_ptr()) }
    }

    pub(in crate::llama) fn n_batch(&self) -> u32 {
        // SAFETY: the context lives.
        unsafe { sys::llama_n_batch(self.pointer.as_ptr()) }
    }

    pub(in crate::llama) fn decode(&mut self, batch: &mut LlamaBatch) -> Result<(), Failed> {
        let batch = batch.lend()?;
        // SAFETY: the context lives, and the batch's pointers are as long as it says during this call.
        match unsafe { sys::llama_decode(self.pointer.as_ptr(), batch) } {
            0 => Ok(()),
            1 => Err(failed("no room in the memory for the batch")),
            code => Err(failed(format!("llama_decode returned {code}"))),
        }
    }

    pub(in crate::llama) fn get_logits_ith(&self, index: i32) -> &[f32] {
        // SAFETY: llama.cpp returns null, or one row of logits that lives until the next evaluation, which takes the
        // context exclusively.
        unsafe {
            let row = sys::llama_get_logits_ith(self.pointer.as_ptr(), index);
            if row.is_null() { &[] } else { std::slice::from_raw_parts(row, self.n_vocab) }
        }
    }

    pub(in crate::llama) fn state_seq_get_size_ext(&self, sequence: i32, flags: LlamaStateSeqFlags) -> usize {
        let context = self.pointer.as_ptr();
        // SAFETY: the context lives. The call takes it mutably in C, and changes nothing.
        #[cfg(llama_state_seq_ext)]
        return unsafe { sys::llama_state_seq_get_size_ext(context, sequence, flags.bits()) };
        #[cfg(not(llama_state_seq_ext))]
        {
            let _without_parts = flags;
            // SAFETY: as above. These releases know no parts: the whole stands for any of them.
            unsafe { sys::llama_state_seq_get_size(context, sequence) }
        }
    }

    /// # Safety
    /// `target` points to as many bytes as [`Self::state_seq_get_size_ext`] gives.
    pub(in crate::llama) unsafe fn state_seq_get_data_ext(
        &self,
        target: *mut u8,
        sequence: i32,
        flags: LlamaStateSeqFlags,
    ) -> usize {
        let (context, size) = (self.pointer.as_ptr(), self.state_seq_get_size_ext(sequence, flags));
        // SAFETY: the context lives, and the target is as long as the caller promises.
        #[cfg(llama_state_seq_ext)]
        return unsafe { sys::llama_state_seq_get_data_ext(context, target, size, sequence, flags.bits()) };
        #[cfg(not(llama_state_seq_ext))]
        // SAFETY: as above.
        unsafe {
            sys::llama_state_seq_get_data(context, target, size, sequence)
        }
    }

    /// # Safety
    /// llama.cpp validates the bytes poorly: they must be a state that fits this context.
    pub(in crate::llama) unsafe fn state_seq_set_data_ext(
        &mut self,
        bytes: &[u8],
        sequence: i32,
        flags: LlamaStateSeqFlags,
    ) -> bool {
        let (context, source, size) = (self.pointer.as_ptr(), bytes.as_ptr(), bytes.len());
        #[cfg(llama_state_seq_ext)]
        // SAFETY: the context lives, the length is the source's, and the bytes are what the caller promises.
        let read =
            unsafe { sys::llama_state_seq_set_data_ext(context, source, size, sequence, flags.bits()) };
        #[cfg(not(llama_state_seq_ext))]
        let read = {
            let _without_parts = flags;
            // SAFETY: as above.
            unsafe { sys::llama_state_seq_set_data(context, source, size, sequence) }
        };
        read != 0
    }

    pub(in crate::llama) fn clear_kv_cache_seq(
        &mut self,
        sequence: Option<u32>,
        from: Option<u32>,
        to: Option<u32>,
    ) -> Result<bool, Failed> {
        let or_all = |bound: Option<u32>| {
            bound.map_or(Ok(-1), i32::try_from).map_err(|error| failed(error.to_string()))
        };
        let (sequence, from, to) = (or_all(sequence)?, or_all(from)?, or_all(to)?);
        // SAFETY: the context lives and its memory with it; any range is allowed.
        Ok(unsafe { sys::llama_memory_seq_rm(self.memory(), sequence, from, to) })
    }

    pub(in crate::llama) fn copy_kv_cache_seq(
        &mut self,
        source: i32,
        target: i32,
        from: Option<u32>,
        to: Option<u32>,
    ) -> Result<(), Failed> {
        let or_all = |bound: Option<u32>| {
            bound.map_or(Ok(-1), i32::try_from).map_err(|error| failed(error.to_string()))
        };
        let (from, to) = (or_all(from)?, or_all(to)?);
        // SAFETY: the context lives and its memory with it; attention caches number sequences beyond those that the context
        // was created with, and recurrent ones pass over them.
        unsafe { sys::llama_memory_seq_cp(self.memory(), source, target, from, to) };
        Ok(())
    }

    pub(in crate::llama) fn keep_kv_cache_seq(&mut self, sequence: i32) {
        // SAFETY: the context lives and its memory with it; the sequence is one that it was created with.
        unsafe { sys::llama_memory_seq_keep(self.memory(), sequence) };
    }

    pub(in crate::llama) fn clear_kv_cache(&mut self) {
        // SAFETY: the context lives and its memory with it.
        unsafe { sys::llama_memory_clear(self.memory(), true) };
    }

    pub(in crate::llama) fn kv_cache_seq_pos_min(&self, sequence: i32) -> i32 {
        // SAFETY: the context lives and its memory with it.
        unsafe { sys::llama_memory_seq_pos_min(self.memory(), sequence) }
    }

    pub(in crate::llama) fn kv_cache_seq_pos_max(&self, sequence: i32) -> i32 {
        // SAFETY: the context lives and its memory with it.
        unsafe { sys::llama_memory_seq_pos_max(self.memory(), sequence) }
    }

    pub(in crate::llama) fn state_seq_save_file(
        &self,
        path: impl AsRef<Path>,
        sequence: i32,
        tokens: &[Token],
    ) -> Result<usize, Failed> {
        let (path, tokens) = (c_path(path.as_ref())?, ids(tokens));
        // SAFETY: the path is NUL-terminated, and the length travels with the tokens.
        let written = unsafe {
            sys::llama_state_seq_save_file(
                self.pointer.as_ptr(),
                path.as_ptr(),
                sequence,
                tokens.as_ptr(),
                tokens.len(),
            )
        };
        if written == 0 { Err(failed("llama.cpp could not write it")) } else { Ok(written) }
    }

    #[cfg(feature = "blind")]
    pub(in crate::llama) fn state_seq_load_file(
        &mut self,
        path: impl AsRef<Path>,
        sequence: i32,
        room: usize,
    ) -> Result<(Vec<Token>, usize), Failed> {
        let path = c_path(path.as_ref())?;
        let (mut tokens, mut count) = (vec![0; room], 0);
        let (context, tokens_at) = (self.pointer(), tokens.as_mut_ptr());
        // SAFETY: the path is NUL-terminated, and the room travels with the buffer.
        let read = unsafe {
            sys::llama_state_seq_load_file(context, path.as_ptr(), sequence, tokens_at, room, &raw mut count)
        };
        if read == 0 {
            return Err(failed("llama.cpp could not read it"));
        }
        tokens.truncate(count);
        Ok((tokens.into_iter().map(Token).collect(), read))
    }

    pub(in crate::llama) fn state_save_file(
        &self,
        path: impl AsRef<Path>,
        tokens: &[Token],
    ) -> Result<(), Failed> {
        let (path, tokens) = (c_path(path.as_ref())?, ids(tokens));
        let (context, tokens_at) = (self.pointer.as_ptr(), tokens.as_ptr());
        // SAFETY: the path is NUL-terminated, and the length travels with the tokens.
        let saved = unsafe { sys::llama_state_save_file(context, path.as_ptr(), tokens_at, tokens.len()) };
        if saved { Ok(()) } else { Err(failed("llama.cpp could not write it")) }
    }

    #[cfg(feature = "blind")]
    pub(in crate::llama) fn state_load_file(
        &mut self,
        path: impl AsRef<Path>,
        room: usize,
    ) -> Result<Vec<Token>, Failed> {
        let path = c_path(path.as_ref())?;
        let (mut tokens, mut count) = (vec![0; room], 0);
        let (context, tokens_at) = (self.pointer(), tokens.as_mut_ptr());
        // SAFETY: the path is NUL-terminated, and the room travels with the buffer.
        let loaded =
            unsafe { sys::llama_state_load_file(context, path.as_ptr(), tokens_at, room, &raw mut count) };
        if !loaded {
            return Err(failed("llama.cpp could not read it"));
        }
        tokens.truncate(count);
        Ok(tokens.into_iter().map(Token).collect())
    }

    pub(in crate::llama) fn get_state_size(&self) -> usize {
        // SAFETY: the context lives. The call takes it mutably in C, and changes nothing.
        unsafe { sys::llama_state_get_size(self.pointer.as_ptr()) }
    }

    /// # Safety
    /// `target` points to as many bytes as [`Self::get_state_size`] gives.
    pub(in crate::llama) unsafe fn copy_state_data(&self, target: *mut u8) -> usize {
        let size = self.get_state_size();
        // SAFETY: the context lives, and the target is as long as the caller promises.
        unsafe { sys::llama_state_get_data(self.pointer.as_ptr(), target, size) }
    }

    /// # Safety
    /// llama.cpp validates the bytes poorly: they must be a state that fits this context.
    #[cfg(feature = "blind")]
    pub(in crate::llama) unsafe fn set_state_data(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: the context lives, the length is the source's, and the bytes are what the caller promises.
        unsafe { sys::llama_state_set_data(self.pointer.as_ptr(), bytes.as_ptr(), bytes.len()) }
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context lives.
        unsafe { sys::llama_get_memory(self.pointer.as_ptr()) }
    }
}

impl Drop for LlamaContext<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the context.
        unsafe { sys::llama_free(self.pointer.as_ptr()) };
    }
}

fn ids(tokens: &[Token]) -> Vec<sys::llama_token> {
    tokens.iter().map(|token| token.0).collect()
}

/// Which part of a sequence's state.
#[derive(Debug, Clone, Copy)]
pub(in crate::llama) struct LlamaStateSeqFlags(
    #[cfg_attr(not(llama_state_seq_ext), expect(dead_code, reason = "these releases know no parts"))] u32,
);

impl LlamaStateSeqFlags {
    /// What cannot be cut at a token. The number has been the same since the call exists.
    pub(in crate::llama) const PARTIAL_ONLY: Self = Self(1);

    pub(in crate::llama) const fn empty() -> Self {
        Self(0)
    }

    #[cfg(llama_state_seq_ext)]
    const fn bits(self) -> u32 {
        self.0
    }
}
