//! What the engine is asked for. Options begin with [`Default`], or with what is given most often, and are changed by setters
//! that can be chained: `LoadOptions::default().policy(LoadPolicy::STRICT)`.

use std::path::{Path, PathBuf};

use intact_format::inputs::TemplateInputs;
use intact_format::kv_type::KvType;
use intact_format::parameters::{ContextParameters, Parameters};
use intact_format::route::LoadPolicy;
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::preset::Preset;
use crate::setters::setters;

/// How an engine is made: what [`Engine::builder`] gives.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The model file; `None` takes the one that the parameters name.
    pub model: Option<PathBuf>,
    /// Where the model came from, `owner/name`; `None` takes what the file's path or the parameters tell.
    pub model_repository: Option<String>,
    /// Name of the preset that the parameters come from.
    pub preset: Option<String>,
    /// The parameters that sessions start with.
    pub parameters: Parameters,
    /// Context parameters that hold for every session of this engine, whatever its parameters say: field by field, where
    /// given.
    pub context: ContextParameters,
    /// LoRA adapters that every session has, in order, and how strongly each is applied.
    pub lora: Vec<(PathBuf, f32)>,
    /// Control vectors that every session has, and how strongly each is applied.
    pub control_vectors: Vec<(PathBuf, f32)>,
    /// How many contexts that sessions have left are kept, emptied, for sessions to come. Making a context can take longer
    /// than restoring a session into it; keeping one costs its memory.
    pub spare_contexts: usize,
    /// Let `<|im_end|>` and the like be control tokens where a message says them. Otherwise what somebody says is text, and only
    /// the chat template can write control tokens.
    pub control_tokens_in_content: bool,
    /// Do not measure how far the model is from itself. Saves then do not record it, which spares the first one the
    /// evaluation of about 100 tokens; loads under other settings than the saved ones are then evaluated again more often.
    pub skip_noise: bool,
    pub(crate) hooks: Hooks,
}

/// What only those ask for who test what the engine does with it.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Take the model file for one of this SHA-256, so that other weights pass for those that a session was saved with.
    pub assumed_sha256: Option<String>,
    /// Keep another sequence alive in the context of every session, with cells between those of the session.
    pub fragmented: bool,
    /// Play a llama.cpp release whose state layout is not known: images become opaque.
    pub forget_layouts: bool,
    /// Take this chat template in place of the model's.
    pub chat_template: Option<String>,
}

/// How a session is started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StartOptions {
    /// Its id; `None` generates one.
    pub id: Option<String>,
    /// Name of its preset; `None` takes the engine's.
    pub preset: Option<String>,
    /// Its parameters; `None` takes the engine's.
    pub parameters: Option<Parameters>,
    /// Its system prompt; `None` takes the parameters'.
    pub system_prompt: Option<String>,
    /// What its chat template is given besides the messages: tools, arguments of the template's own, the day.
    pub inputs: Option<TemplateInputs>,
}

/// How a session is saved.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SaveOptions {
    /// The session file; `None` is `<id>.json` in the working directory.
    pub path: Option<PathBuf>,
    /// The format; `None` is the lowest from 2.1 on that holds all of the session.
    pub format: Option<FormatVersion>,
    /// Write the manifest file beside it too.
    pub manifest: bool,
    /// What it may take the place of.
    pub replace: Replace,
}

/// What a save to a file may take the place of. Only ever a session file: nothing else is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replace {
    /// The session's own file: the one that it was loaded from or saved to, unless somebody else has saved to it since.
    #[default]
    Own,
    /// Whatever session is there.
    Any,
    /// Nothing: there must be no such file.
    Never,
}

/// How a session is loaded.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The routes that may be taken.
    pub policy: LoadPolicy,
    /// Where the parameters come from.
    pub parameters: LoadParameters,
    /// Compare with the manifest file too, and refuse where it differs.
    pub manifest: bool,
    /// Read as a reader would whose newest format this is.
    pub reader_format: Option<FormatVersion>,
    /// The id that the session must have; another one is [`EngineError::OtherSession`], and nothing live is touched. None
    /// takes any.
    pub expect: Option<SessionId>,
}

/// Where a loaded session takes its parameters from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadParameters {
    /// Those that were saved; the engine's where the file has none.
    #[default]
    Saved,
    /// Those of the engine, which are its preset's.
    Preset,
    /// The library's defaults, as in the seed system.
    Defaults,
}

impl EngineOptions {
    /// An engine with the parameters of a preset.
    #[must_use]
    pub fn of_preset(preset: &Preset) -> Self {
        Self { preset: Some(preset.family()), parameters: preset.parameters.clone(), ..Self::default() }
    }

    setters! {
        model(path: impl Into<PathBuf>) => Some(path.into());
        model_repository(repository: impl Into<String>) => Some(repository.into());
        preset(name: impl Into<String>) => Some(name.into());
        parameters(parameters: Parameters) => parameters;
        context(context: ContextParameters) => context;
        lora(files: Vec<(PathBuf, f32)>) => files;
        control_vectors(files: Vec<(PathBuf, f32)>) => files;
        spare_contexts(count: usize) => count;
        control_tokens_in_content(allow: bool) => allow;
        skip_noise(skip: bool) => skip;
    }

    /// Sets how many tokens a session has room for.
    #[must_use]
    pub fn context_size(mut self, tokens: u32) -> Self {
        self.context.context_size = Some(tokens);
        self
    }

    /// Sets the threads that evaluate.
    #[must_use]
    pub fn threads(mut self, count: u32) -> Self {
        (self.context.n_threads, self.context.n_threads_batch) = (Some(count), Some(count));
        self
    }

    /// Sets the types of K and V.
    #[must_use]
    pub fn kv_types(mut self, keys: KvType, values: KvType) -> Self {
        (self.context.type_k, self.context.type_v) = (Some(keys), Some(values));
        self
    }

    /// Sets how many layers an accelerator takes, where the crate was built with a feature for one.
    #[must_use]
    pub fn gpu_layers(mut self, layers: i32) -> Self {
        self.parameters.model_inference_parameters.gpu_layers = Some(layers);
        self
    }

    /// Sets what only tests ask for.
    #[doc(hidden)]
    #[must_use]
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Makes the engine.
    ///
    /// # Errors
    /// Those of [`Engine::create`].
    pub fn build(self) -> Result<Engine, EngineError> {
        Engine::create(self)
    }
}

impl StartOptions {
    /// A session with the parameters of a preset.
    #[must_use]
    pub fn of_preset(preset: &Preset) -> Self {
        Self { preset: Some(preset.family()), parameters: Some(preset.parameters.clone()), ..Self::default() }
    }

    setters! {
        id(id: impl Into<String>) => Some(id.into());
        preset(name: impl Into<String>) => Some(name.into());
        parameters(parameters: Parameters) => Some(parameters);
        system_prompt(prompt: impl Into<String>) => Some(prompt.into());
        inputs(inputs: TemplateInputs) => Some(inputs);
    }
}

impl SaveOptions {
    /// A save to a path, in the format that holds all of the session.
    #[must_use]
    pub fn to(path: impl AsRef<Path>) -> Self {
        Self { path: Some(path.as_ref().to_owned()), ..Self::default() }
    }

    setters! {
        path(path: impl Into<PathBuf>) => Some(path.into());
        format(version: FormatVersion) => Some(version);
        manifest(write: bool) => write;
        replace(what: Replace) => what;
    }
}

impl LoadOptions {
    setters! {
        policy(policy: LoadPolicy) => policy;
        parameters(source: LoadParameters) => source;
        manifest(compare: bool) => compare;
        reader_format(newest: FormatVersion) => Some(newest);
        expect(id: SessionId) => Some(id);
    }
}
