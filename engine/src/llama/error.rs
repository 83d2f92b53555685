use std::path::PathBuf;

use thiserror::Error;

/// What llama.cpp refused or failed to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LlamaError {
    /// The backend did not start.
    #[error("llama.cpp's backend did not start: {0}")]
    Backend(String),
    /// The library that was to be opened cannot be used.
    #[cfg(llama_loaded)]
    #[error("llama.cpp's library cannot be used: {0}")]
    Library(intact_libllama::OpenError),
    /// The model file is not there.
    #[error("there is no model file {path}; check the path, or fetch the model first", path = .0.display())]
    ModelNotFound(PathBuf),
    /// The model file could not be loaded.
    #[error("llama.cpp cannot load the model {path}: {reason}", path = .path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What llama.cpp logged, else what the crate says.
        reason: String,
    },
    /// Weights of a type that is not offered.
    #[error("`{wanted}` is not a type that weights can be given; use {known}")]
    Weights {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// A model could not be quantized.
    #[error("llama.cpp cannot quantize the model {path}: {reason}; its log says why", path = .path.display())]
    Quantize {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// An adapter could not be loaded or applied.
    #[error("llama.cpp cannot apply the adapter {path} to this model: {reason}", path = .path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What the crate says.
        reason: String,
    },
    /// The context could not be created, mostly because a setting does not fit the model or the memory.
    #[error("llama.cpp cannot create a context with these settings: {0}")]
    Context(String),
    /// A KV type that llama.cpp does not have.
    #[error(
        "`{0}` is not a KV type of this llama.cpp; use f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl"
    )]
    KvType(String),
    /// There is no room for more tokens.
    #[error("no room in the context for {tokens} more tokens at position {position}")]
    Full {
        /// Tokens that were to be evaluated.
        tokens: usize,
        /// Where.
        position: usize,
    },
    /// Evaluation failed.
    #[error("llama.cpp could not evaluate {tokens} tokens at position {position}: {reason}")]
    Evaluate {
        /// Tokens that were to be evaluated.
        tokens: usize,
        /// Where.
        position: usize,
        /// What the crate says.
        reason: String,
    },
    /// A token id outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {n_vocab}")]
    Token {
        /// The id.
        token: i32,
        /// Size of the vocabulary.
        n_vocab: usize,
    },
    /// The state of the sequence could not be read.
    #[error("llama.cpp wrote {written} of {expected} bytes of state")]
    StateRead {
        /// Bytes that it announced.
        expected: usize,
        /// Bytes that it wrote.
        written: usize,
    },
    /// The state was not accepted.
    #[error("llama.cpp did not take the {bytes} bytes of state")]
    StateWrite {
        /// Bytes that it was given.
        bytes: usize,
    },
    /// The context has no second sequence to read or write a part of the first one through.
    #[error("the context has no second sequence that shares the cache of the first one")]
    NoScratch,
    /// The end of the sequence cannot be read alone.
    #[error(
        "the cells before position {from} cannot be set aside: the sequence is not alone in its context, or ends there"
    )]
    NotSetAside {
        /// Where the end was to begin.
        from: usize,
    },
    /// A state file could not be written or read by llama.cpp itself.
    #[error("llama.cpp's own state file {path}: {reason}", path = .path.display())]
    StateFile {
        /// The file.
        path: PathBuf,
        /// What the crate says.
        reason: String,
    },
    /// A sampler parameter that llama.cpp cannot take.
    #[error("sampler: {0}")]
    Sampler(String),
}
