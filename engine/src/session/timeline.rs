//! The token stream of a live session and the memory behind it.
//!
//! The last token is *pending* (not in the memory yet) or *evaluated* (in the memory, its logits kept). Tokens before
//! which something is decided, that is the last one before sampling and a pending one, are always evaluated alone, so
//! the batches are the same whether or not the session was saved and loaded in between, and so are the logits, bit by
//! bit.

use std::ops::Range;

use super::Memory;
use crate::llama::{Context, LlamaError, Part, SequenceState, Token};

/// A token stream over a context of its own.
#[derive(Debug)]
pub struct Timeline {
    context: Context,
    memory: Memory,
    tokens: Vec<Token>,
    in_memory: usize,
    logits: Option<Vec<f32>>,
    checkpoints: Vec<Checkpoint>,
    evaluations: u64,
    unchanged: usize,
}

/// What cannot be cut of a memory, as it was after `length` tokens.
#[derive(Debug)]
struct Checkpoint {
    length: usize,
    state: SequenceState,
    /// The memory was restored from it since.
    closed: bool,
}

/// Checkpoints kept: one before the turn, one before the last token.
const CHECKPOINTS: usize = 2;

impl Timeline {
    /// An empty stream over an empty context.
    #[must_use]
    pub fn new(context: Context, memory: Memory) -> Self {
        Self {
            context,
            memory,
            tokens: Vec::new(),
            in_memory: 0,
            logits: None,
            checkpoints: Vec::new(),
            evaluations: 0,
            unchanged: 0,
        }
    }

    /// A stream whose memory, but for the last token, was put into the context from a file. The last token is
    /// evaluated by the first call that needs its logits.
    #[must_use]
    pub fn restored(context: Context, memory: Memory, tokens: Vec<Token>) -> Self {
        let in_memory = tokens.len().saturating_sub(1);
        Self { tokens, in_memory, ..Self::new(context, memory) }
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Is the last token not in the memory yet?
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.in_memory < self.tokens.len()
    }

    /// Tokens that are in the memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// Tokens evaluated over the stream's life.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Tokens that there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        (self.context.n_ctx() as usize).saturating_sub(self.tokens.len())
    }

    /// Of the first tokens that were in the memory at the last `start_watching`, how many have not left it
    /// since.
    #[must_use]
    pub fn unchanged(&self) -> usize {
        self.unchanged
    }

    /// Watches from now on whether the first `length` tokens stay in the memory.
    pub(crate) fn start_watching(&mut self, length: usize) {
        self.unchanged = length.min(self.in_memory);
    }

    /// The state of a range of tokens: see [`Context::slice`].
    ///
    /// # Errors
    /// Those of [`Context::slice`].
    pub(crate) fn slice(&mut self, tokens: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), LlamaError> {
        self.context.slice(tokens, bytes)
    }

    /// The state but for the attention cells of the first `from` tokens: see [`Context::tail`].
    ///
    /// # Errors
    /// Those of [`Context::tail`].
    pub(crate) fn tail(&mut self, from: usize, bytes: &mut Vec<u8>) -> Result<(), LlamaError> {
        self.context.tail(from, bytes)
    }

    /// The context.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Gives the context back, as it is.
    #[must_use]
    pub fn into_context(self) -> Context {
        self.context
    }

    /// The context, for the blind path, which changes the memory behind the stream's back.
    #[cfg(feature = "blind")]
    pub(crate) fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Takes somebody's word for what the memory holds: the blind path.
    #[cfg(feature = "blind")]
    pub(crate) fn overwrite(&mut self, tokens: Vec<Token>, in_memory: usize) {
        let pending = tokens.len().saturating_sub(1);
        if in_memory > pending {
            // Whether the memory can be cut there is not looked at: the blind path does not look.
            let _ = self.context.trim(pending);
        }
        self.in_memory = in_memory.min(pending);
        self.unchanged = 0;
        self.tokens = tokens;
        self.logits = None;
        self.checkpoints.clear();
    }

    /// The kind of memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Appends tokens: the pending one is evaluated alone, then all of the new ones but the last in one batch.
    ///
    /// # Errors
    /// When there is no room or evaluation fails; the stream is as it was then.
    pub fn extend(&mut self, tokens: &[Token]) -> Result<(), LlamaError> {
        let Some((_, settled)) = tokens.split_last() else { return Ok(()) };
        let length = self.tokens.len();
        if tokens.len() > self.room() {
            return Err(LlamaError::Full { tokens: tokens.len(), position: length });
        }
        self.keep_checkpoint()?;
        self.evaluate_pending()?;
        self.tokens.extend_from_slice(tokens);
        self.logits = None;
        if let Err(error) = self.evaluate_batch(length, settled) {
            let before = self.tokens[..length].to_vec();
            self.revert(&before);
            return Err(error);
        }
        Ok(())
    }

    /// Appends one token, which stays pending.
    ///
    /// # Errors
    /// When there is no room or the token before it cannot be evaluated.
    pub fn push(&mut self, token: Token) -> Result<(), LlamaError> {
        if self.room() == 0 {
            return Err(LlamaError::Full { tokens: 1, position: self.tokens.len() });
        }
        self.evaluate_pending()?;
        self.tokens.push(token);
        self.logits = None;
        Ok(())
    }

    /// The logits after the last token; evaluates it if it is pending. `None` for an empty stream.
    ///
    /// # Errors
    /// When evaluation fails.
    pub fn logits(&mut self) -> Result<Option<&[f32]>, LlamaError> {
        self.evaluate_pending()?;
        Ok(self.logits.as_deref())
    }

    /// Like [`Timeline::logits`], in such a way that the last token can be held back again at once.
    ///
    /// # Errors
    /// When evaluation fails.
    pub fn settled_logits(&mut self) -> Result<Option<&[f32]>, LlamaError> {
        if self.is_pending() {
            self.keep_checkpoint()?;
        }
        self.logits()
    }

    /// Appends tokens, each evaluated alone, and gives the logits after the last token there was and after each of them;
    /// `None` for an empty stream.
    ///
    /// # Errors
    /// When there is no room or evaluation fails.
    pub fn scored(&mut self, tokens: &[Token]) -> Result<Option<Vec<Vec<f32>>>, LlamaError> {
        if tokens.len() > self.room() {
            return Err(LlamaError::Full { tokens: tokens.len(), position: self.tokens.len() });
        }
        let Some(first) = self.settled_logits()? else { return Ok(None) };
        let mut rows = vec![first.to_vec()];
        for (at, &token) in tokens.iter().enumerate() {
            self.push(token)?;
            let last = at + 1 == tokens.len();
            let row = if last { self.settled_logits()? } else { self.logits()? };
            rows.extend(row.map(<[f32]>::to_vec));
        }
        Ok(Some(rows))
    }

    /// Makes the last token pending again.
    ///
    /// # Errors
    /// When what has to be evaluated for it cannot be.
    pub fn hold_back(&mut self) -> Result<(), LlamaError> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        if self.is_pending() { self.settle() } else { self.rewind(self.tokens.len() - 1) }
    }

    /// Cuts the stream behind its first `length` tokens; the last of them is pending afterwards.
    ///
    /// # Errors
    /// When what has to be evaluated for it cannot be.
    pub fn truncate(&mut self, length: usize) -> Result<(), LlamaError> {
        if length < self.tokens.len() {
            self.tokens.truncate(length);
            self.rewind(length.saturating_sub(1))?;
        }
        Ok(())
    }

    /// Makes the stream what it was before. Of the memory, what both have in common stays as far as it can be cut; the rest
    /// is evaluated when it is needed, so that this cannot fail.
    pub(crate) fn revert(&mut self, tokens: &[Token]) {
        if self.tokens == tokens {
            return;
        }
        let common = self.tokens.iter().zip(tokens).take_while(|(old, new)| old == new).count();
        self.tokens.clear();
        self.tokens.extend_from_slice(tokens);
        self.bring_back(common.min(tokens.len().saturating_sub(1)));
    }

    /// Replaces the stream; what both have in common from the start on is kept where the memory allows it.
    ///
    /// # Errors
    /// When the new tokens do not fit, and the stream is as it was; or when they cannot be evaluated: they are in the stream
    /// then, and those that are missing from the memory are evaluated when they are needed.
    pub fn replace(&mut self, tokens: &[Token]) -> Result<(), LlamaError> {
        let common = self.tokens.iter().zip(tokens).take_while(|(old, new)| old == new).count();
        if tokens.len() > self.context.n_ctx() as usize {
            return Err(LlamaError::Full { tokens: tokens.len(), position: 0 });
        }
        self.tokens.clear();
        self.tokens.extend_from_slice(tokens);
        self.rewind(common.min(tokens.len().saturating_sub(1)))
    }

    /// The state of the memory as llama.cpp writes it.
    ///
    /// # Errors
    /// When llama.cpp cannot write it.
    pub fn state(&mut self) -> Result<SequenceState, LlamaError> {
        self.settle()?;
        self.keep_checkpoint()?;
        self.context.state(Part::Whole)
    }

    fn evaluate_pending(&mut self) -> Result<(), LlamaError> {
        let Some((last, settled)) = self.tokens.split_last() else { return Ok(()) };
        if self.in_memory == self.tokens.len() {
            return Ok(());
        }
        let (last, position) = (*last, settled.len());
        if self.in_memory < position {
            self.settle()?;
        }
        self.evaluate(position, &[last])?;
        self.logits = Some(self.context.logits());
        Ok(())
    }

    /// Evaluates all but the last token in one batch, from what is in the memory on.
    fn settle(&mut self) -> Result<(), LlamaError> {
        let (from, to) = (self.in_memory, self.tokens.len().saturating_sub(1));
        let tokens = self.tokens.get(from..to).unwrap_or_default().to_vec();
        self.evaluate_batch(from, &tokens)
    }

    fn evaluate_batch(&mut self, position: usize, tokens: &[Token]) -> Result<(), LlamaError> {
        if tokens.is_empty() { Ok(()) } else { self.evaluate(position, tokens) }
    }

    /// Evaluates tokens behind what is in the memory. Where that fails half-way, the memory is brought back to where it was,
    /// or emptied.
    fn evaluate(&mut self, position: usize, tokens: &[Token]) -> Result<(), LlamaError> {
        let evaluated = self.context.evaluate(tokens, position);
        // It may hold any number of them after a failure.
        self.in_memory = position + tokens.len();
        match evaluated {
            Ok(()) => self.evaluations += tokens.len() as u64,
            Err(_) => self.bring_back(position),
        }
        evaluated
    }

    /// Brings the memory back to at most `length` tokens, then forward to all tokens but the last.
    fn rewind(&mut self, length: usize) -> Result<(), LlamaError> {
        self.bring_back(length);
        self.settle()
    }

    /// Brings the memory back to at most `length` tokens.
    fn bring_back(&mut self, length: usize) {
        self.logits = None;
        self.in_memory = self.rewound(length);
        self.unchanged = self.unchanged.min(self.in_memory);
        self.checkpoints.retain(|checkpoint| checkpoint.length <= length);
    }

    /// How many tokens the memory holds after it was brought back as far as necessary and as little as possible.
    fn rewound(&mut self, length: usize) -> usize {
        if length >= self.in_memory {
            return self.in_memory;
        }
        if self.memory.can_be_cut() {
            if length > 0 && self.context.trim(length) {
                return length;
            }
        } else if let Some(checkpoint) =
            self.checkpoints.iter_mut().rfind(|checkpoint| checkpoint.length <= length)
            && checkpoint.length > 0
            && self.context.restore(&checkpoint.state).is_ok()
            && self.context.trim(checkpoint.length)
        {
            checkpoint.closed = true;
            return checkpoint.length;
        }
        self.checkpoints.clear();
        self.context.clear();
        0
    }

    /// What cannot be cut of the memory, as it is now: see [`Timeline::keep_checkpoint`].
    pub(crate) fn checkpoint(&self) -> Option<&SequenceState> {
        let last = self.checkpoints.last().filter(|checkpoint| checkpoint.length == self.in_memory);
        last.map(|checkpoint| &checkpoint.state)
    }

    /// Keeps what cannot be cut of the memory, as it is now.
    ///
    /// # Errors
    /// When llama.cpp cannot write or read it.
    pub(crate) fn keep_checkpoint(&mut self) -> Result<(), LlamaError> {
        if self.memory.can_be_cut() || self.in_memory == 0 {
            return Ok(());
        }
        if self.checkpoint().is_none() {
            self.checkpoints.retain(|checkpoint| checkpoint.length < self.in_memory);
            // The oldest one makes room first: it may be large.
            let surplus = (self.checkpoints.len() + 1).saturating_sub(CHECKPOINTS);
            let oldest = self.checkpoints.drain(..surplus).next();
            let buffer = oldest.map(|checkpoint| checkpoint.state.into_bytes()).unwrap_or_default();
            let state = self.context.state_in(Part::Uncuttable, buffer)?;
            self.checkpoints.push(Checkpoint { length: self.in_memory, state, closed: false });
        }
        self.close_gaps()
    }

    /// Closes the gaps in a window cache that has lost its first cells, as a restore would, so that the order in which
    /// attention adds its cells up is the same with and without a restore.
    fn close_gaps(&mut self) -> Result<(), LlamaError> {
        let lost_cells = self.memory.window.is_some_and(|window| self.in_memory > window);
        if lost_cells
            && self.is_pending()
            && let Some(checkpoint) = self.checkpoints.last_mut().filter(|checkpoint| !checkpoint.closed)
        {
            self.context.restore(&checkpoint.state)?;
            checkpoint.closed = true;
        }
        Ok(())
    }
}
