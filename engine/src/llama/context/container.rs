//! llama.cpp's own ways to keep a state, without any check: for the blind path only.

use std::fmt;
use std::fs;
use std::path::Path;

#[cfg(feature = "blind")]
use super::SequenceState;
use super::{Context, LlamaError, Part, SEQUENCE, Token};

/// What llama.cpp puts a state into. Each changes on other releases than the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Container {
    /// The file of one sequence (GGSQ): `llama_state_seq_save_file`.
    #[default]
    SequenceFile,
    /// The file of a whole context (GGSN): `llama_state_save_file`.
    SessionFile,
    /// The bytes of one sequence, kept as they are: `llama_state_seq_get_data`.
    RawSequence,
    /// The bytes of a whole context, kept as they are: `llama_state_get_data`.
    RawContext,
}

impl Container {
    /// Every container with its name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("sequence-file", Self::SequenceFile),
        ("session-file", Self::SessionFile),
        ("raw-sequence", Self::RawSequence),
        ("raw-context", Self::RawContext),
    ];
}

impl Context {
    /// Keeps the state in a file as a wrapper of llama.cpp would: no integrity, no identity, written in place.
    ///
    /// # Errors
    /// What llama.cpp or the system says.
    pub fn keep(&self, container: Container, path: &Path, tokens: &[Token]) -> Result<(), LlamaError> {
        let failed = failure(path);
        match container {
            Container::SequenceFile => self
                .bound
                .with_dependent(|_, context| context.state_seq_save_file(path, SEQUENCE, tokens))
                .map(|_written| ())
                .map_err(|error| failed(&error)),
            Container::SessionFile => self
                .bound
                .with_dependent(|_, context| context.state_save_file(path, tokens))
                .map_err(|error| failed(&error)),
            Container::RawSequence => {
                fs::write(path, self.state(Part::Whole)?.bytes()).map_err(|error| failed(&error))
            }
            Container::RawContext => fs::write(path, self.whole()).map_err(|error| failed(&error)),
        }
    }

    /// Takes a state back as a wrapper of llama.cpp would. llama.cpp empties the memory before it validates, and can
    /// abort the process on a damaged file. Gives the tokens that the file names, where the container holds any.
    ///
    /// # Safety
    /// Nobody looks at the bytes: the file must be one that a context of the same release, model and settings wrote. Who
    /// cannot promise that does this in a process that may die of it, or worse.
    ///
    /// # Errors
    /// What llama.cpp or the system says.
    #[cfg(feature = "blind")]
    #[expect(unsafe_code, reason = "it hands a file to C unverified")]
    pub unsafe fn take_back_unverified(
        &mut self,
        container: Container,
        path: &Path,
    ) -> Result<Option<Vec<Token>>, LlamaError> {
        let failed = failure(path);
        let room = self.n_ctx as usize;
        match container {
            Container::SequenceFile => self
                .bound
                .with_dependent_mut(|_, context| context.state_seq_load_file(path, SEQUENCE, room))
                .map(|(tokens, _)| Some(tokens))
                .map_err(|error| failed(&error)),
            Container::SessionFile => self
                .bound
                .with_dependent_mut(|_, context| context.state_load_file(path, room))
                .map(Some)
                .map_err(|error| failed(&error)),
            Container::RawSequence => {
                let bytes = intact_format::regular::read(path).map_err(|error| failed(&error))?;
                // SAFETY: as the caller promises.
                let state = unsafe { SequenceState::assume_verified(bytes) };
                self.restore(&state).map(|()| None)
            }
            Container::RawContext => {
                let bytes = intact_format::regular::read(path).map_err(|error| failed(&error))?;
                // SAFETY: as the caller promises.
                unsafe { self.overwrite(&bytes) }.map(|()| None)
            }
        }
    }

    fn whole(&self) -> Vec<u8> {
        self.bound.with_dependent(|_, context| {
            let mut bytes = vec![0; context.get_state_size()];
            #[expect(unsafe_code, reason = "the crate's only form of it")]
            // SAFETY: the buffer has the size that llama.cpp announced for this very state, which cannot change in
            // between: the context is borrowed.
            let written = unsafe { context.copy_state_data(bytes.as_mut_ptr()) };
            bytes.truncate(written);
            bytes
        })
    }

    /// # Safety
    /// As [`Context::take_back_unverified`].
    #[cfg(feature = "blind")]
    #[expect(unsafe_code, reason = "it hands bytes to C unverified")]
    unsafe fn overwrite(&mut self, bytes: &[u8]) -> Result<(), LlamaError> {
        // SAFETY: as the caller promises.
        let read = self.bound.with_dependent_mut(|_, context| unsafe { context.set_state_data(bytes) });
        if read == 0 { Err(LlamaError::StateWrite { bytes: bytes.len() }) } else { Ok(()) }
    }
}

fn failure(path: &Path) -> impl Fn(&dyn fmt::Display) -> LlamaError {
    move |error| LlamaError::StateFile { path: path.to_owned(), reason: error.to_string() }
}
