//! A context with one sequence in it: evaluation, logits, and the sequence's state as bytes.

mod container;
mod pieces;

use std::sync::{Arc, PoisonError};

use self_cell::self_cell;

use super::native::batch::LlamaBatch;
use super::native::context::{LlamaContext, LlamaStateSeqFlags};
use super::native::log::first_error_of;
use super::{ContextSettings, LlamaError, Model, Token, fit};
pub use container::Container;
pub use pieces::Appending;

/// The one sequence that a session's context holds.
const SEQUENCE: i32 = 0;
/// A sequence beside it, whose cells fragment the cache.
const NEIGHBOUR: i32 = 1;
/// Runs of the neighbour's cells, of which every other one is removed again.
const FRAGMENTS: usize = 8;
/// Cells of a run.
const FRAGMENT: usize = 5;

self_cell!(
    /// A context and the model it borrows, so that both live as long as the session.
    struct Bound {
        owner: Arc<Model>,
        #[covariant]
        dependent: LlamaContext,
    }
);

/// A llama.cpp context that shares its model and holds one sequence.
pub struct Context {
    bound: Bound,
    settings: ContextSettings,
    /// A sequence that shares the cache and is empty between calls.
    scratch: Option<i32>,
    /// The state of the neighbour, where there is one, as it was made.
    neighbour: Option<Vec<u8>>,
    n_ctx: u32,
    n_batch: usize,
    threads: u32,
}

/// Which part of a sequence's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    Whole,
    /// Only what cannot be cut at a token: sliding-window caches and recurrent state.
    Uncuttable,
}

/// Bytes that [`Context::restore`] takes: either read from a context of the same kind, or verified by whoever made them.
#[derive(Clone)]
pub struct SequenceState {
    bytes: Vec<u8>,
    part: Part,
    /// The model and the settings of the context that it was read from.
    origin: Option<(Arc<Model>, ContextSettings)>,
}

impl SequenceState {
    /// Takes bytes for a whole state.
    ///
    /// # Safety
    /// llama.cpp checks little of a state, and reads and writes outside its buffers where one is forged. The caller vouches
    /// that these bytes were checked against a hash, and that they parse, to the last byte, in the layout and the shape of the
    /// contexts that they are put into; or, where the layout is not known, that they were read from a context of the same
    /// release, model and settings.
    #[must_use]
    #[expect(unsafe_code, reason = "what the caller vouches for cannot be checked here")]
    pub unsafe fn assume_verified(bytes: Vec<u8>) -> Self {
        Self { bytes, part: Part::Whole, origin: None }
    }

    /// The bytes, with llama.cpp's 8-byte prefix.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, with llama.cpp's 8-byte prefix.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Context {
    /// A context over a model.
    ///
    /// # Errors
    /// When llama.cpp cannot create it with these settings.
    pub fn new(model: &Arc<Model>, settings: &ContextSettings) -> Result<Self, LlamaError> {
        let params = settings.to_params()?.with_n_ctx_unless_given(model.n_ctx_train());
        let threads = u32::try_from(params.n_threads()).unwrap_or_default();
        let bound = Bound::try_new(Arc::clone(model), |model| {
            let _creation = model.creation.lock().unwrap_or_else(PoisonError::into_inner);
            let (context, logged) = first_error_of(|| LlamaContext::new(&model.inner, params));
            context.map_err(|error| LlamaError::Context(logged.unwrap_or_else(|| error.to_string())))
        })?;
        let (whole, n_batch) =
            bound.with_dependent(|_, context| (context.n_ctx(), context.n_batch() as usize));
        let n_ctx = if settings.kv_unified == Some(true) {
            whole
        } else {
            whole / settings.n_seq_max.unwrap_or(1).max(1)
        };
        let scratch = settings.scratch_sequence().and_then(|sequence| i32::try_from(sequence).ok());
        let mut context =
            Self { bound, settings: settings.clone(), scratch, neighbour: None, n_ctx, n_batch, threads };
        context.apply_adapters()?;
        Ok(context)
    }

    fn apply_adapters(&mut self) -> Result<(), LlamaError> {
        let model = Arc::clone(self.model());
        self.bound.with_dependent_mut(|_, context| model.adapters.apply(context))
    }

    /// Makes another sequence live beside the session's. Its cells have gaps between them, so that in a cache that both share
    /// the session's cells cannot lie side by side.
    ///
    /// # Errors
    /// When there is no second sequence, or evaluation fails.
    pub fn fragment(&mut self) -> Result<(), LlamaError> {
        let failed =
            |reason: String| LlamaError::Evaluate { tokens: FRAGMENTS * FRAGMENT, position: 0, reason };
        for piece in 0..FRAGMENTS {
            let mut batch = LlamaBatch::new(FRAGMENT);
            for at in piece * FRAGMENT..(piece + 1) * FRAGMENT {
                let position = i32::try_from(at).map_err(|error| failed(error.to_string()))?;
                batch
                    .add(Token(position), position, NEIGHBOUR, false)
                    .map_err(|error| failed(error.to_string()))?;
            }
            self.bound
                .with_dependent_mut(|_, context| context.decode(&mut batch))
                .map_err(|error| failed(error.to_string()))?;
        }
        for piece in (0..FRAGMENTS).step_by(2) {
            let bound = |at: usize| u32::try_from(at).ok();
            let (from, to) = (bound(piece * FRAGMENT), bound((piece + 1) * FRAGMENT));
            // Memory that cannot be cut keeps its cells.
            let _ = self.bound.with_dependent_mut(|_, context| {
                context.clear_kv_cache_seq(Some(NEIGHBOUR.unsigned_abs()), from, to)
            });
        }
        let mut made = Vec::new();
        self.read(NEIGHBOUR, Part::Whole, &mut made)?;
        self.neighbour = Some(made);
        Ok(())
    }

    /// Whether the sequence beside the session's, where there is one, is what it was made as, to the last byte.
    ///
    /// # Errors
    /// When llama.cpp does not write its state.
    pub fn neighbour_is_unharmed(&self) -> Result<bool, LlamaError> {
        let Some(made) = &self.neighbour else { return Ok(true) };
        let mut here = Vec::new();
        self.read(NEIGHBOUR, Part::Whole, &mut here)?;
        Ok(here == *made)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        self.bound.borrow_owner()
    }

    /// The settings that it was created with.
    #[must_use]
    pub fn settings(&self) -> &ContextSettings {
        &self.settings
    }

    /// Tokens that the sequence has room for.
    #[must_use]
    pub fn n_ctx(&self) -> u32 {
        self.n_ctx
    }

    /// Threads that evaluate single tokens.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Evaluates tokens from position `start` on, in one batch where the batch size allows it. The logits of the last
    /// one are available afterwards.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, when there is no room, or when llama.cpp fails. The memory may hold
    /// some of the tokens then: trim it.
    pub fn evaluate(&mut self, tokens: &[Token], start: usize) -> Result<(), LlamaError> {
        let n_vocab = self.model().n_vocab();
        if let Some(&token) = tokens.iter().find(|&&token| !self.model().knows(token)) {
            return Err(LlamaError::Token { token: token.0, n_vocab });
        }
        if start + tokens.len() > self.n_ctx as usize {
            return Err(LlamaError::Full { tokens: tokens.len(), position: start });
        }
        let mut batch = LlamaBatch::new(tokens.len().clamp(1, self.n_batch));
        for (piece, tokens_of_piece) in tokens.chunks(self.n_batch).enumerate() {
            let position = start + piece * self.n_batch;
            let failed =
                |reason: String| LlamaError::Evaluate { tokens: tokens_of_piece.len(), position, reason };
            batch.clear();
            for (at, &token) in tokens_of_piece.iter().enumerate() {
                let here = i32::try_from(position + at).map_err(|error| failed(error.to_string()))?;
                let last = at + 1 == tokens_of_piece.len();
                batch.add(token, here, SEQUENCE, last).map_err(|error| failed(error.to_string()))?;
            }
            self.bound
                .with_dependent_mut(|_, context| context.decode(&mut batch))
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Evaluates tokens as [`Context::evaluate`] does, in one batch, and gives the logits of each of the last `rows`.
    ///
    /// # Errors
    /// Those of [`Context::evaluate`], and when a batch has no room for all of them.
    pub fn evaluate_each(
        &mut self,
        tokens: &[Token],
        start: usize,
        rows: usize,
    ) -> Result<Vec<Vec<f32>>, LlamaError> {
        let failed = |reason: String| LlamaError::Evaluate { tokens: tokens.len(), position: start, reason };
        if tokens.len() > self.n_batch {
            return Err(failed(format!("a batch has room for {} tokens", self.n_batch)));
        }
        let first = tokens.len().saturating_sub(rows);
        let mut batch = LlamaBatch::new(tokens.len());
        for (at, &token) in tokens.iter().enumerate() {
            let here = i32::try_from(start + at).map_err(|error| failed(error.to_string()))?;
            batch.add(token, here, SEQUENCE, at >= first).map_err(|error| failed(error.to_string()))?;
        }
        self.bound
            .with_dependent_mut(|_, context| context.decode(&mut batch))
            .map_err(|error| failed(error.to_string()))?;
        let row = |at: usize| {
            let index = i32::try_from(at).unwrap_or(i32::MAX);
            self.bound.with_dependent(|_, context| context.get_logits_ith(index).to_vec())
        };
        Ok((first..tokens.len()).map(row).collect())
    }

    /// Logits of the token that was evaluated last: one for each token of the vocabulary.
    #[must_use]
    pub fn logits(&self) -> Vec<f32> {
        self.bound.with_dependent(|_, context| context.get_logits_ith(-1).to_vec())
    }

    /// The sequence's state as llama.cpp writes it, with its 8-byte prefix.
    ///
    /// # Errors
    /// When llama.cpp writes another number of bytes than it announced.
    pub fn state(&self, part: Part) -> Result<SequenceState, LlamaError> {
        self.state_in(part, Vec::new())
    }

    /// The same, in a buffer that held something else.
    ///
    /// # Errors
    /// Those of [`Context::state`].
    pub fn state_in(&self, part: Part, mut bytes: Vec<u8>) -> Result<SequenceState, LlamaError> {
        self.read(SEQUENCE, part, &mut bytes)?;
        Ok(SequenceState { bytes, part, origin: Some((Arc::clone(self.model()), self.settings.clone())) })
    }

    /// Reads a sequence's state into a buffer, whose content is replaced.
    fn read(&self, sequence: i32, part: Part, bytes: &mut Vec<u8>) -> Result<(), LlamaError> {
        self.bound.with_dependent(|_, context| {
            let expected = context.state_seq_get_size_ext(sequence, part.flags());
            fit(bytes, expected);
            #[expect(unsafe_code, reason = "the crate's safe form hides the bytes")]
            // SAFETY: the buffer has the size that llama.cpp announced for this very state, which cannot change in
            // between: the context is borrowed.
            let written =
                unsafe { context.state_seq_get_data_ext(bytes.as_mut_ptr(), sequence, part.flags()) };
            if written == expected { Ok(()) } else { Err(LlamaError::StateRead { expected, written }) }
        })
    }

    /// Bytes that [`Context::state`] would give.
    #[must_use]
    pub fn state_size(&self, part: Part) -> usize {
        self.bound.with_dependent(|_, context| context.state_seq_get_size_ext(SEQUENCE, part.flags()))
    }

    /// Puts a state into the sequence, in place of what is there.
    ///
    /// # Errors
    /// When llama.cpp does not take it, and the sequence is empty or damaged then; or when it was read from a context of
    /// another model or with other settings, and nothing has changed.
    pub fn restore(&mut self, state: &SequenceState) -> Result<(), LlamaError> {
        self.write(SEQUENCE, state)
    }

    fn write(&mut self, sequence: i32, state: &SequenceState) -> Result<(), LlamaError> {
        if let Some((model, settings)) = &state.origin
            && !(Arc::ptr_eq(model, self.model()) && *settings == self.settings)
        {
            return Err(LlamaError::StateWrite { bytes: state.bytes.len() });
        }
        let taken = self.bound.with_dependent_mut(|_, context| {
            #[expect(unsafe_code, reason = "the crate's safe form takes only what it read itself")]
            // SAFETY: the length travels with the bytes and llama.cpp reads no further; the bytes come from a context of
            // the same model and settings, or somebody vouches that they were verified.
            unsafe {
                context.state_seq_set_data_ext(&state.bytes, sequence, state.part.flags())
            }
        });
        if taken { Ok(()) } else { Err(LlamaError::StateWrite { bytes: state.bytes.len() }) }
    }

    /// Removes the tokens from position `from` on. `false` where the memory cannot be cut there.
    #[must_use]
    pub fn trim(&mut self, from: usize) -> bool {
        let from = u32::try_from(from).unwrap_or(u32::MAX);
        self.bound
            .with_dependent_mut(|_, context| {
                context.clear_kv_cache_seq(Some(SEQUENCE.unsigned_abs()), Some(from), None)
            })
            .unwrap_or(false)
    }

    /// Empties the memory; a neighbour keeps its part.
    pub fn clear(&mut self) {
        let beside = self.neighbour.is_some();
        self.bound.with_dependent_mut(|_, context| {
            // What cells held goes too, unless they may be another sequence's.
            if beside {
                let _ = context.clear_kv_cache_seq(Some(SEQUENCE.unsigned_abs()), None, None);
            } else {
                context.clear_kv_cache();
            }
        });
    }

    /// The first and the last position in the memory; `None` where it is empty.
    #[must_use]
    pub fn positions(&self) -> Option<(usize, usize)> {
        let (first, last) = self.bound.with_dependent(|_, context| {
            (context.kv_cache_seq_pos_min(SEQUENCE), context.kv_cache_seq_pos_max(SEQUENCE))
        });
        Some((usize::try_from(first).ok()?, usize::try_from(last).ok()?))
    }
}

impl Part {
    fn flags(self) -> LlamaStateSeqFlags {
        match self {
            Self::Whole => LlamaStateSeqFlags::empty(),
            Self::Uncuttable => LlamaStateSeqFlags::PARTIAL_ONLY,
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("n_ctx", &self.n_ctx).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SequenceState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SequenceState")
            .field("bytes", &self.bytes.len())
            .field("part", &self.part)
            .finish()
    }
}
