//! Adopting what llama.cpp or a program over it kept on its own: slot files of llama-server, sequence and session files,
//! raw blobs.
//!
//! Such a state names neither the weights nor the settings that it was made with, and a wrong one loads without a word. So
//! it is believed only where the model says the same: all of its tokens are evaluated again in a context of their own, and
//! every cell and the logits of the last token are compared. That takes as long as a prompt of that length, once. What
//! passes becomes a live session like any other, and saving it writes a session file with passport and canary. The canary
//! is what the adopted state says, which was held to what the recomputation says: later loads can ask for bit equality.

mod history;
mod proof;

use std::io;
use std::path::Path;

use intact_format::adoption::{Holding, Reading};
use intact_format::canary::CanaryRule;
use intact_format::inputs::TemplateInputs;
use intact_format::kv_type::KvType;
use intact_format::layout::{Attention, GgmlType, Section, State};
use intact_format::message::Message;
use intact_format::parameters::{FlashAttentionMode, Parameters};
use intact_format::passport::{Migration, Passport};
use intact_format::regular;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::session_id::SessionId;
use intact_format::transcode::HeadSizes;

use crate::context::with_forced;
use crate::engine::{Engine, Room};
use crate::error::EngineError;
use crate::llama::{Context, SequenceState, Token};
use crate::load::image::{brought, put};
use crate::passport;
use crate::probe::Probe;
use crate::sampler;
use crate::session::{Session, Timeline};
use crate::setters::setters;
use crate::template::ChatTemplate;
use history::Conversation;
use proof::Recomputation;

pub use proof::Proof;

/// How a state is adopted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptOptions {
    /// Id of the session; none generates one.
    pub id: Option<String>,
    /// The conversation; none makes one message of the tokens' text.
    pub history: Option<Vec<Message>>,
    /// What its chat template was given besides the messages: tools, arguments of the template's own, the day.
    pub inputs: Option<TemplateInputs>,
}

impl AdoptOptions {
    setters! {
        id(id: impl Into<String>) => Some(id.into());
        history(messages: Vec<impl Into<Message>>) => Some(messages.into_iter().map(Into::into).collect());
        inputs(inputs: TemplateInputs) => Some(inputs);
    }
}

/// A state that was adopted; its session is the current one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Adopted {
    /// The session.
    pub id: SessionId,
    /// What the file is, in words.
    pub what: String,
    /// Which releases may have written it, in words.
    pub writers: String,
    /// Tokens of the session.
    pub tokens: usize,
    /// Of these, the ones whose cells came from the file.
    pub restored: usize,
    /// What the comparison with the model gave.
    pub proof: Proof,
    /// Everything that was done, found or assumed, one sentence each; the session's passport keeps it.
    pub notes: Vec<String>,
}

impl Engine {
    /// Adopts a state of llama.cpp's own as a session, which becomes the current one.
    ///
    /// # Errors
    /// [`EngineError::Refused`] where the bytes are not understood, the tokens or positions do not belong to the cells, the
    /// memory is of another model, or the model gives something else for these tokens. Live sessions are as they were then.
    pub fn adopt(&mut self, path: impl AsRef<Path>, options: &AdoptOptions) -> Result<Adopted, EngineError> {
        self.adopt_file(path.as_ref(), options)
    }

    fn adopt_file(&mut self, path: &Path, options: &AdoptOptions) -> Result<Adopted, EngineError> {
        let id = match &options.id {
            Some(id) => SessionId::new(id.clone())?,
            None => self.generated_id()?,
        };
        if self.sessions.contains_key(&id) {
            return Err(EngineError::SessionExists { id });
        }
        let bytes = regular::read(path).map_err(|error| unreadable(path, &error))?;
        let mut holding = Holding::of(&bytes, &HeadSizes::of(&self.identity.shape))?;
        self.same_architecture(&holding)?;
        let cells = holding.readings.first().map_or(Ok(0), Reading::extent)?;
        let template = self.template_given(options.inputs.as_ref())?;
        let tokens = self.tokens_of(&holding, cells, options, &template)?;
        let Conversation { chat, rest, told } =
            history::conversation(&tokens, options.history.as_deref(), &template, &self.model)?;

        let parameters = self.parameters_like(holding.readings.first().map(|reading| &reading.state))?;
        let preset = self.preset.clone();
        let reference = self.room(&parameters, preset.as_deref())?;
        fits(tokens.len() + rest.len(), &reference)?;
        let noise = if self.skip_noise { None } else { self.noise(&parameters, &reference.passport) };
        let mut recomputation = Recomputation::new(reference, &tokens, noise)?;
        let reading = recomputation.right_one(std::mem::take(&mut holding.readings))?;
        let distance = recomputation.compare(&reading.state, cells)?;
        let said = recomputation.logits()?;

        let room = self.room(&parameters, preset.as_deref())?;
        let Room { context, probe, memory, passport } = room;
        let (mut timeline, restored, step) = if memory.recurrent && cells == tokens.len() {
            (recomputation.into_timeline(), 0, Some(KEPT_RECOMPUTED.to_owned()))
        } else {
            let (context, step) = restored(context, &probe, &reading.state, &tokens)?;
            (Timeline::restored(context, memory, tokens.clone()), tokens.len() - 1, step)
        };
        let found = timeline.settled_logits()?.unwrap_or_default();
        let proof = match Proof::of(distance, &tokens, [&said, found], None) {
            Err(_) if distance.is_coarse() => {
                let fine = self.said_without_quantization(&parameters, &tokens)?;
                Proof::of(distance, &tokens, [&said, found], Some(&fine))?
            }
            proof => proof?,
        };
        timeline.extend(&rest)?;
        let writers = reading.writers();
        let mut notes = vec![
            format!("Adopted from a {}, written by {writers}; the file does not tell which.", holding.what),
            proof.to_string(),
        ];
        notes.extend(step);
        notes.extend([told, ASSUMED.to_owned()]);
        let migration = Migration {
            from: format!("a {} of {writers}", holding.what),
            to: passport.release.clone(),
            at: passport::now(),
            steps: notes.clone(),
            canary: CanaryRule::Exact,
        };
        let session = Session {
            id: id.clone(),
            chat,
            timeline,
            saved: None,
            seed: sampler::session_seed(&parameters.sampler_parameters),
            template,
            parameters,
            probe,
            passport: Passport { migrations: vec![migration], ..passport },
        };
        self.register(session);
        let tokens = tokens.len() + rest.len();
        Ok(Adopted { id, what: holding.what, writers, tokens, restored, proof, notes })
    }

    /// The logits of the last token with a cache that is not quantized.
    fn said_without_quantization(
        &mut self,
        parameters: &Parameters,
        tokens: &[Token],
    ) -> Result<Vec<f32>, EngineError> {
        let mut parameters = parameters.clone();
        let context = &mut parameters.context_parameters;
        (context.type_k, context.type_v) = (Some(KvType::F16), Some(KvType::F16));
        let Room { context, memory, .. } = self.room(&parameters, None)?;
        let mut timeline = Timeline::new(context, memory);
        timeline.replace(tokens)?;
        Ok(timeline.settled_logits()?.unwrap_or_default().to_vec())
    }

    fn same_architecture(&self, holding: &Holding<'_>) -> Result<(), Refusal> {
        let here = self.model.architecture();
        match &holding.architecture {
            Some(there) if *there != here => {
                let detail =
                    format!("the state is of a model with the architecture {there}, and this one is {here}");
                Err(Refusal::new(RefusalCode::ModelDiffers, detail))
            }
            _ => Ok(()),
        }
    }

    /// The tokens that are stored with the state, else those that the history renders to. The last one may be missing from
    /// the cells: it was not evaluated yet.
    fn tokens_of(
        &self,
        holding: &Holding<'_>,
        cells: usize,
        options: &AdoptOptions,
        template: &ChatTemplate,
    ) -> Result<Vec<Token>, Refusal> {
        let tokens = match (&holding.tokens, &options.history) {
            (Some(tokens), _) if !tokens.is_empty() => tokens.clone(),
            (_, Some(messages)) => {
                let mut tokens = history::rendered(messages, template, &self.model)?;
                tokens.truncate(cells + 1);
                tokens
            }
            _ => {
                let detail = format!("a {} of {cells} cells names no tokens", holding.what);
                return Err(Refusal::new(RefusalCode::TokensMissing, detail));
            }
        };
        if let Some(token) = tokens.iter().find(|&&token| !self.model.knows(token)) {
            let detail = format!("token {token} is not in the vocabulary of {}", self.model.n_vocab());
            return Err(Refusal::new(RefusalCode::TokenizerDiffers, detail));
        }
        if tokens.len() == cells || tokens.len() == cells + 1 {
            return Ok(tokens);
        }
        let detail = format!("there are {} tokens, and the state holds the cells of {cells}", tokens.len());
        Err(Refusal::new(RefusalCode::TokensDisagree, detail))
    }

    /// The engine's parameters with the KV types and the order of V that the state has, where they are not forced.
    fn parameters_like(&self, state: Option<&State<'_>>) -> Result<Parameters, Refusal> {
        let mut parameters = self.parameters.clone();
        let Some(cache) = state.and_then(first_cache) else { return Ok(parameters) };
        let context = &mut parameters.context_parameters;
        let kind = |matrix: Option<&intact_format::layout::Matrix<'_>>| matrix.map(|matrix| matrix.kind);
        let keys = kind(cache.keys.first());
        context.type_k = same_type("K", keys, self.forced.type_k)?;
        context.type_v = same_type("V", kind(cache.values.first()), self.forced.type_v)?.or(context.type_v);
        if cache.transposed {
            context.flash_attention_mode = Some(FlashAttentionMode::Disabled);
        }
        Ok(with_forced(&parameters, &self.forced))
    }
}

/// What such a file never says.
const ASSUMED: &str = "The file does not name the weights, the adapters or the RoPE settings: those here are assumed, and the \
                       recomputation agrees with them. Nor does it name a sampler or parameters: the session has the engine's.";

/// What becomes of a state that cannot be cut before its last token.
const KEPT_RECOMPUTED: &str = "A recurrent state cannot be cut before its last token, so the session keeps the recomputed \
                               one, which the saved one was compared with.";

/// The context with the state in it, all but the last token, and what was done to the state.
fn restored(
    mut context: Context,
    probe: &Probe,
    state: &State<'_>,
    tokens: &[Token],
) -> Result<(Context, Option<String>), Refusal> {
    let understood = proof::understood(probe)?;
    let positions = tokens.len() - 1;
    let (bytes, distances) = brought(without_last(state, positions), understood, tokens)?;
    understood.parse(&bytes).map_err(|error| Refusal::new(RefusalCode::ModelDiffers, error))?;
    if positions > 0 {
        #[expect(unsafe_code, reason = "it was encoded here")]
        // SAFETY: it parsed as a state of this memory.
        let state = unsafe { SequenceState::assume_verified(bytes) };
        put(&mut context, Some(understood), &state, positions)?;
    }
    let told = || {
        let (keys, values) = (distances.keys.nmse(), distances.values.nmse());
        format!("Its K and V were transcoded for this release; error of K {keys:.1e}, of V {values:.1e}.")
    };
    Ok((context, (!distances.is_exact()).then(told)))
}

/// The state without the cells from a position on: the last token of a session is held back.
fn without_last<'a>(state: &State<'a>, positions: usize) -> State<'a> {
    let mut state = state.clone();
    for section in &mut state.sections {
        let Section::Attention(cache) = section else { continue };
        let mut kept = cache.slice(0..0);
        for (at, cell) in cache.cells.iter().enumerate() {
            let before = usize::try_from(cell.position).is_ok_and(|position| position < positions);
            // Slices of one cache always belong together.
            if before && kept.join(cache.slice(at..at + 1)).is_err() {
                break;
            }
        }
        *cache = kept;
    }
    state
}

fn first_cache<'s, 'a>(state: &'s State<'a>) -> Option<&'s Attention<'a>> {
    state.sections.iter().find_map(|section| match section {
        Section::Attention(cache) => Some(cache),
        Section::Recurrent(_) => None,
    })
}

/// The type that a state has, where the engine is not made to use another one.
fn same_type(what: &str, found: Option<GgmlType>, forced: Option<KvType>) -> Result<Option<KvType>, Refusal> {
    let Some(found) = found else { return Ok(forced) };
    let refuse = |here: &dyn std::fmt::Display| {
        Refusal::new(
            RefusalCode::KvTypeDiffers,
            format!("the state has {what} of type {found}, and {here} is asked for"),
        )
    };
    let kind: KvType = found.to_string().parse().map_err(|_| refuse(&"a type that caches have"))?;
    match forced {
        Some(forced) if forced != kind => Err(refuse(&forced)),
        _ => Ok(Some(kind)),
    }
}

fn fits(tokens: usize, room: &Room) -> Result<(), Refusal> {
    let n_ctx = room.passport.cache.n_ctx;
    if u32::try_from(tokens).is_ok_and(|tokens| tokens <= n_ctx) {
        return Ok(());
    }
    let detail = format!("the state has {tokens} tokens, and the context here has room for {n_ctx}");
    Err(Refusal::new(RefusalCode::ContextTooSmall, detail))
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::NotFound => RefusalCode::FileNotFound,
        _ => RefusalCode::FileUnreadable,
    };
    Refusal::new(code, format!("{}: {error}", path.display()))
}
