//! Controls: sessions that nothing happened to, each held once, with which cells are compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use intact_protocol::{AFRESH, Logits, ParameterSource};

use super::phase::{Prepared, Scene, Seating, numbered};
use super::saved::identity;
use super::seat::{Seats, Sitting};
use super::{elsewhere, parallel};
use crate::distance::Distance;
use crate::folder::{ArtifactEntry, ArtifactStore, Content, FolderError, StoredFile, WriterIdentity};
use crate::interrupt;
use crate::judge::Floor;
use crate::recipe::{Place, SessionForm};
use crate::scenario::{BYSTANDER, SESSION, Script, StepError};

/// What identifies an uninterrupted session, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ControlKey {
    pub subject: String,
    pub seat: String,
    pub form: SessionForm,
}

/// Logits of the sessions that nothing happened to.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// Of the session that is saved and loaded in cells.
    pub session: Result<Logits, StepError>,
    /// Of the session that is live while another is loaded.
    pub bystander: Result<Logits, StepError>,
    /// What is sampled from the first one, where it is.
    pub sampled: Option<Result<String, StepError>>,
    /// How far it is from itself in another batch shape, where the subject can evaluate it in one.
    pub noise: Option<Floor>,
}

/// Every control that cells are compared with.
pub(super) type Controls = BTreeMap<ControlKey, Result<Control, StepError>>;

/// Told of a control as soon as it is held, and of who held it.
pub(super) type Held<'a> =
    dyn Fn(&ControlKey, &Result<Control, StepError>, Option<WriterIdentity>) + Sync + 'a;

impl ControlKey {
    /// What it is, for a reader of an index.
    pub(super) fn what(&self) -> BTreeMap<String, String> {
        let parts = [
            ("is", "an uninterrupted session".to_owned()),
            ("subject", self.subject.clone()),
            ("seat", self.seat.clone()),
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
    pub(super) fn control(&self) -> ControlKey {
        self.control_of(&self.controls_seating())
    }

    /// Where it is held: as the reader, but sampling as the writer does, and from its preset, which is what a load must
    /// bring back.
    pub(super) fn controls_seating(&self) -> Seating {
        let mut place = self.reader.place.sampling_as(&self.writer.place);
        if self.recipe.parameters == ParameterSource::Saved {
            place.preset.clone_from(&self.writer.place.preset);
        }
        Seating { place, ..self.reader.clone() }
    }

    /// The same session, uninterrupted, where it was saved.
    pub(super) fn writers_control(&self) -> ControlKey {
        self.control_of(&self.writer)
    }

    fn control_of(&self, seating: &Seating) -> ControlKey {
        ControlKey {
            subject: self.holder.clone(),
            seat: uncontained(seating).key(),
            form: self.recipe.session,
        }
    }
}

/// An uninterrupted session is kept in no container.
fn uncontained(seating: &Seating) -> Seating {
    Seating { place: Place { container: None, ..seating.place.clone() }, ..seating.clone() }
}

impl Scene<'_> {
    /// Every uninterrupted session that the cells are compared with and that is not there yet, held once.
    pub(super) fn controls(&self, cells: &[&Prepared<'_>], there: &Controls) -> Controls {
        let readers = cells.iter().map(|cell| (cell.control(), cell.controls_seating()));
        let mut wanted: BTreeMap<ControlKey, Seating> = readers.chain(writers(cells)).collect();
        wanted.retain(|key, _| !there.contains_key(key));
        let (here, absent): (BTreeMap<_, _>, BTreeMap<_, _>) =
            wanted.into_iter().partition(|(key, seating)| {
                let release = seating.place.release.as_deref();
                release.is_none_or(|release| self.subjects.missing(&key.subject, release).is_none())
            });
        let mut controls = self.hold(here, &|_, _, _| ());
        controls.extend(absent.into_keys().filter_map(|key| Some((key.clone(), self.fetch_control(&key)?))));
        controls
    }

    /// The uninterrupted sessions of writers, which readers elsewhere cannot hold where they have no such worker.
    pub(super) fn writers_controls(&self, cells: &[&Prepared<'_>]) -> BTreeMap<ControlKey, Seating> {
        writers(cells).collect()
    }

    /// Holds uninterrupted sessions.
    pub(super) fn hold(&self, wanted: BTreeMap<ControlKey, Seating>, held: &Held<'_>) -> Controls {
        let wanted: Vec<(ControlKey, Seating)> = wanted.into_iter().collect();
        self.progress.phase("holding uninterrupted sessions", wanted.len());
        let controls = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || Seats::new(self),
            |seats, (index, (key, seating))| {
                let dir = self.dir.join("controls").join(format!("{}-{index}", self.pass));
                let mut writer = None;
                let control = if interrupt::requested() {
                    let message = "the run was interrupted".to_owned();
                    Err(StepError::Failed { op: "score", message })
                } else {
                    seats.sit(&key.subject, seating).and_then(|mut sitting| {
                        writer = Some(identity(&sitting));
                        self.control(&mut sitting, key.form, seating, &dir)
                    })
                };
                let sound = control
                    .as_ref()
                    .is_ok_and(|control| control.session.is_ok() && control.bystander.is_ok());
                seats.settle(&key.subject, seating, sound);
                self.progress.step();
                if !interrupt::requested() {
                    held(key, &control, writer);
                }
                control
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(controls).collect()
    }

    fn control(
        &self,
        sitting: &mut Sitting<'_>,
        form: SessionForm,
        seating: &Seating,
        dir: &Path,
    ) -> Result<Control, StepError> {
        let bystander =
            self.uninterrupted(sitting, (BYSTANDER, Script::Bystander, SessionForm::Turns), dir, false)?;
        let session = self.uninterrupted(sitting, (SESSION, Script::Session, form), dir, true)?;
        let samples = seating.place.settings.sampling.is_some();
        let sampled = samples.then(|| self.sampled(sitting, form)).transpose()?;
        let noise = session.as_ref().ok().and_then(|(_, noise)| *noise);
        let logits = |held: Result<(Logits, Option<Floor>), StepError>| held.map(|(logits, _)| logits);
        Ok(Control { session: logits(session), bystander: logits(bystander), sampled, noise })
    }

    /// The outer error is the worker's death, the inner one what the subject said.
    fn uninterrupted(
        &self,
        sitting: &mut Sitting<'_>,
        (session, script, form): (&str, Script, SessionForm),
        dir: &Path,
        twice: bool,
    ) -> Result<Result<(Logits, Option<Floor>), StepError>, StepError> {
        let file = dir.join(format!("{}.logits", script.name()));
        let made = fs::create_dir_all(dir).map_err(|error| StepError::Failed {
            op: "score",
            message: format!("{}: {error}", dir.display()),
        });
        let twice = twice && sitting.hello.features.iter().any(|feature| feature == AFRESH);
        let logits = made
            .and_then(|()| sitting.stage.hold(session, script, form, sitting.conversation))
            .and_then(|_| self.break_silence(sitting, session, form))
            .and_then(|()| {
                let afresh = if twice { self.afresh(sitting, session, &file)? } else { None };
                // Nobody has to break the silence a second time.
                let logits = self.score(sitting, session, SessionForm::Turns, &file)?;
                let apart = afresh.and_then(|afresh| Distance::between(&logits, &afresh));
                Ok((logits, apart.map(Floor::of)))
            });
        match logits {
            Err(error @ StepError::Worker { .. }) => Err(error),
            logits => {
                sitting.stage.forget(session)?;
                Ok(logits)
            }
        }
    }

    /// The session's logits in another batch shape. One that cannot be evaluated in one has none.
    fn afresh(
        &self,
        sitting: &mut Sitting<'_>,
        session: &str,
        file: &Path,
    ) -> Result<Option<Logits>, StepError> {
        let (text, tokens) = (&sitting.conversation.continuation, self.config.run.scored_tokens);
        match sitting.stage.score_afresh(session, text, tokens, file) {
            Ok(logits) => Ok(Some(logits)),
            Err(error @ StepError::Worker { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// What a session that nothing happened to is made to say by sampling.
    fn sampled(
        &self,
        sitting: &mut Sitting<'_>,
        form: SessionForm,
    ) -> Result<Result<String, StepError>, StepError> {
        let held = sitting.stage.hold(SESSION, Script::Session, form, sitting.conversation);
        let text = held.and_then(|_| self.sample(sitting, SESSION));
        match text {
            Err(error @ StepError::Worker { .. }) => Err(error),
            text => {
                sitting.stage.forget(SESSION)?;
                Ok(text)
            }
        }
    }

    fn fetch_control(&self, key: &ControlKey) -> Option<Result<Control, StepError>> {
        let digest = key.digest();
        let (store, entry) = self.elsewhere?.entry(&digest)?;
        let dir = self.dir.join("fetched").join(&digest);
        let logits = |stored: &Result<StoredFile, StepError>| {
            let file = store.take(stored.as_ref().map_err(Clone::clone)?, &dir);
            let file = file.map_err(|error| elsewhere::unusable(&error))?;
            Logits::read(&file).map_err(|error| StepError::Failed { op: "score", message: error.to_string() })
        };
        Some(match &entry.content {
            Content::Control { session, bystander, sampled, noise } => Ok(Control {
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

fn writers<'c>(cells: &'c [&Prepared<'_>]) -> impl Iterator<Item = (ControlKey, Seating)> + 'c {
    cells.iter().map(|cell| (cell.writers_control(), cell.writer.clone()))
}

/// Keeps an uninterrupted session's logits for others.
pub(super) fn keep(
    store: &ArtifactStore,
    scratch: &Path,
    key: &ControlKey,
    control: &Result<Control, StepError>,
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
    let content = match control {
        Ok(control) => Content::Control {
            session: keep("session", &control.session)?,
            bystander: keep("bystander", &control.bystander)?,
            sampled: control.sampled.clone(),
            noise: control.noise,
        },
        Err(error) => Content::Failed { error: error.clone() },
    };
    store.add(&ArtifactEntry { key: digest, what: key.what(), writer, content })
}
