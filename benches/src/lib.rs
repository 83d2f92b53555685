//! Sessions of given shapes and lengths, for the criterion benches of the restore path.
//!
//! ```text
//! cargo bench -p intact-benches                        # a small fixture model
//! INTACT_BENCH_LARGE=1 cargo bench -p intact-benches   # also layers and KV heads of a 7B model: 235 MB of KV
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intact_engine::llama::{Container, Context, ContextSettings, Model, Part, SequenceState};
use intact_engine::session::Generation;
use intact_engine::{Engine, EngineOptions, LoadOptions, Loaded, SaveOptions, Saved, StartOptions};
use intact_format::parameters::ContextParameters;
use tempfile::TempDir;

/// Whatever went wrong while a bench was prepared.
pub type Failure = Box<dyn Error>;

/// A model and a length of session.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Id of the fixture model.
    pub model: &'static str,
    /// Tokens of the session, about.
    pub tokens: usize,
}

/// What is measured always.
pub const SMALL: Shape = Shape { model: "llama", tokens: 512 };

/// What is measured where it is asked for: 28 layers, 4 KV heads of 128.
pub const LARGE: Shape = Shape { model: "kv-7b", tokens: 4096 };

/// The shapes that this process measures: the large one only where `INTACT_BENCH_LARGE` is set.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    let large = std::env::var_os("INTACT_BENCH_LARGE").is_some_and(|value| !value.is_empty());
    if large { vec![SMALL, LARGE] } else { vec![SMALL] }
}

/// An engine with one live session, and the same session saved.
pub struct Subject {
    engine: Engine,
    shape: Shape,
    folder: TempDir,
}

const SESSION: &str = "bench";

/// Room that a session leaves in its context, in tokens.
const ROOM: usize = 256;

/// Threads, the same on every machine. On a machine with fewer idle cores, llama.cpp's threads wait for each other.
const THREADS: u32 = 2;

impl Subject {
    /// Makes the model, evaluates a session of the shape, and saves it.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn new(shape: Shape) -> Result<Self, Failure> {
        let model = intact_fixtures::cached(shape.model)?;
        let context = ContextParameters {
            context_size: Some(u32::try_from(shape.tokens + ROOM)?),
            n_threads: Some(THREADS),
            ..ContextParameters::default()
        };
        let mut engine =
            Engine::create(EngineOptions { model: Some(model), context, ..EngineOptions::default() })?;
        engine.start(StartOptions { id: Some(SESSION.into()), ..StartOptions::default() })?;
        let mut subject = Self { engine, shape, folder: tempfile::tempdir()? };
        subject.fill()?;
        subject.save(&subject.file())?;
        let bare = subject.file_without_image();
        std::fs::create_dir_all(bare.parent().ok_or("a file in a folder")?)?;
        std::fs::copy(subject.file(), bare)?;
        Ok(subject)
    }

    /// Says one message that makes the session as long as it is to be, give or take its framing.
    fn fill(&mut self) -> Result<(), Failure> {
        const SENTENCE: &str = "The quick brown fox jumps over the lazy dog. ";
        let tokens_of_sentence = self.engine.model().tokenize(SENTENCE, false, false).len().max(1);
        let text = SENTENCE.repeat(self.shape.tokens / tokens_of_sentence);
        let generation = Generation { forced: Some("Indeed.".into()), ..Generation::default() };
        self.engine.send_to(SESSION, &text, &generation, &mut |_| {})?;
        Ok(())
    }

    /// Name of the shape: model and tokens.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.shape.model, self.shape.tokens)
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

    /// Loads a session file; the live session is replaced.
    ///
    /// # Errors
    /// The engine's.
    pub fn load(&mut self, path: &Path) -> Result<Loaded, Failure> {
        Ok(self.engine.load(path, &LoadOptions::default())?)
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
        let settings = ContextSettings {
            n_ctx: Some(u32::try_from(self.shape.tokens + ROOM)?),
            threads: Some(THREADS),
            ..ContextSettings::default()
        };
        let model: &Arc<Model> = self.engine.model();
        Ok(Context::new(model, &settings)?)
    }
}
