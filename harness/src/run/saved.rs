//! Saved sessions: each is made once and read by many cells, here or elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::cell::bytes;
use super::phase::{Executor, Prepared, numbered};
use super::pool::{Lease, WorkerPool};
use super::{elsewhere, parallel};
use crate::environment;
use crate::fault::{Fault, SessionFiles};
use crate::folder::{ArtifactEntry, ArtifactStore, Content, FolderError, WriterIdentity};
use crate::interrupt;
use crate::recipe::SessionForm;
use crate::scenario::{Artifact, Dialogue, SESSION, StepError};

/// What identifies a saved session, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ArtifactKey {
    pub subject: String,
    pub side: String,
    pub format: Option<String>,
    pub dialogue: Dialogue,
    pub form: SessionForm,
}

/// A session that was saved, or why it was not, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    pub artifact: Result<Artifact, StepError>,
    pub writer: Option<WriterIdentity>,
}

/// Every session that cells read.
pub(super) type Artifacts = BTreeMap<ArtifactKey, Saved>;

impl ArtifactKey {
    /// What it is, for a reader of an index.
    pub(super) fn what(&self) -> BTreeMap<String, String> {
        let format = self.format.clone().unwrap_or_else(|| "the subject's own".to_owned());
        let parts = [
            ("is", "a saved session".to_owned()),
            ("subject", self.subject.clone()),
            ("side", self.side.clone()),
            ("format", format),
            ("conversation", self.dialogue.name().to_owned()),
            ("session", self.form.name().to_owned()),
        ];
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(super) fn digest(&self) -> String {
        elsewhere::digest(&self.what())
    }
}

impl Prepared<'_> {
    /// The session that the cell loads, saved with this conversation.
    pub(super) fn artifact(&self, dialogue: Dialogue) -> ArtifactKey {
        ArtifactKey {
            subject: self.subject.clone(),
            side: self.writer.key(),
            format: self.recipe.format.clone(),
            dialogue,
            form: self.recipe.session,
        }
    }

    /// Every session that the cell reads.
    pub(super) fn dialogues(&self) -> impl Iterator<Item = Dialogue> {
        let other = self.recipe.fault.is_some_and(Fault::needs_other).then_some(Dialogue::Other);
        std::iter::once(Dialogue::Session).chain(other)
    }
}

impl Executor<'_> {
    /// Every session that the cells read, each once, with a cell that reads it.
    pub(super) fn sessions<'c, 'p>(
        &self,
        cells: &[&'c Prepared<'p>],
    ) -> BTreeMap<ArtifactKey, &'c Prepared<'p>> {
        let mut wanted = BTreeMap::new();
        for cell in cells {
            for dialogue in cell.dialogues() {
                wanted.entry(cell.artifact(dialogue)).or_insert(*cell);
            }
        }
        wanted
    }

    /// Saves sessions, and tells `made` of each as soon as it is there.
    pub(super) fn save(
        &self,
        wanted: BTreeMap<ArtifactKey, &Prepared<'_>>,
        made: &(dyn Fn(&ArtifactKey, &Saved) + Sync),
    ) -> Artifacts {
        let wanted: Vec<(ArtifactKey, &Prepared<'_>)> = wanted.into_iter().collect();
        self.progress.phase("saving sessions", wanted.len());
        let saved = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || WorkerPool::new(self),
            |pool, (index, (key, cell))| {
                let dir = self.dir.join("saved").join(format!("{}-{index}", self.pass));
                let saved = match self.halted() {
                    Some(why) => {
                        let message = why.to_owned();
                        Saved { artifact: Err(StepError::Failed { op: "save", message }), writer: None }
                    }
                    None => pool.save(key, cell, &dir),
                };
                self.progress.step();
                match &saved.artifact {
                    Ok(artifact) => self.room.saved(bytes(artifact).unwrap_or(0)),
                    Err(error) => self.room.failed(error),
                }
                if !interrupt::requested() && (saved.artifact.is_ok() || self.room.lacking().is_none()) {
                    made(key, &saved);
                }
                saved
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(saved).collect()
    }

    /// Sessions that were saved elsewhere. What is not there is left out.
    pub(super) fn fetch(&self, wanted: &BTreeMap<ArtifactKey, &Prepared<'_>>) -> Artifacts {
        let Some(source) = self.elsewhere else { return Artifacts::new() };
        self.progress.phase("fetching sessions", wanted.len());
        let keys: Vec<&ArtifactKey> = wanted.keys().collect();
        let fetched = parallel::map(
            self.jobs,
            &numbered(&keys),
            || (),
            |(), (index, key)| {
                self.progress.step();
                let (store, entry) = source.entry(&key.digest())?;
                let dir = self.dir.join("fetched").join(format!("{}-{index}", self.pass));
                let artifact = match &entry.content {
                    Content::Session { document, image, tokens, parameters, history } => {
                        let files = || -> Result<SessionFiles, FolderError> {
                            let document = store.take(document, &dir)?;
                            let image = image.as_ref().map(|image| store.take(image, &dir)).transpose()?;
                            Ok(SessionFiles { document, image })
                        };
                        files().map_err(|error| elsewhere::unusable(&error)).map(|files| Artifact {
                            files,
                            tokens: *tokens,
                            parameters: parameters.clone(),
                            history: history.clone(),
                        })
                    }
                    Content::Failed { error } => Err(error.clone()),
                    Content::Control { .. } => return None,
                };
                Some(((**key).clone(), Saved { artifact, writer: Some(entry.writer.clone()) }))
            },
        );
        fetched.into_iter().flatten().collect()
    }
}

impl WorkerPool<'_> {
    fn save(&mut self, key: &ArtifactKey, cell: &Prepared<'_>, dir: &Path) -> Saved {
        let mut writer = None;
        let artifact = self.lease(&key.subject, &cell.writer).and_then(|mut lease| {
            writer = Some(identity(&lease));
            let history = lease.open_worker.hold(SESSION, key.dialogue, key.form, lease.conversation)?;
            let artifact = lease.open_worker.save(SESSION, dir, key.format.as_deref())?;
            lease.open_worker.forget(SESSION)?;
            Ok(Artifact { history, ..artifact })
        });
        self.settle(&key.subject, &cell.writer, artifact.is_ok());
        Saved { artifact, writer }
    }
}

/// Who sits here.
pub(super) fn identity(lease: &Lease<'_>) -> WriterIdentity {
    WriterIdentity { hello: lease.hello.clone(), environment: environment::here() }
}

/// Keeps a saved session for others. One whose worker could not even be started says nothing to them.
pub(super) fn keep(store: &ArtifactStore, key: &ArtifactKey, saved: &Saved) -> Result<(), FolderError> {
    let Some(writer) = saved.writer.clone() else { return Ok(()) };
    let content = match &saved.artifact {
        Ok(artifact) => Content::Session {
            document: store.keep(&artifact.files.document)?,
            image: artifact.files.image.as_deref().map(|image| store.keep(image)).transpose()?,
            tokens: artifact.tokens,
            parameters: artifact.parameters.clone(),
            history: artifact.history.clone(),
        },
        Err(error) => Content::Failed { error: error.clone() },
    };
    store.add(&ArtifactEntry { key: key.digest(), what: key.what(), writer, content })
}
