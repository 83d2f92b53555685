//! A loaded model: its vocabulary, its metadata, its shape.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use super::binding::model::LlamaModel;
use super::binding::model::params::LlamaModelParams;

use super::adapters::Adapters;
use super::backend::backend;
use super::device::backends;
use super::native::device::{devices, usual_layers};
use super::native::log::first_error_of;
use super::{LlamaError, Token, release};

/// A loaded model, shared by every session over it.
pub struct Model {
    /// Applied to every context. llama.cpp frees them together with the model.
    pub(super) adapters: Adapters,
    pub(super) inner: LlamaModel,
    /// Held while a context is created: llama.cpp writes to the model then.
    pub(super) creation: Mutex<()>,
    path: PathBuf,
    facts: Facts,
}

/// What is read of a model once, when it is loaded: llama.cpp writes to some of it when it creates a context, and to no
/// other part of a model that is read here.
struct Facts {
    n_ctx_train: u32,
    backend: String,
}

/// How a model is loaded. `None` means llama.cpp's own default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// Layers kept on the accelerator.
    pub gpu_layers: Option<u32>,
    /// Map the file instead of reading it.
    pub use_mmap: Option<bool>,
    /// Lock the model in memory.
    pub use_mlock: Option<bool>,
    /// The accelerator for what is not split.
    pub main_gpu: Option<i32>,
    /// LoRA adapters that are applied to every context, and how strongly.
    pub lora: Vec<(PathBuf, f32)>,
    /// Control vectors that are applied to every context, and how strongly.
    pub control_vectors: Vec<(PathBuf, f32)>,
}

/// The context length that the file states. llama.cpp gives it as a signed number, whatever it is.
fn stated_context(model: &LlamaModel) -> Option<u64> {
    let architecture = model.meta_val_str("general.architecture").ok()?;
    model.meta_val_str(&format!("{architecture}.context_length")).ok()?.parse().ok()
}

impl Model {
    /// Loads a GGUF file.
    ///
    /// # Errors
    /// When the file is not there or llama.cpp cannot load it.
    pub fn load(path: &Path, settings: &ModelSettings) -> Result<Arc<Self>, LlamaError> {
        let backend = backend()?;
        if !path.is_file() {
            return Err(LlamaError::ModelNotFound(path.to_owned()));
        }
        let mut params = LlamaModelParams::default();
        if let Some(layers) = settings.gpu_layers {
            params = params.with_n_gpu_layers(layers);
        }
        if let Some(mmap) = settings.use_mmap {
            params = params.with_use_mmap(mmap);
        }
        if let Some(mlock) = settings.use_mlock {
            params = params.with_use_mlock(mlock);
        }
        if let Some(gpu) = settings.main_gpu {
            params = params.with_main_gpu(gpu);
        }
        let params = pin!(params);
        let (loaded, logged) = first_error_of(|| LlamaModel::load_from_file(backend, path, &params));
        let inner = loaded.map_err(|error| LlamaError::Model {
            path: path.to_owned(),
            reason: logged.unwrap_or_else(|| error.to_string()),
        })?;
        Self::of(inner, path, settings)
    }

    /// A model that somebody else has loaded from the file at `path`. Of the settings, what it was loaded with is told, and
    /// the adapters are applied.
    #[cfg(not(llama_raw))]
    pub(crate) fn of_llama_cpp(
        inner: LlamaModel,
        path: &Path,
        settings: &ModelSettings,
    ) -> Result<Arc<Self>, LlamaError> {
        backend()?;
        Self::of(inner, path, settings)
    }

    fn of(mut inner: LlamaModel, path: &Path, settings: &ModelSettings) -> Result<Arc<Self>, LlamaError> {
        if let Some(tokens) = stated_context(&inner).filter(|tokens| i32::try_from(*tokens).is_err()) {
            let reason =
                format!("it states a context of {tokens} tokens, and llama.cpp counts up to {}", i32::MAX);
            return Err(LlamaError::Model { path: path.to_owned(), reason });
        }
        let adapters = Adapters::read(&mut inner, &settings.lora, &settings.control_vectors)?;
        let layers =
            settings.gpu_layers.map_or_else(usual_layers, |layers| i32::try_from(layers).unwrap_or(-1));
        let facts = Facts {
            n_ctx_train: inner.n_ctx_train(),
            backend: backends(&devices(), layers, inner.n_layer()),
        };
        Ok(Arc::new(Self { adapters, inner, creation: Mutex::new(()), path: path.to_owned(), facts }))
    }

    /// The file it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokens in the vocabulary.
    #[must_use]
    pub fn n_vocab(&self) -> usize {
        usize::try_from(self.inner.n_vocab()).unwrap_or_default()
    }

    /// Context length that the model was trained with, in tokens, whatever contexts were created since.
    #[must_use]
    pub fn n_ctx_train(&self) -> u32 {
        self.facts.n_ctx_train
    }

    /// The ggml backends that evaluate it: `CPU`, `Metal`, `CUDA`, `CUDA for 10 of 33 layers + CPU`.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.facts.backend
    }

    /// Does its memory hold one running state instead of a cell for each token?
    #[must_use]
    pub fn is_recurrent(&self) -> bool {
        self.inner.is_recurrent()
    }

    /// Does it have attention layers and recurrent layers?
    #[must_use]
    pub fn is_hybrid(&self) -> bool {
        self.inner.is_hybrid()
    }

    /// One value of the file's metadata, as text.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.inner.meta_val_str(key).ok()
    }

    /// `general.architecture`.
    #[must_use]
    pub fn architecture(&self) -> String {
        self.metadata("general.architecture").unwrap_or_default()
    }

    /// The model's own chat template, in Jinja.
    #[must_use]
    pub fn chat_template(&self) -> Option<String> {
        let template = self.inner.chat_template(None).ok().and_then(|template| template.to_string().ok());
        // The oldest libraries do not look for it themselves.
        template.or_else(|| self.metadata("tokenizer.chat_template"))
    }

    /// Tokens of a text. `add_special` adds what the vocabulary puts around a text; `parse_special` reads
    /// `<|im_start|>` and the like as control tokens.
    #[must_use]
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<Token> {
        release::tokenize(&self.inner, text, add_special, parse_special)
    }

    /// The bytes that a token stands for, which need not be whole characters. Control tokens have none unless
    /// `special` is set. Empty for an id outside the vocabulary.
    #[must_use]
    pub fn piece(&self, token: Token, special: bool) -> Vec<u8> {
        if !self.knows(token) {
            return Vec::new();
        }
        release::piece(&self.inner, token, special)
    }

    /// The texts that stand for control tokens where [`Model::tokenize`] reads those.
    #[must_use]
    pub fn control_texts(&self) -> Vec<String> {
        let ids = (0..).map(Token).take(self.n_vocab());
        let controls = ids.filter(|&token| self.piece(token, false).is_empty());
        controls.filter_map(|token| String::from_utf8(self.piece(token, true)).ok()).collect()
    }

    /// The text of tokens, control tokens left out, unfinished characters replaced.
    #[must_use]
    pub fn text(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.piece(token, false)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Does this token end a generation?
    #[must_use]
    pub fn ends_generation(&self, token: Token) -> bool {
        self.knows(token) && release::ends_generation(&self.inner, token)
    }

    /// Does the vocabulary put a begin-of-text token in front of a text?
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        release::adds_bos(&self.inner)
    }

    /// The begin-of-text and end-of-text tokens; -1 where there is none.
    #[must_use]
    pub fn bos_and_eos(&self) -> (Token, Token) {
        release::special(&self.inner)
    }

    /// Is this id one of the vocabulary?
    #[must_use]
    pub fn knows(&self, token: Token) -> bool {
        usize::try_from(token.0).is_ok_and(|token| token < self.n_vocab())
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Model").field("path", &self.path).finish_non_exhaustive()
    }
}
