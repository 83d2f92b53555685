//! Sessions of a study, played by workers of the blind kind: nothing is judged between a save and a load.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intact_format::transcode::HeadSizes;
use intact_protocol::{
    Cage, FlashAttention, Forget, Load, Logits, Open, Opened, Outcome, ParameterSource, Replied, Request,
    Save, Say, Score, Settings,
};

use super::StudyError;
use super::conversation::{CONTINUATION, SYSTEM, Talk};
use super::image::Image;
use crate::caging;
use crate::worker::{Limits, Worker};

const PATIENCE: Duration = Duration::from_secs(900);
/// Tokens of the continuation that are forced: with the one before them, so many positions are looked at.
const SCORED: u32 = 16;
const SESSION: &str = "studied";

/// Where a session lives: worker, model, settings, environment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SessionSetup {
    /// The worker's command line, without what is behind its protocol.
    pub(super) command: Vec<String>,
    pub(super) model: PathBuf,
    pub(super) settings: Settings,
    pub(super) rotates: bool,
}

/// A session that was held without interruption.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// What was saved of it: the bare document.
    document: PathBuf,
    /// Its cells.
    pub(super) image: Image,
    /// What it said.
    pub(super) logits: Logits,
}

/// Plays sessions.
#[derive(Debug)]
pub(super) struct Desk {
    scratch: PathBuf,
    heads: Option<HeadSizes>,
    open: Option<(SessionSetup, Worker, Opened)>,
    files: usize,
}

impl SessionSetup {
    /// The settings that everything else differs from.
    pub(super) fn new(program: &Path, model: &Path, threads: u32) -> Self {
        let settings = Settings {
            n_ctx: Some(2048),
            n_batch: Some(512),
            n_ubatch: Some(512),
            threads: Some(threads),
            type_k: Some("f16".into()),
            type_v: Some("f16".into()),
            flash_attention: Some(FlashAttention::On),
            ..Settings::default()
        };
        Self {
            command: vec![program.display().to_string()],
            model: model.to_owned(),
            settings,
            rotates: true,
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        // llama.cpp's own switch.
        let off = ("LLAMA_ATTN_ROT_DISABLE".to_owned(), "1".to_owned());
        if self.rotates { Vec::new() } else { vec![off] }
    }
}

impl Desk {
    pub(super) fn new(scratch: &Path, heads: Option<HeadSizes>) -> Self {
        Self { scratch: scratch.to_owned(), heads, open: None, files: 0 }
    }

    /// Holds a session without interruption.
    pub(super) fn hold(&mut self, setup: &SessionSetup, talk: &Talk) -> Result<Held, StudyError> {
        let document = self.file("json");
        let layout = self.open_with(setup)?;
        for (text, reply) in talk {
            self.ask(Request::Say(Say {
                session: SESSION.into(),
                system: Some(SYSTEM.into()),
                text: (*text).into(),
                reply: Some((*reply).into()),
                max_tokens: None,
                greedy: false,
                cancel_after: None,
                stream: false,
            }))?;
        }
        let save = Save {
            session: SESSION.into(),
            path: document.clone(),
            format: None,
            manifest: false,
            own: false,
        };
        self.ask(Request::Save(save))?;
        let logits = self.score()?;
        let state = document.with_extension("kv");
        // Releases before the rotation was recorded cannot be told apart by their files; the switch is ours.
        let heads = self.heads.filter(|_| setup.rotates);
        let image = Image::read(&state, &layout, heads)?;
        let _no_longer_needed = fs::remove_file(state);
        Ok(Held { document, image, logits })
    }

    /// Restores an image under the name of a session, as it is, and looks at what it says.
    pub(super) fn restore(
        &mut self,
        setup: &SessionSetup,
        held: &Held,
        image: &Image,
    ) -> Result<Logits, StudyError> {
        let document = self.file("json");
        let failed = |source| StudyError::Io { path: document.clone(), source };
        fs::copy(&held.document, &document).map_err(failed)?;
        let state = document.with_extension("kv");
        image.write(&state)?;
        self.open_with(setup)?;
        let load = Load {
            path: document.clone(),
            session: Some(SESSION.into()),
            reader_format: None,
            routes: None,
            parameters: ParameterSource::Saved,
            manifest: false,
        };
        let loaded = self.ask(Request::Load(load)).and_then(|_| self.score());
        for file in [&document, &state] {
            let _no_longer_needed = fs::remove_file(file);
        }
        loaded
    }

    /// Opens a setup, unless it is open, with no session in it. Gives the layout of its states.
    fn open_with(&mut self, setup: &SessionSetup) -> Result<String, StudyError> {
        if let Some((open, _, opened)) = &self.open
            && open == setup
        {
            let layout = opened.layout.clone();
            // A session that is not there is no reason to stop.
            let forget = Request::Forget(Forget { session: SESSION.into() });
            let _refused = self.ask(forget);
            return Ok(layout);
        }
        self.leave();
        let command = [&setup.command[..], &["--subject".to_owned(), "blind".to_owned()]].concat();
        let cage = Cage { read: caging::model(&setup.model), write: vec![self.scratch.clone()] };
        let limits = Limits { cage, ..Limits::default() };
        let (mut worker, _) = Worker::start_in(&command, &setup.environment(), &limits, PATIENCE)?;
        let open = Open::new(setup.model.clone(), setup.settings.clone());
        let outcome = worker.ask(Request::Open(Box::new(open)), PATIENCE, &mut |_| {})?;
        let Replied::Open(opened) = replied("open", outcome)? else { return Err(StudyError::other("open")) };
        let layout = opened.layout.clone();
        self.open = Some((setup.clone(), worker, opened));
        Ok(layout)
    }

    fn score(&mut self) -> Result<Logits, StudyError> {
        let path = self.file("logits");
        let score = Score {
            session: SESSION.into(),
            text: CONTINUATION.into(),
            max_tokens: SCORED,
            path: path.clone(),
            afresh: false,
        };
        self.ask(Request::Score(score))?;
        let logits = Logits::read(&path)?;
        let _no_longer_needed = fs::remove_file(path);
        Ok(logits)
    }

    fn ask(&mut self, request: Request) -> Result<Replied, StudyError> {
        let op = request.operation();
        let Some((_, worker, _)) = &mut self.open else { return Err(StudyError::other(op)) };
        match worker.ask(request, PATIENCE, &mut |_| {}) {
            Ok(outcome) => replied(op, outcome),
            Err(error) => {
                // It is dead.
                self.open = None;
                Err(error.into())
            }
        }
    }

    /// Lets the worker go.
    pub(super) fn leave(&mut self) {
        if let Some((_, worker, _)) = self.open.take() {
            worker.leave(Duration::from_secs(5));
        }
    }

    fn file(&mut self, extension: &str) -> PathBuf {
        self.files += 1;
        self.scratch.join(format!("{}.{extension}", self.files))
    }
}

fn replied(op: &'static str, outcome: Outcome) -> Result<Replied, StudyError> {
    let said = |said: String| Err(StudyError::Worker { op, said });
    match outcome {
        Outcome::Ok { result } => Ok(*result),
        Outcome::Refused(refusal) => said(refusal.message),
        Outcome::Unsupported { message, .. } | Outcome::Error { message, .. } => said(message),
    }
}
