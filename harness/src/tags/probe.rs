//! Asking a built worker what it is and what it can do.

use std::path::Path;
use std::time::Duration;

use intact_protocol::{
    Cage, Hello, HelloRequest, Load, Open, Opened, Outcome, PROTOCOL, ParameterSource, Replied, Request,
    Save, Say, Settings,
};
use thiserror::Error;

use super::Release;
use crate::caging;
use crate::fleeting::FleetingFolder;
use crate::worker::{Limits, Worker, WorkerError};

/// What a worker showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Who it is.
    pub hello: Hello,
    /// What it says of the model; the layout that it found in its own state among it.
    pub opened: Opened,
    /// How it took back a session that it had saved itself.
    pub route: String,
}

/// What a worker did not do.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The library that it is to run on cannot be used.
    #[error("its library cannot be used: {0}")]
    Library(String),
    /// It failed, or does not comply with the protocol.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// It is built against something else than its folder says.
    #[error("it says it is built against {found}, not {expected}; build it again")]
    OtherRelease {
        /// What it says.
        found: String,
        /// The release of its folder.
        expected: String,
    },
    /// It did not carry out a request.
    #[error("it does not carry out `{op}`: {why}")]
    Declined {
        /// The request.
        op: &'static str,
        /// Its answer.
        why: String,
    },
    /// There is no place for the session that it is to save.
    #[error("no temporary folder: {0}")]
    Folder(#[from] std::io::Error),
}

impl ProbeError {
    /// The same of the folder where somebody has the libraries, in place of the one that they were copied to.
    pub(super) fn of(self, copied: &Path, from: &Path) -> Self {
        match self {
            Self::Library(reason) => {
                let [copied, from] = [copied, from].map(|path| path.display().to_string());
                Self::Library(reason.replace(&copied, &from))
            }
            other => other,
        }
    }
}

/// How a worker ends whose library cannot be used.
const NO_LIBRARY: &str = "exit 94";
/// What it says then begins like this.
const SAYS: &str = "intact-worker: ";

/// Longest wait for one answer. The model is tiny.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a worker, checks that it complies with the protocol and is of the release, opens a model, and lets it save a
/// session and load it again.
///
/// # Errors
/// [`ProbeError`], at the first thing that it does not do.
pub fn probe(release: &Release, command: &[String], model: &Path) -> Result<Probed, ProbeError> {
    let folder = FleetingFolder::make(&std::env::temp_dir())?;
    let path = folder.path().join("probe.json");
    let cage = Cage { read: caging::model(model), write: vec![folder.path().to_owned()] };
    let limits = Limits { cage, ..Limits::default() };
    let (mut worker, hello) = started(command, &limits)?;
    if !release.is_called(&hello.release) {
        return Err(ProbeError::OtherRelease { found: hello.release, expected: release.tag.clone() });
    }
    let open = Open::new(model, Settings { n_ctx: Some(256), ..Settings::default() });
    let Replied::Open(opened) = carried_out(&mut worker, Request::Open(Box::new(open)))? else {
        return Err(mistaken("open"));
    };
    carried_out(&mut worker, Request::Say(question()))?;
    carried_out(&mut worker, Request::Save(saving(&path)))?;
    let load = Load {
        path,
        session: None,
        reader_format: None,
        routes: None,
        parameters: ParameterSource::Saved,
        manifest: false,
    };
    let Replied::Load(loaded) = carried_out(&mut worker, Request::Load(load))? else {
        return Err(mistaken("load"));
    };
    worker.leave(PATIENCE);
    Ok(Probed { hello, opened, route: loaded.receipt.route })
}

/// Starts a worker and asks who it is. One whose library cannot be used says why.
///
/// # Errors
/// [`ProbeError`].
pub fn started(command: &[String], limits: &Limits) -> Result<(Worker, Hello), ProbeError> {
    let error = match Worker::start_in(command, &[], limits, PATIENCE) {
        Err(WorkerError::Crashed { code, .. }) if code == NO_LIBRARY => refused(command, limits),
        other => return Ok(other?),
    };
    Err(error)
}

/// Why the library of a worker cannot be used, in its own words.
fn refused(command: &[String], limits: &Limits) -> ProbeError {
    let hello = Request::Hello(HelloRequest { protocol: PROTOCOL });
    let mut worker = match Worker::spawn(command, &[], limits) {
        Ok(worker) => worker,
        Err(error) => return error.into(),
    };
    match worker.ask(hello, PATIENCE, &mut |_| {}) {
        Err(error) => {
            let log = worker.log().join("\n");
            match log.split_once(SAYS) {
                Some((_, reason)) => ProbeError::Library(reason.to_owned()),
                None => error.into(),
            }
        }
        Ok(_) => ProbeError::Library("it could not be opened the first time".to_owned()),
    }
}

/// What a worker is told, and what it is to say.
pub(super) fn question() -> Say {
    Say {
        session: SESSION.into(),
        system: None,
        text: "Are you there?".into(),
        reply: Some("Yes.".into()),
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    }
}

/// That it is to save the session.
pub(super) fn saving(path: &Path) -> Save {
    Save { session: SESSION.into(), path: path.to_owned(), format: None, manifest: false, own: false }
}

const SESSION: &str = "probe";

pub(super) fn carried_out(worker: &mut Worker, request: Request) -> Result<Replied, ProbeError> {
    carried_out_within(PATIENCE, worker, request)
}

/// What a worker gives that carries a request out in this time.
pub(crate) fn carried_out_within(
    patience: Duration,
    worker: &mut Worker,
    request: Request,
) -> Result<Replied, ProbeError> {
    let op = request.operation();
    let why = match worker.ask(request, patience, &mut |_| {})? {
        Outcome::Ok { result } => return Ok(*result),
        Outcome::Refused(refusal) => format!("{} ({})", refusal.message, refusal.code),
        Outcome::Unsupported { message, .. } | Outcome::Error { message, .. } => message,
    };
    Err(ProbeError::Declined { op, why })
}

fn mistaken(op: &'static str) -> ProbeError {
    ProbeError::Declined { op, why: "it answers with the result of another request".into() }
}
