//! Parts of the sequence by position, read and written through a second sequence in the same cache: only the cells that
//! are meant are copied.

use std::ops::Range;

use super::{Context, LlamaError, Part, SEQUENCE, SequenceState};
use crate::llama::release;

/// Who has the cells that are set aside while the others are read. No token is ever evaluated for it, so a context of one
/// sequence needs no room for it.
const ASIDE: i32 = 1;

/// States on their way into a sequence, one behind the other: see [`Context::appending`].
#[derive(Debug)]
pub struct Appending<'c> {
    context: &'c mut Context,
    scratch: i32,
}

impl Appending<'_> {
    /// Puts the state of a range of positions, from `first` on, behind what the sequence holds.
    ///
    /// # Errors
    /// When llama.cpp does not take the state; the sequence is as it was then. Its success only says that it read something:
    /// compare [`Context::state_size`] at the end.
    pub fn push(&mut self, state: &SequenceState, first: u32) -> Result<(), LlamaError> {
        // This also takes from the scratch sequence what was put there before.
        self.context.write(self.scratch, state)?;
        // Of cells before the first, llama.cpp reads no more than the position.
        self.context.share(self.scratch, SEQUENCE, Some(first), None)
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

    /// Can the end of the sequence be read without its beginning? It can where it is alone in the context.
    #[must_use]
    pub fn can_set_aside(&self) -> bool {
        release::has_kv_unified()
            && self.scratch.is_none()
            && self.neighbour.is_none()
            && self.settings.n_seq_max.unwrap_or(1) <= 1
    }

    /// Reads the sequence's state into a buffer, but for the attention cells before position `from`. What is not attention
    /// is read whole. The sequence stays as it is: the other cells are another one's in the meantime.
    ///
    /// # Errors
    /// When the sequence is not alone in the context, ends before `from`, or llama.cpp does not write what it announced.
    pub fn tail(&mut self, from: usize, bytes: &mut Vec<u8>) -> Result<(), LlamaError> {
        let refused = LlamaError::NotSetAside { from };
        let before = u32::try_from(from).ok();
        // A running state would go together with the last cell.
        let ends_behind = self.positions().is_some_and(|(_, last)| from <= last);
        if !self.can_set_aside() || !ends_behind || before.is_none() {
            return Err(refused);
        }
        self.share(SEQUENCE, ASIDE, None, before)?;
        let set_aside = self.bound.with_dependent_mut(|_, context| {
            context.clear_kv_cache_seq(Some(SEQUENCE.unsigned_abs()), None, before).unwrap_or(false)
        });
        let read = if set_aside {
            let read = self.read(SEQUENCE, Part::Whole, bytes);
            // Only what it has lost: a cell that is given to a sequence twice would be counted twice.
            self.share(ASIDE, SEQUENCE, None, before)?;
            read
        } else {
            Err(refused)
        };
        self.bound.with_dependent_mut(|_, context| context.keep_kv_cache_seq(SEQUENCE));
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
