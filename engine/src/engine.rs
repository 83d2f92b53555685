//! The engine: one model, many live sessions.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intact_format::identity::ModelIdentity;
use intact_format::inputs::TemplateInputs;
use intact_format::parameters::{CacheCleanupStrategy, ContextParameters, Parameters};
use intact_format::passport::Passport;
use intact_format::place::KnownFiles;
use intact_format::session_id::SessionId;
use intact_format::transcode::HeadSizes;

use crate::context::{settings, with_forced};
use crate::error::EngineError;
use crate::llama::{Context, ContextSettings, LlamaError, Model, Token};
use crate::noise::Noises;
use crate::options::{EngineOptions, Hooks, StartOptions};
use crate::passport;
use crate::probe::Probe;
use crate::receipt::Survey;
use crate::sampler;
use crate::session::{Chat, Generation, Memory, Reply, Session, Timeline};
use crate::shared_model::SharedModel;
use crate::spares::Spares;
use crate::template::{ChatTemplate, TemplateError};

/// What a user should know where messages may write control tokens.
const CONTROLS: &str = "The texts of control tokens are control tokens where a message says them: whoever writes a message can end it.";

/// One model and the live sessions over it. Every call blocks until it is done; put the engine on a thread of its own, or
/// behind a lock, to use it from asynchronous code. A send is stopped from another thread by its
/// [`CancelToken`](crate::cancel::CancelToken).
#[derive(Debug)]
pub struct Engine {
    pub(crate) model: Arc<Model>,
    pub(crate) identity: ModelIdentity,
    pub(crate) shared: SharedModel,
    pub(crate) template: Arc<ChatTemplate>,
    pub(crate) preset: Option<String>,
    pub(crate) parameters: Parameters,
    pub(crate) forced: ContextParameters,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) current: Option<SessionId>,
    pub(crate) files: KnownFiles,
    forget_layouts: bool,
    control_tokens_in_content: bool,
    fragmented: bool,
    pub(crate) spares: Spares,
    probes: Vec<(ContextSettings, Probe)>,
    pub(crate) noises: Noises,
    pub(crate) skip_noise: bool,
}

/// An empty context with everything that is known about it.
pub(crate) struct Room {
    pub(crate) context: Context,
    pub(crate) probe: Probe,
    pub(crate) memory: Memory,
    pub(crate) passport: Passport,
}

impl Engine {
    /// An engine over the model in a file, with defaults for everything else.
    ///
    /// # Errors
    /// Those of [`Engine::create`].
    pub fn open(model: impl Into<PathBuf>) -> Result<Self, EngineError> {
        Self::builder(model).build()
    }

    /// Options of an engine over the model in a file: set what is to differ from the defaults, then
    /// [`build`](EngineOptions::build).
    pub fn builder(model: impl Into<PathBuf>) -> EngineOptions {
        EngineOptions::default().model(model)
    }

    /// Loads the model and identifies it by its content, from a cache where the file has not changed.
    ///
    /// # Errors
    /// When no model is named, or it cannot be loaded, or it is no sound GGUF file, or its chat template is no template.
    pub fn create(options: EngineOptions) -> Result<Self, EngineError> {
        let model = SharedModel::of_options(&options)?;
        Self::with_model(model, options)
    }

    /// An engine over a model that is loaded already, which any number of engines can share.
    ///
    /// # Errors
    /// When the options name a model or adapters too, or the model's chat template is no template.
    pub fn over(model: SharedModel, options: EngineOptions) -> Result<Self, EngineError> {
        if options.model.is_some() || !options.lora.is_empty() || !options.control_vectors.is_empty() {
            let what = "a model file, or an adapter, beside a model that is loaded".to_owned();
            return Err(EngineError::Unsupported { what });
        }
        Self::with_model(model, options)
    }

    fn with_model(shared: SharedModel, options: EngineOptions) -> Result<Self, EngineError> {
        let model = Arc::clone(shared.model());
        let source = &options.parameters.model_source_parameters;
        let repository = options.model_repository.or_else(|| source.hugging_face_repo_id.clone());
        let mut identity = shared.identity().clone().with_repository(repository);
        let Hooks { assumed_sha256, fragmented, forget_layouts, chat_template } = options.hooks;
        if let Some(sha256) = assumed_sha256 {
            identity.sha256 = sha256;
        }
        let (bos, eos) = model.bos_and_eos();
        let text = |token: Token| String::from_utf8_lossy(&model.piece(token, true)).into_owned();
        let source = chat_template.or_else(|| model.chat_template());
        let template = ChatTemplate::of_model(source.as_deref(), &text(bos), &text(eos))?;
        let controls = if options.control_tokens_in_content { Vec::new() } else { model.control_texts() };
        let template = template.with_controls(controls);
        Ok(Self {
            identity,
            shared,
            template: Arc::new(template),
            preset: options.preset,
            parameters: with_forced(&options.parameters, &options.context),
            forced: options.context,
            sessions: BTreeMap::new(),
            current: None,
            files: KnownFiles::default(),
            forget_layouts,
            control_tokens_in_content: options.control_tokens_in_content,
            fragmented,
            // Another sequence's cells do not go with those of the session.
            spares: Spares::new(if fragmented { 0 } else { options.spare_contexts }),
            probes: Vec::new(),
            noises: Noises::new(),
            skip_noise: options.skip_noise,
            model,
        })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The model as other engines can have it too: see [`Engine::over`].
    #[must_use]
    pub fn shared_model(&self) -> &SharedModel {
        &self.shared
    }

    /// What the model is.
    #[must_use]
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// What a user should know of the model before a word is said, one sentence each: that it brings no chat template, or
    /// what its template does to a chat.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let controls = self.control_tokens_in_content.then(|| CONTROLS.to_owned());
        self.template.notes().into_iter().chain(controls).collect()
    }

    /// The parameters that sessions start with.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The preset that they come from.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        self.preset.as_deref()
    }

    /// What is in force for a session with the engine's parameters, and what the memory of such a session looks like.
    ///
    /// # Errors
    /// When llama.cpp cannot create a context with these parameters.
    pub fn survey(&mut self) -> Result<Survey, EngineError> {
        let parameters = self.parameters.clone();
        let preset = self.preset.clone();
        let Room { passport, probe, memory, .. } = self.room(&parameters, preset.as_deref())?;
        Ok(Survey { passport, probe, memory })
    }

    /// Starts a session, which becomes the current one.
    ///
    /// # Errors
    /// When the id is taken or cannot be one, or llama.cpp cannot create the context.
    pub fn start(&mut self, options: StartOptions) -> Result<SessionId, EngineError> {
        let id = match options.id {
            Some(id) => SessionId::portable(id)?,
            None => self.generated_id()?,
        };
        if self.sessions.contains_key(&id) {
            return Err(EngineError::SessionExists { id });
        }
        let mut parameters = options.parameters.unwrap_or_else(|| self.parameters.clone());
        parameters = with_forced(&parameters, &self.forced);
        if let Some(prompt) = options.system_prompt {
            parameters.chat_parameters.system_prompt = prompt;
        }
        let preset = options.preset.or_else(|| self.preset.clone());
        let template = self.template_given(options.inputs.as_ref())?;
        template.shows(&[])?;
        let room = self.room(&parameters, preset.as_deref())?;
        let mut session = Session {
            id: id.clone(),
            chat: Chat::default(),
            timeline: Timeline::new(room.context, room.memory),
            seed: sampler::session_seed(&parameters.sampler_parameters),
            template,
            parameters,
            probe: room.probe,
            passport: room.passport,
            saved: None,
        };
        session.begin()?;
        self.register(session);
        Ok(id)
    }

    /// The chat template, given this besides messages.
    pub(crate) fn template_given(
        &self,
        inputs: Option<&TemplateInputs>,
    ) -> Result<Arc<ChatTemplate>, TemplateError> {
        match inputs {
            Some(inputs) => Ok(Arc::new(self.template.with_inputs(inputs)?)),
            None => Ok(Arc::clone(&self.template)),
        }
    }

    /// Sends a message to the current session; starts one if there is none.
    ///
    /// # Errors
    /// Those of [`Session::say`] and [`Engine::start`].
    pub fn send(
        &mut self,
        text: &str,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Reply, EngineError> {
        if self.current.is_none() {
            self.start(StartOptions::default())?;
        }
        self.current_session()?.say(text, generation, on_text)
    }

    /// Sends a message to a session. The current session stays the current one.
    ///
    /// # Errors
    /// Those of [`Session::say`], and when there is no such session.
    pub fn send_to(
        &mut self,
        id: impl AsRef<str>,
        text: &str,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Reply, EngineError> {
        self.session_mut(id)?.say(text, generation, on_text)
    }

    /// Unloads messages of the current session by a strategy. Gives the number of messages that left its context.
    ///
    /// # Errors
    /// When there is no current session, or what remains cannot be evaluated again.
    pub fn clean_up(&mut self, strategy: CacheCleanupStrategy) -> Result<usize, EngineError> {
        self.current_session()?.clean_up(strategy)
    }

    /// Closes a session.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn close(&mut self, id: impl AsRef<str>) -> Result<(), EngineError> {
        let id = self.session(id)?.id.clone();
        if let Some(closed) = self.sessions.remove(&id) {
            self.vacate(closed.timeline);
        }
        self.files.forget(id.as_str());
        self.current = self.current.take().filter(|current| *current != id);
        Ok(())
    }

    /// Keeps the context that a session has left.
    pub(crate) fn vacate(&mut self, timeline: Timeline) {
        self.spares.keep(timeline.into_context());
    }

    /// The live sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// The id of the current session.
    #[must_use]
    pub fn current(&self) -> Option<&SessionId> {
        self.current.as_ref()
    }

    /// A live session.
    ///
    /// # Errors
    /// When there is none with that id.
    pub fn session(&self, id: impl AsRef<str>) -> Result<&Session, EngineError> {
        let id = id.as_ref();
        let found = SessionId::new(id).ok().and_then(|id| self.sessions.get(&id));
        found.ok_or_else(|| EngineError::SessionNotFound { id: id.to_owned() })
    }

    /// A live session.
    ///
    /// # Errors
    /// When there is none with that id.
    pub fn session_mut(&mut self, id: impl AsRef<str>) -> Result<&mut Session, EngineError> {
        let id = id.as_ref();
        let found = SessionId::new(id).ok().and_then(|id| self.sessions.get_mut(&id));
        found.ok_or_else(|| EngineError::SessionNotFound { id: id.to_owned() })
    }

    fn current_session(&mut self) -> Result<&mut Session, EngineError> {
        let current = self.current.as_ref().ok_or(EngineError::NoCurrentSession)?;
        self.sessions.get_mut(current).ok_or(EngineError::NoCurrentSession)
    }

    /// Makes a session live and current. A live one of the same id is dropped; says whether there was one.
    pub(crate) fn register(&mut self, session: Session) -> bool {
        let id = session.id.clone();
        self.files.forget(id.as_str());
        self.current = Some(id.clone());
        let Some(replaced) = self.sessions.insert(id.clone(), session) else { return false };
        tracing::info!(session = %id, "a live session was replaced by the loaded one");
        self.vacate(replaced.timeline);
        true
    }

    /// An empty context for these parameters.
    pub(crate) fn room(
        &mut self,
        parameters: &Parameters,
        preset: Option<&str>,
    ) -> Result<Room, EngineError> {
        let mut settings = settings(&parameters.context_parameters)?;
        // A second sequence costs nothing in a cache that keeps every cell; windows and running states have one for each.
        settings.scratch = !self.fragmented && Memory::of(&self.model, None).can_be_cut();
        let mut context = self.empty_context(&settings)?;
        let known = self.probes.iter().find(|(of, _)| *of == settings).map(|(_, probe)| probe.clone());
        let probe = match known {
            Some(probe) => probe,
            None => {
                let probe =
                    Probe::of(&mut context, &HeadSizes::of(&self.identity.shape), self.forget_layouts)?;
                self.probes.push((settings, probe.clone()));
                probe
            }
        };
        let memory = Memory::of(&self.model, probe.is_windowed());
        let context_parameters = &parameters.context_parameters;
        let passport = Passport {
            adapters: self.shared.adapters().to_vec(),
            ..passport::of(&context, &probe, memory, context_parameters, &self.identity, preset)
        };
        if self.fragmented && context_parameters.n_seq_max.is_some_and(|sequences| sequences > 1) {
            context.fragment()?;
        }
        Ok(Room { context, probe, memory, passport })
    }

    fn empty_context(&mut self, settings: &ContextSettings) -> Result<Context, LlamaError> {
        if let Some(context) = self.spares.take(settings) {
            return Ok(context);
        }
        Context::new(&self.model, settings).or_else(|error| {
            // Spares may have taken the memory that was needed.
            if self.spares.free() { Context::new(&self.model, settings) } else { Err(error) }
        })
    }

    pub(crate) fn generated_id(&self) -> Result<SessionId, EngineError> {
        let random = || RandomState::new().hash_one(self.sessions.len());
        Ok(SessionId::new(format!("{:016x}{:016x}", random(), random()))?)
    }

    /// The path that a save takes where none is given.
    pub(crate) fn default_path(id: &SessionId) -> PathBuf {
        Path::new(&id.default_file_name()).to_owned()
    }
}
