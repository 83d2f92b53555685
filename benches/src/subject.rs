//! One engine with one live session, and the same session in files.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intact_engine::llama::{Container, Context, ContextSettings, LlamaError, Model, Part, SequenceState};
use intact_engine::{
    Engine, EngineError, EngineOptions, Generation, Hooks, LoadOptions, Loaded, SaveOptions, Saved,
    StartOptions, sidecar_path,
};
use intact_format::image::Durable;
use intact_format::kv_type::KvType;
use intact_format::layout::{Attention, Container as Bytes, Section, encode};
use intact_format::parameters::{ContextParameters, FlashAttentionMode};
use intact_format::place::{FileSink, Replaces};
use intact_format::route::{LoadPolicy, RefusalCode, Route};
use intact_format::session::{SessionDocument, read, write};
use intact_format::token::Token;
use intact_format::version::FormatVersion;
use serde_json::json;
use tempfile::TempDir;

use crate::{Failure, Shape};

const SESSION: &str = "bench";
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog. ";

/// Tokens that are evaluated; their KV is repeated.
const EVALUATED: usize = 256;

/// Room that a session leaves in its context, in tokens.
const ROOM: usize = 2048;

/// Threads that evaluate, the same on every machine, unless `INTACT_BENCH_THREADS` names another number. On a machine with
/// fewer idle cores, llama.cpp's threads wait for each other.
const THREADS: u32 = 2;

/// An engine with one live session of a shape, and the same session saved.
pub struct Subject {
    engine: Engine,
    shape: Shape,
    folder: TempDir,
}

impl Subject {
    /// Makes the model, the session, and its files.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn new(shape: Shape) -> Result<Self, Failure> {
        Self::of(shape, false)
    }

    /// The same with an engine that does not know the layout of its llama.cpp, so that images are opaque.
    ///
    /// # Errors
    /// As for [`Subject::new`].
    pub fn opaque(shape: Shape) -> Result<Self, Failure> {
        Self::of(shape, true)
    }

    fn of(shape: Shape, forget_layouts: bool) -> Result<Self, Failure> {
        let folder = match std::env::var_os("INTACT_BENCH_FOLDER") {
            Some(place) => tempfile::tempdir_in(place)?,
            None => tempfile::tempdir()?,
        };
        let seed = folder.path().join("bare.json");
        write_seed(shape, &seed)?;
        let options = options(shape, shape.kv, 1)?.hooks(Hooks { forget_layouts, ..Hooks::default() });
        let mut subject = Self { engine: Engine::create(options)?, shape, folder };
        #[expect(unsafe_code, reason = "a session of any length without evaluating it")]
        // SAFETY: the state was just encoded for this very engine.
        unsafe { subject.engine.blind_load(&seed, None, Container::RawSequence) }?;
        fs::remove_file(sidecar_path(&seed))?;
        subject.save(&subject.file())?;
        let bare = subject.file_without_image();
        fs::create_dir_all(bare.parent().ok_or("a file in a folder")?)?;
        // Nor the canary: evaluated tokens have other KV than repeated ones.
        let document = read(&fs::read(subject.file())?, FormatVersion::CURRENT)?.document;
        let document = SessionDocument { canary: None, image: None, ..document };
        fs::write(bare, write(&document, FormatVersion::CURRENT)?.bytes)?;
        Ok(subject)
    }

    /// Name of the shape.
    #[must_use]
    pub fn name(&self) -> String {
        self.shape.name()
    }

    /// The saved session.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("session.json")
    }

    /// The saved session without its image: a load must evaluate all its tokens.
    #[must_use]
    pub fn file_without_image(&self) -> PathBuf {
        self.folder.path().join("without-image").join("session.json")
    }

    /// A path in a scratch folder.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Saves the live session.
    ///
    /// # Errors
    /// The engine's.
    pub fn save(&mut self, path: &Path) -> Result<Saved, Failure> {
        Ok(self.engine.save(SESSION, &SaveOptions::to(path))?)
    }

    /// Saves the live session without waiting for the disk.
    ///
    /// # Errors
    /// The engine's.
    pub fn save_unflushed(&mut self, path: &Path) -> Result<Saved, Failure> {
        let mut sink = FileSink::new(path, Replaces::Session, Durable::unflushed());
        Ok(self.engine.save_to(SESSION, &mut sink, &SaveOptions::to(path))?)
    }

    /// Loads a session file; the live session is replaced.
    ///
    /// # Errors
    /// The engine's.
    pub fn load(&mut self, path: &Path) -> Result<Loaded, Failure> {
        Ok(self.engine.load(path, &LoadOptions::default())?)
    }

    /// Says a message of about `tokens` tokens, which gets a short reply.
    ///
    /// # Errors
    /// The engine's.
    pub fn say(&mut self, tokens: usize) -> Result<(), Failure> {
        let tokens_of_sentence = self.engine.model().tokenize(SENTENCE, false, false).len().max(1);
        let text = SENTENCE.repeat((tokens / tokens_of_sentence).max(1));
        self.engine.send_to(SESSION, &text, &reply("Yes."), &mut |_| {})?;
        Ok(())
    }

    /// Generates one token of a reply to a short message.
    ///
    /// # Errors
    /// The engine's.
    pub fn first_token(&mut self) -> Result<(), Failure> {
        let generation = Generation::default().max_tokens(1).greedy(true);
        self.engine.send_to(SESSION, "Go on.", &generation, &mut |_| {})?;
        Ok(())
    }

    /// Tokens of the live session.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn tokens(&self) -> Result<usize, Failure> {
        Ok(self.engine.session(SESSION)?.timeline().tokens().len())
    }

    /// An engine that keeps no contexts, over the same model.
    ///
    /// # Errors
    /// The engine's.
    pub fn engine_without_spares(&self) -> Result<Engine, Failure> {
        engine(self.shape, self.shape.kv, 0)
    }

    /// Loads the saved session into an engine whose cache has another type; `None`, after saying why, where the converted KV
    /// does not prove itself: it is repeated and nobody's conversation, and in a long one the loss adds up.
    ///
    /// # Errors
    /// The engine's other errors.
    pub fn load_converted(&self, other: &mut Engine) -> Result<Option<Loaded>, Failure> {
        let policy = LoadPolicy::from_iter([Route::Transcoded]);
        match other.load(self.file(), &LoadOptions::default().policy(policy)) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(EngineError::Refused(refusal)) if refusal.code == RefusalCode::CanaryFailed => {
                eprintln!("{}: not transcoded: {refusal}", self.name());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An engine whose cache has another type, so that a load has to transcode.
    ///
    /// # Errors
    /// The engine's.
    pub fn transcoding_engine(&self) -> Result<Engine, Failure> {
        let other = if self.shape.kv == KvType::F16 { KvType::Q8_0 } else { KvType::F16 };
        engine(self.shape, other, 1)
    }

    /// The live session's context.
    ///
    /// # Errors
    /// When the session is gone.
    pub fn context(&self) -> Result<&Context, Failure> {
        Ok(self.engine.session(SESSION)?.timeline().context())
    }

    /// The live session's KV as llama.cpp writes it.
    ///
    /// # Errors
    /// llama.cpp's.
    pub fn state(&self) -> Result<SequenceState, Failure> {
        Ok(self.context()?.state(Part::Whole)?)
    }

    /// Lets llama.cpp itself write a sequence file.
    ///
    /// # Errors
    /// llama.cpp's.
    pub fn save_by_llama(&self, path: &Path) -> Result<(), Failure> {
        let timeline = self.engine.session(SESSION)?.timeline();
        Ok(timeline.context().keep(Container::SequenceFile, path, timeline.tokens())?)
    }

    /// Another context of the same settings, empty.
    ///
    /// # Errors
    /// llama.cpp's.
    pub fn empty_context(&self) -> Result<Context, Failure> {
        let settings: &ContextSettings = self.context()?.settings();
        let model: &Arc<Model> = self.engine.model();
        Ok(Context::new(model, settings)?)
    }
}

/// Evaluates a short session, repeats its KV, and writes that as a longer session, unproven: saving it finds out what the
/// model says there.
fn write_seed(shape: Shape, file: &Path) -> Result<(), Failure> {
    let mut engine = engine(shape, shape.kv, 0)?;
    let model = Arc::clone(engine.model());
    let tokens_of_sentence = model.tokenize(SENTENCE, false, false).len().max(1);
    let text = SENTENCE.repeat(EVALUATED / tokens_of_sentence + 2);
    let options = StartOptions::default().id("seed");
    engine.start(options)?;
    engine.send_to("seed", &text, &reply("Indeed."), &mut |_| {})?;
    let probe = engine.survey()?.probe;
    let here = probe.understood().ok_or("the layout of this llama.cpp is not known")?.clone();
    let timeline = engine.session("seed")?.timeline();
    let tokens: Vec<Token> = timeline.tokens()[..EVALUATED].to_vec();
    let state = timeline.context().state(Part::Whole)?;
    let mut state = here.parse(state.bytes())?;
    // The last token is not in the memory: not every memory can be cut there.
    let cells = shape.tokens - 1;
    let mut first = 0;
    for section in &mut state.sections {
        match section {
            Section::Attention(cache) => {
                *cache = repeated(cache, first..cells)?;
                // Caches behind the first one keep a window.
                first = timeline.memory().window.map_or(0, |window| cells.saturating_sub(window));
            }
            Section::Recurrent(memory) => memory.positions.fill(i32::try_from(cells - 1)?),
        }
    }
    let tokens: Vec<Token> = tokens.into_iter().cycle().take(shape.tokens).collect();
    let bare = json!({
        "session": SESSION,
        "messages": [{ "role": "user", "content": SENTENCE, "tokens": tokens }],
        "tokens": tokens,
        "cached": cells,
    });
    fs::write(file, serde_json::to_vec(&bare)?)?;
    Ok(fs::write(sidecar_path(file), encode(&state, here.layout, Bytes::Blob)?)?)
}

/// The cells of the evaluated tokens, over and over, at these positions.
fn repeated<'a>(evaluated: &Attention<'a>, positions: Range<usize>) -> Result<Attention<'a>, Failure> {
    let mut cache = evaluated.slice(0..0);
    let mut at = positions.start;
    while at < positions.end {
        let from = at % EVALUATED;
        let mut next = evaluated.slice(from..EVALUATED.min(from + positions.end - at));
        for (position, cell) in (at..).zip(&mut next.cells) {
            cell.position = i32::try_from(position)?;
        }
        at += next.cells.len();
        cache.join(next)?;
    }
    Ok(cache)
}

/// Writes bytes into a new file and flushes it.
///
/// # Errors
/// The file system's.
pub fn write_plainly(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

fn reply(text: &str) -> Generation {
    Generation::default().forced(text)
}

fn engine(shape: Shape, kv: KvType, spare_contexts: usize) -> Result<Engine, Failure> {
    Ok(Engine::create(options(shape, kv, spare_contexts)?)?)
}

fn options(shape: Shape, kv: KvType, spare_contexts: usize) -> Result<EngineOptions, Failure> {
    let model = intact_fixtures::ensure(shape.model, &intact_fixtures::default_dir()?)?;
    let named = std::env::var("INTACT_BENCH_THREADS").ok().and_then(|text| text.parse().ok());
    let threads = named.unwrap_or(THREADS);
    let context = ContextParameters {
        context_size: Some(u32::try_from(shape.tokens + ROOM)?),
        n_threads: Some(threads),
        type_k: Some(kv),
        type_v: Some(kv),
        flash_attention_mode: Some(FlashAttentionMode::Enabled),
        ..ContextParameters::default()
    };
    Ok(EngineOptions::default().model(model).context(context).spare_contexts(spare_contexts))
}

/// Loads a file of llama.cpp's own with its own function.
///
/// # Errors
/// What llama.cpp says.
pub fn load_by_llama(context: &mut Context, path: &Path) -> Result<(), LlamaError> {
    #[expect(unsafe_code, reason = "llama.cpp's own way is what is measured")]
    // SAFETY: the benches wrote the file themselves, from a context of the same model and settings.
    unsafe { context.take_back_unverified(Container::SequenceFile, path) }.map(drop)
}
