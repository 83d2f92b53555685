//! Parts of the sequence by position, read and written through a second sequence in the same cache: only the cells that
//! are meant are copied.

use std::ops::Range;

use super::{Context, LlamaError, Part, SEQUENCE, SequenceState};

/// States on their way into a sequence, one behind the other: see [`Context::appending`].
#[derive(Debug)]
pub struct Appending<'c> {
    context: &'c mut Context,
    scratch: i32,
}

impl Appending<'_> {
    /// Puts the state of a range of positions behind what the sequence holds.
    ///
    /// # Errors
    /// When llama.cpp does not take the state; the sequence is as it was then. Its success only says that it read something:
    /// compare [`Context::state_size`] at the end.
    pub fn push(&mut self, state: &SequenceState) -> Result<(), LlamaError> {
        // This also takes from the scratch sequence what was put there before.
        self.context.write(self.scratch, state)?;
        self.context.share(self.scratch, SEQUENCE, None, None)
    }
}

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        self.context.forget(self.scratch);
    }
}

impl Context {
    /// The sequence that a range of positions can be read and written through. There is none where the cache is not
    /// shared between sequences.
    #[must_use]
    pub fn scratch(&self) -> Option<i32> {
        self.scratch
    }

    /// Reads the state of a range of positions into a buffer, as that of the sequence [`Context::scratch`]. The sequence
    /// itself stays as it is.
    ///
    /// # Errors
    /// When there is no second sequence, or llama.cpp does not write what it announced.
    pub fn slice(&mut self, positions: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), LlamaError> {
        let scratch = self.scratch.ok_or(LlamaError::NoScratch)?;
        let bound = |position: usize| u32::try_from(position).ok();
        self.share(SEQUENCE, scratch, bound(positions.start), bound(positions.end))?;
        let read = self.read(scratch, Part::Whole, bytes);
        self.forget(scratch);
        read
    }

    /// Begins to put states of ranges of positions behind what the sequence holds.
    ///
    /// # Errors
    /// When there is no second sequence.
    pub fn appending(&mut self) -> Result<Appending<'_>, LlamaError> {
        let scratch = self.scratch.ok_or(LlamaError::NoScratch)?;
        Ok(Appending { context: self, scratch })
    }

    /// Lets the cells of one sequence belong to another one too.
    fn share(
        &mut self,
        source: i32,
        target: i32,
        from: Option<u32>,
        to: Option<u32>,
    ) -> Result<(), LlamaError> {
        self.bound
            .with_dependent_mut(|_, context| context.copy_kv_cache_seq(source, target, from, to))
            .map_err(|_| LlamaError::NoScratch)
    }

    fn forget(&mut self, scratch: i32) {
        // Removing a whole sequence always succeeds.
        let _ = self.bound.with_dependent_mut(|_, context| {
            context.clear_kv_cache_seq(Some(scratch.unsigned_abs()), None, None)
        });
    }
}
