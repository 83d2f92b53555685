//! How a reader takes a saved session: it loads the session file, or adopts the state file that another system wrote.

use std::path::Path;

use intact_protocol::{
    Adopt, Adopted, Load, Loaded, Message, Outcome, ParameterSource, Receipt, Refusal, Replied, Request,
    Timings,
};

use super::{OpenWorker, SESSION};
use crate::judge::ADOPTED;
use crate::worker::WorkerError;

/// What a load gave.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadOutcome {
    /// It reported success.
    Loaded(Box<Loaded>),
    /// It was refused.
    Refused(Refusal),
    /// It failed.
    Failed(String),
    /// The subject cannot do it.
    Unsupported(String),
}

impl OpenWorker<'_> {
    /// Loads a session file.
    ///
    /// # Errors
    /// [`WorkerError`]; everything that the subject says is an outcome.
    pub fn load(
        &mut self,
        document: &Path,
        reader_format: Option<&str>,
        routes: Option<&[String]>,
        parameters: ParameterSource,
    ) -> Result<LoadOutcome, WorkerError> {
        let load = Load {
            path: document.to_owned(),
            session: Some(SESSION.to_owned()),
            reader_format: reader_format.map(str::to_owned),
            routes: routes.map(<[String]>::to_vec),
            parameters,
            manifest: false,
        };
        self.take(Request::Load(load), |replied| match replied {
            Replied::Load(loaded) => Some(loaded),
            _ => None,
        })
    }

    /// Adopts a state file, with the chat that was held.
    ///
    /// # Errors
    /// [`WorkerError`]; everything that the subject says is an outcome.
    pub fn adopt(&mut self, state: &Path, history: &[Message]) -> Result<LoadOutcome, WorkerError> {
        let adopt = Adopt {
            path: state.to_owned(),
            session: SESSION.to_owned(),
            history: Some(history.to_vec()),
            inputs: None,
        };
        self.take(Request::Adopt(adopt), |replied| match replied {
            Replied::Adopt(adopted) => Some(taken(adopted)),
            _ => None,
        })
    }

    fn take(
        &mut self,
        request: Request,
        loaded: impl FnOnce(Replied) -> Option<Loaded>,
    ) -> Result<LoadOutcome, WorkerError> {
        let op = request.operation();
        Ok(match self.worker.ask(request, self.patience(), &mut |_| {})? {
            Outcome::Refused(refusal) => LoadOutcome::Refused(refusal),
            Outcome::Unsupported { message, .. } => LoadOutcome::Unsupported(message),
            Outcome::Error { message, .. } => LoadOutcome::Failed(message),
            Outcome::Ok { result } => match loaded(*result) {
                Some(loaded) => LoadOutcome::Loaded(Box::new(loaded)),
                None => {
                    let how = "it answered with the result of another request".to_owned();
                    return Err(WorkerError::Protocol { op, how });
                }
            },
        })
    }
}

/// An adopted session as a loaded one: all of its tokens were evaluated, to verify what came from the file.
fn taken(adopted: Adopted) -> Loaded {
    let receipt = Receipt {
        route: ADOPTED.to_owned(),
        axes: Vec::new(),
        tokens_restored: adopted.tokens_restored,
        tokens_evaluated: adopted.tokens,
        canary_distance: Some(adopted.logprob_distance),
        parameters: None,
        notes: adopted.notes,
        timings: Timings::default(),
    };
    Loaded { session: adopted.session, receipt, history: None, harm: None }
}
