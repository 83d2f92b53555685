//! A file: does a release read it as what it is?
//!
//! Of llama.cpp's own state file a release is asked what its model says after it, and what it says when it evaluates the tokens
//! that the file names again: both by the same library, so that nothing but the file can part them. Of a session of intact it
//! is asked whether the saved KV is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Candidate};
use crate::afresh;
use crate::bisect::Tried;
use crate::command::Failure;
use crate::command::worker::{Session, SettingArguments, told};
use crate::config::Config;
use crate::fleeting::FleetingFolder;
use intact_format::foreign::{ForeignFile, ForeignKind};
use intact_format::layout::{Container, Section, parse};
use intact_format::regular;
use intact_matrix::Limits;
use intact_protocol::{Cage, Check, Load, Logits, ParameterSource, Replied, Request};
use serde_json::json;

/// How long a release may take for one of the questions.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Id of the session that a state becomes.
const SESSION: &str = "bisected";

/// A file, and what it is read with.
pub(super) struct State {
    model: PathBuf,
    settings: SettingArguments,
    kind: Kind,
    folder: FleetingFolder,
    /// How far apart the same is where its noise was not measured.
    limits: Limits,
}

enum Kind {
    /// A session of intact.
    Session(PathBuf),
    /// A state of llama.cpp, with the subject's option for its container.
    Foreign { container: &'static str, document: PathBuf },
}

impl State {
    pub(super) fn new(file: &Path, model: PathBuf, settings: SettingArguments) -> Result<Self, Failure> {
        let limits = Config::built_in().map_err(|error| Failure::config(&error))?.thresholds.unmeasured;
        let bytes = regular::read(file).map_err(|error| Failure::unreadable(file, &error))?;
        let folder = FleetingFolder::make(&std::env::temp_dir()).map_err(Failure::setup)?;
        let whole = std::path::absolute(file).map_err(|error| Failure::unreadable(file, &error))?;
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            return Ok(Self { model, settings, kind: Kind::Session(whole), folder, limits });
        }
        let state = ForeignFile::read(&bytes).map_err(|error| {
            Failure::setup(format!("{}: {error}", file.display()))
                .help("a search needs the tokens of a state: sequence and session files keep them, raw states do not")
        })?;
        let container = match state.kind {
            ForeignKind::SequenceFile => "sequence-file",
            ForeignKind::SessionFile => "session-file",
        };
        let document = folder.path().join("state.json");
        let bare = json!({
            "session": SESSION, "messages": [], "tokens": state.tokens, "cached": state.tokens.len(),
        });
        fs::write(&document, bare.to_string())
            .and_then(|()| fs::write(document.with_extension("kv"), &bytes))
            .map_err(|error| Failure::unreadable(&document, &error))?;
        Ok(Self { model, settings, kind: Kind::Foreign { container, document }, folder, limits })
    }

    /// What to say where the release that is said to work does not read the file: it may be asked with another type of K and V
    /// than the file has.
    pub(super) fn hint(&self) -> Option<String> {
        let kv = match &self.kind {
            Kind::Foreign { document, .. } => {
                let bytes = regular::read(document.with_extension("kv")).ok()?;
                kv_of(&ForeignFile::read(&bytes).ok()?)?.to_owned()
            }
            Kind::Session(file) => {
                let document: serde_json::Value = serde_json::from_slice(&regular::read(file).ok()?).ok()?;
                document.pointer("/Passport/cache/type_k")?.as_str()?.to_owned()
            }
        };
        let asked = self.settings.kv().unwrap_or(USUAL);
        (kv != asked)
            .then(|| format!("its K are in {kv}, and releases were asked with {asked}: say --kv {kv}"))
    }

    /// Asks one release.
    pub(super) fn ask(&self, candidate: &Candidate<'_>) -> Result<Answer, Failure> {
        let (options, read) = match &self.kind {
            Kind::Session(file) => {
                let beside = intact_format::place::find_sidecar(file);
                (vec!["--subject", "engine"], vec![file.clone(), beside])
            }
            Kind::Foreign { container, .. } => {
                (vec!["--subject", "blind", "--container", container], vec![self.folder.path().to_owned()])
            }
        };
        let command: Vec<String> =
            candidate.command.iter().cloned().chain(options.into_iter().map(str::to_owned)).collect();
        let cage = Cage { read, write: vec![self.folder.path().to_owned()] };
        let mut session = match self.settings.open_by(command, &self.model, cage) {
            Ok(session) => session,
            Err(failure) => return Ok(skipped(&failure)),
        };
        let answer = match &self.kind {
            Kind::Session(file) => is_used(&mut session, file),
            Kind::Foreign { document, .. } => self.is_right(&mut session, document),
        };
        match answer {
            Ok(answer) => {
                session.leave();
                Ok(answer)
            }
            // The worker is dead: it died of the file.
            Err(failure) => Ok(Answer { tried: Tried::Bad, evidence: failure.to_string() }),
        }
    }

    /// Whether the model goes on after the state as after the same tokens.
    fn is_right(&self, session: &mut Session, document: &Path) -> Result<Answer, Failure> {
        let load = Load {
            path: document.to_owned(),
            session: Some(SESSION.to_owned()),
            reader_format: None,
            routes: None,
            parameters: ParameterSource::Defaults,
            manifest: false,
        };
        match session.ask(Request::Load(load), PATIENCE, &mut |_| {})? {
            Ok(Replied::Load(_)) => {}
            refused => return Ok(Answer { tried: Tried::Bad, evidence: told(&refused) }),
        }
        let mut said = Vec::new();
        for score in afresh::scores(SESSION, self.folder.path()) {
            let (path, afresh) = (score.path.clone(), score.afresh);
            match session.ask(Request::Score(score), PATIENCE, &mut |_| {})? {
                Ok(Replied::Score(_)) => said.push(Logits::read(&path).map_err(Failure::setup)?),
                other if afresh => {
                    return Ok(Answer { tried: Tried::Skipped, evidence: told(&other) });
                }
                other => return Ok(Answer { tried: Tried::Bad, evidence: told(&other) }),
            }
        }
        let (is_near, evidence) = afresh::judged("state", &said[0], &said[1], &self.limits);
        Ok(Answer { tried: if is_near { Tried::Good } else { Tried::Bad }, evidence })
    }
}

/// The type of K and V where none is named.
const USUAL: &str = "f16";

/// The type of K in a state.
fn kv_of(file: &ForeignFile<'_>) -> Option<&'static str> {
    let fits = file.fits();
    let fit = fits.first()?;
    let state = parse(file.state, fit.layout, &fit.shape, Container::File).ok()?;
    state.sections.iter().find_map(|section| match section {
        Section::Attention(cache) => cache.keys.first()?.kind.name(),
        Section::Recurrent(_) => None,
    })
}

/// Whether the saved KV of a session is used.
fn is_used(session: &mut Session, file: &Path) -> Result<Answer, Failure> {
    let check = Check { path: file.to_owned(), routes: None, manifest: false };
    Ok(match session.ask(Request::Check(check), PATIENCE, &mut |_| {})? {
        Ok(Replied::Check(checked)) => {
            let tried = match checked.route.as_str() {
                "direct" | "transcoded" => Tried::Good,
                _ => Tried::Bad,
            };
            let why = checked.refusal.map_or_else(String::new, |refusal| format!(": {}", refusal.message));
            Answer { tried, evidence: format!("route {}{why}", checked.route) }
        }
        other => Answer { tried: Tried::Bad, evidence: told(&other) },
    })
}

/// A release that does not start says nothing of the file.
fn skipped(failure: &Failure) -> Answer {
    Answer { tried: Tried::Skipped, evidence: failure.to_string() }
}
