//! Two samplers whose arguments have changed under the same name. Which form a library has is seen by what it does.

use std::ffi::c_char;

use crate::symbols::Functions;
use crate::sys::{llama_sampler, llama_token_data, llama_token_data_array, llama_vocab};

/// The arguments of the penalties' sampler, and of DRY's, which changed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Penalties take the vocabulary's size, two tokens and two flags; DRY knows no trained context.
    WithTokens,
    /// Penalties take the numbers alone; DRY takes the length of the trained context.
    Plain,
    /// Penalties take the vocabulary's size; DRY knows no trained context.
    WithVocabulary,
}

/// A vocabulary for the trials, and a token of it.
const VOCABULARY: i32 = 64;
const TOKEN: i32 = 1;
/// A penalty that nobody overlooks.
const REPEAT: f32 = 2.0;

type WithTokens = unsafe extern "C" fn(i32, i32, i32, i32, f32, f32, f32, bool, bool) -> *mut llama_sampler;
type Plain = unsafe extern "C" fn(i32, f32, f32, f32) -> *mut llama_sampler;
type WithVocabulary = unsafe extern "C" fn(i32, i32, f32, f32, f32) -> *mut llama_sampler;
type DryWithContext = unsafe extern "C" fn(
    *const llama_vocab,
    i32,
    f32,
    f32,
    i32,
    i32,
    *mut *const c_char,
    usize,
) -> *mut llama_sampler;

impl Form {
    /// Finds it out. The window of tokens looked back at is the first whole number of one form, the second of another, and the
    /// fourth of a third, and a window of 0 penalizes nothing.
    pub(crate) fn of(functions: &Functions) -> Option<Self> {
        let penalizes = |first, second, fourth| {
            // SAFETY: whatever the form, these are numbers and flags; arguments in excess are not read.
            let sampler = unsafe {
                (functions.sampler_init_penalties)(first, second, 0, fourth, REPEAT, 0.0, 0.0, true, false)
            };
            changes_logits(functions, sampler)
        };
        if penalizes(VOCABULARY, 0, 0)? {
            Some(Self::Plain)
        } else if penalizes(VOCABULARY, VOCABULARY, 0)? {
            Some(Self::WithVocabulary)
        } else if penalizes(VOCABULARY, 0, VOCABULARY)? {
            Some(Self::WithTokens)
        } else {
            None
        }
    }

    pub(crate) fn penalties(
        self,
        functions: &Functions,
        (n_vocab, last_n): (i32, i32),
        [repeat, frequency, presence]: [f32; 3],
    ) -> *mut llama_sampler {
        let address = functions.sampler_init_penalties as *const ();
        // SAFETY: the function has this form, as a trial has shown; the arguments are numbers and flags.
        unsafe {
            match self {
                Self::Plain => {
                    std::mem::transmute::<*const (), Plain>(address)(last_n, repeat, frequency, presence)
                }
                Self::WithVocabulary => std::mem::transmute::<*const (), WithVocabulary>(address)(
                    n_vocab, last_n, repeat, frequency, presence,
                ),
                // The tokens matter only where a newline or an end is to go free of penalties: none is.
                Self::WithTokens => std::mem::transmute::<*const (), WithTokens>(address)(
                    n_vocab, -1, -1, last_n, repeat, frequency, presence, true, false,
                ),
            }
        }
    }

    /// # Safety
    /// The vocabulary lives, and the breakers are as many C strings as `count` says. Null where the library has no DRY.
    #[expect(clippy::too_many_arguments, reason = "as llama.cpp has them")]
    pub(crate) unsafe fn dry(
        self,
        functions: &Functions,
        vocabulary: *const llama_vocab,
        n_ctx_train: i32,
        [multiplier, base]: [f32; 2],
        [allowed_length, last_n]: [i32; 2],
        breakers: *mut *const c_char,
        count: usize,
    ) -> *mut llama_sampler {
        let Some(dry) = functions.sampler_init_dry else { return std::ptr::null_mut() };
        if self != Self::Plain {
            // SAFETY: as the caller promises, and as this form has it.
            return unsafe { dry(vocabulary, multiplier, base, allowed_length, last_n, breakers, count) };
        }
        // SAFETY: as above.
        unsafe {
            let dry = std::mem::transmute::<*const (), DryWithContext>(dry as *const ());
            dry(vocabulary, n_ctx_train, multiplier, base, allowed_length, last_n, breakers, count)
        }
    }
}

/// Whether a sampler that has seen a token changes the logit of that token. None where there is no sampler.
fn changes_logits(functions: &Functions, sampler: *mut llama_sampler) -> Option<bool> {
    if sampler.is_null() {
        return None;
    }
    let logit = |id: i32| llama_token_data { id, logit: 1.0, p: 0.0 };
    let mut candidates: Vec<llama_token_data> = (0..4).map(logit).collect();
    let mut array = llama_token_data_array {
        data: candidates.as_mut_ptr(),
        size: candidates.len(),
        selected: -1,
        sorted: false,
    };
    // SAFETY: the sampler lives until it is freed here, and the array is a live one of the length that it says.
    unsafe {
        (functions.sampler_accept)(sampler, TOKEN);
        (functions.sampler_apply)(sampler, &raw mut array);
        (functions.sampler_free)(sampler);
    }
    Some(candidates.iter().any(|candidate| candidate.id == TOKEN && (candidate.logit - 1.0).abs() > 1e-6))
}
