//! References: sessions that nothing happened to, each held once, with which cells are compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use intact_protocol::{AFRESH, Logits, ParameterSource};

use super::phase::{Executor, Prepared, SideSetup, numbered};
use super::pool::{Lease, WorkerPool};
use super::saved::identity;
use super::{elsewhere, parallel};
use crate::distance::Distance;
use crate::folder::{ArtifactEntry, ArtifactStore, Content, FolderError, StoredFile, WriterIdentity};
use crate::interrupt;
use crate::judge::Floor;
use crate::recipe::{Place, SessionForm};
use crate::scenario::{BYSTANDER, Dialogue, SESSION, StepError};

/// What identifies an uninterrupted session, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReferenceKey {
    pub subject: String,
    pub side: String,
    pub form: SessionForm,
}

/// Logits of the sessions that nothing happened to.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// Of the session that is saved and loaded in cells.
    pub session: Result<Logits, StepError>,
    /// Of the session that is live while another is loaded.
    pub bystander: Result<Logits, StepError>,
    /// What is sampled from the first one, where it is.
    pub sampled: Option<Result<String, StepError>>,
    /// How far it is from itself in another batch shape, where the subject can evaluate it in one.
    pub noise: Option<Floor>,
}

/// Every reference that cells are compared with.
pub(super) type References = BTreeMap<ReferenceKey, Result<Reference, StepError>>;

/// Told of a reference as soon as it is held, and of who held it.
pub(super) type Held<'a> =
    dyn Fn(&ReferenceKey, &Result<Reference, StepError>, Option<WriterIdentity>) + Sync + 'a;

impl ReferenceKey {
    /// What it is, for a reader of an index.
    pub(super) fn what(&self) -> BTreeMap<String, String> {
        let parts = [
            ("is", "an uninterrupted session".to_owned()),
            ("subject", self.subject.clone()),
            ("side", self.side.clone()),
            ("session", self.form.name().to_owned()),
        ];
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(super) fn digest(&self) -> String {
        elsewhere::digest(&self.what())
    }
}

impl Prepared<'_> {
    /// The session that the cell is compared with.
    pub(super) fn reference(&self) -> ReferenceKey {
        self.reference_of(&self.reference_side())
    }

    /// Where it is held: as the reader, but sampling as the writer does, and from its preset, which is what a load must
    /// bring back.
    pub(super) fn reference_side(&self) -> SideSetup {
        let mut place = self.reader.place.sampling_as(&self.writer.place);
        if self.recipe.parameters == ParameterSource::Saved {
            place.preset.clone_from(&self.writer.place.preset);
        }
        SideSetup { place, ..self.reader.clone() }
    }

    /// The same session, uninterrupted, where it was saved.
    pub(super) fn writers_reference(&self) -> ReferenceKey {
        self.reference_of(&self.writer)
    }

    fn reference_of(&self, side: &SideSetup) -> ReferenceKey {
        ReferenceKey {
            subject: self.holder.clone(),
            side: uncontained(side).key(),
            form: self.recipe.session,
        }
    }
}

/// An uninterrupted session is kept in no container.
fn uncontained(side: &SideSetup) -> SideSetup {
    SideSetup { place: Place { container: None, ..side.place.clone() }, ..side.clone() }
}

impl Executor<'_> {
    /// Every uninterrupted session that the cells are compared with and that is not there yet, held once.
    pub(super) fn references(&self, cells: &[&Prepared<'_>], there: &References) -> References {
        let readers = cells.iter().map(|cell| (cell.reference(), cell.reference_side()));
        let mut wanted: BTreeMap<ReferenceKey, SideSetup> = readers.chain(writers(cells)).collect();
        wanted.retain(|key, _| !there.contains_key(key));
        let (here, absent): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted.into_iter().partition(|(key, side)| {
            let release = side.place.release.as_deref();
            release.is_none_or(|release| self.subjects.missing(&key.subject, release).is_none())
        });
        let mut references = self.hold(here, &|_, _, _| ());
        references
            .extend(absent.into_keys().filter_map(|key| Some((key.clone(), self.fetch_reference(&key)?))));
        references
    }

    /// The uninterrupted sessions of writers, which readers elsewhere cannot hold where they have no such worker.
    pub(super) fn writers_references(&self, cells: &[&Prepared<'_>]) -> BTreeMap<ReferenceKey, SideSetup> {
        writers(cells).collect()
    }

    /// Holds uninterrupted sessions.
    pub(super) fn hold(&self, wanted: BTreeMap<ReferenceKey, SideSetup>, held: &Held<'_>) -> References {
        let wanted: Vec<(ReferenceKey, SideSetup)> = wanted.into_iter().collect();
        self.progress.phase("running reference sessions", wanted.len());
        let references = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || WorkerPool::new(self),
            |pool, (index, (key, side))| {
                let dir = self.dir.join("controls").join(format!("{}-{index}", self.pass));
                let mut writer = None;
                let reference = match self.halted() {
                    Some(why) => Err(StepError::Failed { op: "score", message: why.to_owned() }),
                    None => pool.lease(&key.subject, side).and_then(|mut lease| {
                        writer = Some(identity(&lease));
                        self.reference(&mut lease, key.form, side, &dir)
                    }),
                };
                let failure = failure(&reference);
                let sound = failure.is_none();
                pool.settle(&key.subject, side, sound);
                self.progress.step();
                if let Some(error) = failure {
                    self.room.failed(error);
                }
                if !interrupt::requested() && (sound || self.room.lacking().is_none()) {
                    held(key, &reference, writer);
                }
                reference
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(references).collect()
    }

    fn reference(
        &self,
        lease: &mut Lease<'_>,
        form: SessionForm,
        side: &SideSetup,
        dir: &Path,
    ) -> Result<Reference, StepError> {
        let bystander =
            self.uninterrupted(lease, (BYSTANDER, Dialogue::Bystander, SessionForm::Turns), dir, false)?;
        let session = self.uninterrupted(lease, (SESSION, Dialogue::Session, form), dir, true)?;
        let samples = side.place.settings.sampling.is_some();
        let sampled = samples.then(|| self.sampled(lease, form)).transpose()?;
        let noise = session.as_ref().ok().and_then(|(_, noise)| *noise);
        let logits = |held: Result<(Logits, Option<Floor>), StepError>| held.map(|(logits, _)| logits);
        Ok(Reference { session: logits(session), bystander: logits(bystander), sampled, noise })
    }

    /// The outer error is the worker's death, the inner one what the subject said.
    fn uninterrupted(
        &self,
        lease: &mut Lease<'_>,
        (session, dialogue, form): (&str, Dialogue, SessionForm),
        dir: &Path,
        twice: bool,
    ) -> Result<Result<(Logits, Option<Floor>), StepError>, StepError> {
        let file = dir.join(format!("{}.logits", dialogue.name()));
        let made = fs::create_dir_all(dir).map_err(|error| StepError::Failed {
            op: "score",
            message: format!("{}: {error}", dir.display()),
        });
        let twice = twice && lease.hello.features.iter().any(|feature| feature == AFRESH);
        let logits = made
            .and_then(|()| lease.open_worker.hold(session, dialogue, form, lease.conversation))
            .and_then(|_| self.break_silence(lease, session, form))
            .and_then(|()| {
                let afresh = if twice { self.afresh(lease, session, &file)? } else { None };
                // Nobody has to break the silence a second time.
                let logits = self.score(lease, session, SessionForm::Turns, &file)?;
                let apart = afresh.and_then(|afresh| Distance::between(&logits, &afresh));
                Ok((logits, apart.map(Floor::of)))
            });
        match logits {
            Err(error @ StepError::Worker { .. }) => Err(error),
            logits => {
                lease.open_worker.forget(session)?;
                Ok(logits)
            }
        }
    }

    /// The session's logits in another batch shape. One that cannot be evaluated in one has none.
    fn afresh(&self, lease: &mut Lease<'_>, session: &str, file: &Path) -> Result<Option<Logits>, StepError> {
        let (text, tokens) = (&lease.conversation.continuation, self.config.run.scored_tokens);
        match lease.open_worker.score_afresh(session, text, tokens, file) {
            Ok(logits) => Ok(Some(logits)),
            Err(error @ StepError::Worker { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// What a session that nothing happened to is made to say by sampling.
    fn sampled(
        &self,
        lease: &mut Lease<'_>,
        form: SessionForm,
    ) -> Result<Result<String, StepError>, StepError> {
        let held = lease.open_worker.hold(SESSION, Dialogue::Session, form, lease.conversation);
        let text = held.and_then(|_| self.sample(lease, SESSION));
        match text {
            Err(error @ StepError::Worker { .. }) => Err(error),
            text => {
                lease.open_worker.forget(SESSION)?;
                Ok(text)
            }
        }
    }

    fn fetch_reference(&self, key: &ReferenceKey) -> Option<Result<Reference, StepError>> {
        let digest = key.digest();
        let (store, entry) = self.elsewhere?.entry(&digest)?;
        let dir = self.dir.join("fetched").join(&digest);
        let logits = |stored: &Result<StoredFile, StepError>| {
            let file = store.take(stored.as_ref().map_err(Clone::clone)?, &dir);
            let file = file.map_err(|error| elsewhere::unusable(&error))?;
            Logits::read(&file).map_err(|error| StepError::Failed { op: "score", message: error.to_string() })
        };
        Some(match &entry.content {
            Content::Control { session, bystander, sampled, noise } => Ok(Reference {
                session: logits(session),
                bystander: logits(bystander),
                sampled: sampled.clone(),
                noise: *noise,
            }),
            Content::Failed { error } => Err(error.clone()),
            Content::Session { .. } => return None,
        })
    }
}

/// What went wrong with a reference, if anything did.
pub(super) fn failure(reference: &Result<Reference, StepError>) -> Option<&StepError> {
    match reference {
        Err(error) | Ok(Reference { session: Err(error), .. } | Reference { bystander: Err(error), .. }) => {
            Some(error)
        }
        Ok(_) => None,
    }
}

fn writers<'c>(cells: &'c [&Prepared<'_>]) -> impl Iterator<Item = (ReferenceKey, SideSetup)> + 'c {
    cells.iter().map(|cell| (cell.writers_reference(), cell.writer.clone()))
}

/// Keeps an uninterrupted session's logits for others.
pub(super) fn keep(
    store: &ArtifactStore,
    scratch: &Path,
    key: &ReferenceKey,
    reference: &Result<Reference, StepError>,
    writer: WriterIdentity,
) -> Result<(), FolderError> {
    let digest = key.digest();
    let keep = |name: &str, logits: &Result<Logits, StepError>| match logits {
        Err(error) => Ok(Err(error.clone())),
        Ok(logits) => {
            let file = scratch.join(format!("{digest}-{name}.logits"));
            let written = logits.write(&file);
            written
                .map_err(|error| FolderError::Malformed { path: file.clone(), reason: error.to_string() })?;
            store.keep(&file).map(Ok)
        }
    };
    let content = match reference {
        Ok(reference) => Content::Control {
            session: keep("session", &reference.session)?,
            bystander: keep("bystander", &reference.bystander)?,
            sampled: reference.sampled.clone(),
            noise: reference.noise,
        },
        Err(error) => Content::Failed { error: error.clone() },
    };
    store.add(&ArtifactEntry { key: digest, what: key.what(), writer, content })
}
