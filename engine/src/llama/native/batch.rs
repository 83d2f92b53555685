//! Tokens on their way into a context.

use super::{Failed, failed};
use crate::llama::Token;

/// Tokens to be evaluated together, each of one sequence.
#[derive(Debug)]
pub(in crate::llama) struct LlamaBatch {
    room: usize,
    tokens: Vec<i32>,
    positions: Vec<i32>,
    sequences: Vec<i32>,
    wants_logits: Vec<i8>,
    /// Scratch of [`LlamaBatch::lend`]: it must live as long as the batch that points into it.
    sequence_counts: Vec<i32>,
    sequence_pointers: Vec<*mut i32>,
}

// SAFETY: the pointers are scratch, written anew before every use.
unsafe impl Send for LlamaBatch {}

impl LlamaBatch {
    pub(in crate::llama) fn new(room: usize) -> Self {
        Self {
            room,
            tokens: Vec::with_capacity(room),
            positions: Vec::with_capacity(room),
            sequences: Vec::with_capacity(room),
            wants_logits: Vec::with_capacity(room),
            sequence_counts: Vec::with_capacity(room),
            sequence_pointers: Vec::with_capacity(room),
        }
    }

    pub(in crate::llama) fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.wants_logits.clear();
    }

    pub(in crate::llama) fn add(
        &mut self,
        token: Token,
        position: i32,
        sequence: i32,
        logits: bool,
    ) -> Result<(), Failed> {
        if self.tokens.len() == self.room {
            return Err(failed(format!("the batch has room for {} tokens", self.room)));
        }
        self.tokens.push(token.0);
        self.positions.push(position);
        self.sequences.push(sequence);
        self.wants_logits.push(i8::from(logits));
        Ok(())
    }

    /// llama.cpp's form of it, valid until the batch is touched again.
    pub(super) fn lend(&mut self) -> Result<crate::llama::sys::llama_batch, Failed> {
        let n_tokens = i32::try_from(self.tokens.len()).map_err(|error| failed(error.to_string()))?;
        self.sequence_counts.clear();
        self.sequence_counts.resize(self.tokens.len(), 1);
        self.sequence_pointers.clear();
        self.sequence_pointers.extend(self.sequences.iter_mut().map(std::ptr::from_mut));
        Ok(crate::llama::sys::llama_batch {
            n_tokens,
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.sequence_counts.as_mut_ptr(),
            seq_id: self.sequence_pointers.as_mut_ptr(),
            logits: self.wants_logits.as_mut_ptr(),
        })
    }
}
