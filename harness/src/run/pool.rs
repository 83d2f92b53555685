//! A pool of workers: processes with a model open, kept from cell to cell while they behave.

use std::collections::BTreeMap;
use std::time::Instant;

use intact_protocol::Hello;

use super::phase::{Executor, SideSetup};
use crate::config::Conversation;
use crate::scenario::{OpenWorker, StepError};
use crate::worker::Worker;

/// One thread's workers, kept while they behave.
pub(super) struct WorkerPool<'a> {
    pub executor: &'a Executor<'a>,
    /// When the cell that is played must be done.
    pub deadline: Option<Instant>,
    workers: BTreeMap<Host, PooledWorker>,
}

struct PooledWorker {
    worker: Worker,
    hello: Hello,
    open: Option<SideSetup>,
}

/// What decides which process it is, and how it was started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    subject: String,
    system: Option<String>,
    release: Option<String>,
    backend: Option<String>,
    container: Option<String>,
    environment: Vec<(String, String)>,
}

/// A worker with a model open.
pub(super) struct Lease<'a> {
    pub open_worker: OpenWorker<'a>,
    /// What it said of itself.
    pub hello: &'a Hello,
    /// What is said.
    pub conversation: &'a Conversation,
}

/// Workers that a thread keeps; more would only hold memory.
const KEPT: usize = 8;

impl<'a> WorkerPool<'a> {
    pub(super) fn new(executor: &'a Executor<'a>) -> Self {
        Self { executor, deadline: None, workers: BTreeMap::new() }
    }

    /// A worker of the subject with this model and these settings open.
    pub(super) fn lease(&mut self, subject: &str, wanted: &SideSetup) -> Result<Lease<'_>, StepError> {
        let host = Host::of(subject, wanted);
        if !self.workers.contains_key(&host) {
            if self.workers.len() >= KEPT {
                self.workers.clear();
            }
            let (worker, hello) =
                self.executor.subjects.worker(subject, &wanted.place, &self.executor.cage)?;
            self.workers.insert(host.clone(), PooledWorker { worker, hello, open: None });
        }
        let pooled = self.workers.get_mut(&host).ok_or_else(|| StepError::Failed {
            op: "open",
            message: "the worker left while it was started".into(),
        })?;
        let (timeout, deadline) = (self.executor.timeout, self.deadline);
        let mut open_worker = OpenWorker { worker: &mut pooled.worker, timeout, deadline };
        if pooled.open.as_ref() != Some(wanted) {
            pooled.open = None;
            let mut place = wanted.place.clone();
            place.settings.threads =
                place.settings.threads.or(Some(self.executor.threads_for(&wanted.model)));
            open_worker.open(&wanted.model, &place, &wanted.adapters)?;
        }
        let open = pooled.open.insert(wanted.clone());
        Ok(Lease { open_worker, hello: &pooled.hello, conversation: &open.conversation })
    }

    /// Keeps the worker if it behaved, else lets the next one who sits down start another.
    pub(super) fn settle(&mut self, subject: &str, side: &SideSetup, behaved: bool) {
        if !behaved || self.executor.fresh {
            self.workers.remove(&Host::of(subject, side));
        }
    }

    /// The last lines that the worker wrote on standard error.
    pub(super) fn log(&self, subject: &str, side: &SideSetup) -> Vec<String> {
        self.workers.get(&Host::of(subject, side)).map(|pooled| pooled.worker.log()).unwrap_or_default()
    }

    /// Forgets what the worker wrote so far.
    pub(super) fn clear_log(&mut self, subject: &str, side: &SideSetup) {
        if let Some(pooled) = self.workers.get_mut(&Host::of(subject, side)) {
            pooled.worker.clear_log();
        }
    }
}

impl Host {
    fn of(subject: &str, side: &SideSetup) -> Self {
        let place = &side.place;
        Self {
            subject: subject.to_owned(),
            system: place.subject.clone(),
            release: place.release.clone(),
            backend: place.backend.clone(),
            container: place.container.clone(),
            environment: place.environment(),
        }
    }
}
