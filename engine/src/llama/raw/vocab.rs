use std::num::NonZeroU16;

use crate::llama::sys;

use super::model::LlamaModel;
use super::token::LlamaToken;

/// A model's vocabulary.
#[derive(Debug, Clone, Copy)]
pub(in crate::llama) struct LlamaVocab<'model> {
    model: &'model LlamaModel,
}

/// Bytes that nearly every token's text fits in.
const USUAL_PIECE: usize = 32;

impl<'model> LlamaVocab<'model> {
    pub(super) fn of(model: &'model LlamaModel) -> Self {
        Self { model }
    }

    pub(in crate::llama) fn tokenize(
        self,
        text: &[u8],
        add_special: bool,
        parse_special: bool,
    ) -> Vec<LlamaToken> {
        let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
        let tokenize = |tokens: &mut [LlamaToken]| {
            let room = i32::try_from(tokens.len()).unwrap_or(i32::MAX);
            let (source, target) = (text.as_ptr().cast(), tokens.as_mut_ptr().cast());
            // SAFETY: both lengths travel with their buffers, and a token is an `i32` in memory.
            unsafe {
                sys::llama_tokenize(
                    self.model.vocabulary(),
                    source,
                    length,
                    target,
                    room,
                    add_special,
                    parse_special,
                )
            }
        };
        let mut tokens = vec![LlamaToken(0); text.len() + 8];
        let mut count = tokenize(&mut tokens);
        if count < 0 {
            tokens.resize(count.unsigned_abs() as usize, LlamaToken(0));
            count = tokenize(&mut tokens);
        }
        tokens.truncate(usize::try_from(count).unwrap_or_default());
        tokens
    }

    pub(in crate::llama) fn token_to_piece(
        self,
        token: LlamaToken,
        special: bool,
        _strip: Option<NonZeroU16>,
    ) -> Vec<u8> {
        let write = |piece: &mut [u8]| {
            let room = i32::try_from(piece.len()).unwrap_or(i32::MAX);
            // SAFETY: the length of the buffer travels with it.
            unsafe {
                let target = piece.as_mut_ptr().cast();
                sys::llama_token_to_piece(self.model.vocabulary(), token.0, target, room, 0, special)
            }
        };
        let mut piece = vec![0; USUAL_PIECE];
        let mut count = write(&mut piece);
        if count < 0 {
            piece.resize(count.unsigned_abs() as usize, 0);
            count = write(&mut piece);
        }
        piece.truncate(usize::try_from(count).unwrap_or_default());
        piece
    }

    pub(in crate::llama) fn is_eog(self, token: LlamaToken) -> bool {
        // SAFETY: the vocabulary lives with the model.
        unsafe { sys::llama_vocab_is_eog(self.model.vocabulary(), token.0) }
    }

    pub(in crate::llama) fn should_add_bos(self) -> bool {
        // SAFETY: the vocabulary lives with the model.
        unsafe { sys::llama_vocab_get_add_bos(self.model.vocabulary()) }
    }

    pub(in crate::llama) fn bos(self) -> LlamaToken {
        // SAFETY: the vocabulary lives with the model.
        LlamaToken(unsafe { sys::llama_vocab_bos(self.model.vocabulary()) })
    }

    pub(in crate::llama) fn eos(self) -> LlamaToken {
        // SAFETY: the vocabulary lives with the model.
        LlamaToken(unsafe { sys::llama_vocab_eos(self.model.vocabulary()) })
    }
}
