//! Seats at workers: processes with a model open, kept from cell to cell while they behave.

use std::collections::BTreeMap;
use std::time::Instant;

use intact_protocol::Hello;

use super::phase::{Scene, Seating};
use crate::config::Conversation;
use crate::scenario::{Stage, StepError};
use crate::worker::Worker;

/// One thread's workers, kept while they behave.
pub(super) struct Seats<'a> {
    pub scene: &'a Scene<'a>,
    /// When the cell that is played must be done.
    pub deadline: Option<Instant>,
    seats: BTreeMap<Host, Seat>,
}

struct Seat {
    worker: Worker,
    hello: Hello,
    open: Option<Seating>,
}

/// What decides which process it is, and how it was started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    subject: String,
    system: Option<String>,
    release: Option<String>,
    container: Option<String>,
    environment: Vec<(String, String)>,
}

/// A worker with a model open.
pub(super) struct Sitting<'a> {
    pub stage: Stage<'a>,
    /// What it said of itself.
    pub hello: &'a Hello,
    /// What is said.
    pub conversation: &'a Conversation,
}

/// Workers that a thread keeps; more would only hold memory.
const KEPT: usize = 8;

impl<'a> Seats<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, deadline: None, seats: BTreeMap::new() }
    }

    /// A worker of the subject with this model and these settings open.
    pub(super) fn sit(&mut self, subject: &str, wanted: &Seating) -> Result<Sitting<'_>, StepError> {
        let host = Host::of(subject, wanted);
        if !self.seats.contains_key(&host) {
            if self.seats.len() >= KEPT {
                self.seats.clear();
            }
            let (worker, hello) = self.scene.subjects.worker(subject, &wanted.place, &self.scene.cage)?;
            self.seats.insert(host.clone(), Seat { worker, hello, open: None });
        }
        let seat = self.seats.get_mut(&host).ok_or_else(|| StepError::Failed {
            op: "open",
            message: "the worker left while it was started".into(),
        })?;
        let (timeout, deadline) = (self.scene.timeout, self.deadline);
        let mut stage = Stage { worker: &mut seat.worker, timeout, deadline };
        if seat.open.as_ref() != Some(wanted) {
            seat.open = None;
            let mut place = wanted.place.clone();
            place.settings.threads = place.settings.threads.or(Some(self.scene.threads_for(&wanted.model)));
            stage.open(&wanted.model, &place, &wanted.adapters)?;
        }
        let open = seat.open.insert(wanted.clone());
        Ok(Sitting { stage, hello: &seat.hello, conversation: &open.conversation })
    }

    /// Keeps the worker if it behaved, else lets the next one who sits down start another.
    pub(super) fn settle(&mut self, subject: &str, seating: &Seating, behaved: bool) {
        if !behaved || self.scene.fresh {
            self.seats.remove(&Host::of(subject, seating));
        }
    }

    /// The last lines that the worker wrote on standard error.
    pub(super) fn log(&self, subject: &str, seating: &Seating) -> Vec<String> {
        self.seats.get(&Host::of(subject, seating)).map(|seat| seat.worker.log()).unwrap_or_default()
    }

    /// Forgets what the worker wrote so far.
    pub(super) fn clear_log(&mut self, subject: &str, seating: &Seating) {
        if let Some(seat) = self.seats.get_mut(&Host::of(subject, seating)) {
            seat.worker.clear_log();
        }
    }
}

impl Host {
    fn of(subject: &str, seating: &Seating) -> Self {
        let place = &seating.place;
        Self {
            subject: subject.to_owned(),
            system: place.subject.clone(),
            release: place.release.clone(),
            container: place.container.clone(),
            environment: place.environment(),
        }
    }
}
