//! Asking a built worker what it is and what it can do.

use std::path::Path;
use std::time::Duration;

use intact_protocol::{
    Cage, Hello, Load, Open, Opened, Outcome, ParameterSource, Replied, Request, Save, Say, Settings,
};
use thiserror::Error;

use super::Release;
use crate::caging;
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

/// Longest wait for one answer. The model is tiny.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a worker, checks that it complies with the protocol and is of the release, opens a model, and lets it save a
/// session and load it again.
///
/// # Errors
/// [`ProbeError`], at the first thing that it does not do.
pub fn probe(release: &Release, command: &[String], model: &Path) -> Result<Probed, ProbeError> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("probe.json");
    let cage = Cage { read: caging::model(model), write: vec![folder.path().to_owned()] };
    let limits = Limits { cage, ..Limits::default() };
    let (mut worker, hello) = Worker::start_in(command, &[], &limits, PATIENCE)?;
    if !release.is_called(&hello.release) {
        return Err(ProbeError::OtherRelease { found: hello.release, expected: release.tag.clone() });
    }
    let open = Open::new(model, Settings { n_ctx: Some(256), ..Settings::default() });
    let Replied::Open(opened) = carried_out(&mut worker, Request::Open(Box::new(open)))? else {
        return Err(mistaken("open"));
    };
    let say = Say {
        session: "probe".into(),
        system: None,
        text: "Are you there?".into(),
        reply: Some("Yes.".into()),
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    };
    carried_out(&mut worker, Request::Say(say))?;
    let save =
        Save { session: "probe".into(), path: path.clone(), format: None, manifest: false, own: false };
    carried_out(&mut worker, Request::Save(save))?;
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

fn carried_out(worker: &mut Worker, request: Request) -> Result<Replied, ProbeError> {
    let op = request.operation();
    let why = match worker.ask(request, PATIENCE, &mut |_| {})? {
        Outcome::Ok { result } => return Ok(*result),
        Outcome::Refused(refusal) => format!("{} ({})", refusal.message, refusal.code),
        Outcome::Unsupported { message, .. } | Outcome::Error { message } => message,
    };
    Err(ProbeError::Declined { op, why })
}

fn mistaken(op: &'static str) -> ProbeError {
    ProbeError::Declined { op, why: "it answers with the result of another request".into() }
}
