//! The models of a run: fixtures made on the spot, or files that the user names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use intact_fixtures::AdapterKind;
use intact_format::regular;
use intact_protocol::Cage;
use serde_json::json;

use super::subjects::Subjects;
use super::{RunError, RunOptions};
use crate::caging;
use crate::config::{AdapterConfig, Config, Conversation, ModelChoice, ModelConfig};
use crate::model_file::unopened;
use crate::parallel;
use crate::recipe::Place;
use crate::results::ModelInfo;
use crate::scenario::{Adapter, Grown, OpenWorker};

/// The models of a run.
#[derive(Debug)]
pub(super) struct Models {
    models: Vec<Model>,
}

#[derive(Debug)]
struct Model {
    name: String,
    family: String,
    path: PathBuf,
    /// Whether it is a file of the user's, and none that was made for this.
    is_own: bool,
    /// What it is, wherever it lies.
    identity: String,
    variants: BTreeMap<String, PathBuf>,
    adapters: BTreeMap<String, Vec<Adapter>>,
    /// What is said to it, where that is not what is configured.
    conversation: Option<Arc<Conversation>>,
    /// What a reader should know of it.
    notes: Vec<String>,
}

impl Models {
    /// The models by name, without making any fixture.
    pub(super) fn known(
        config: &Config,
        choice: ModelChoice,
        options: &RunOptions,
        subjects: &Subjects,
    ) -> Result<Self, RunError> {
        Self::gather(config, choice, options, subjects, &|id: &str| Ok(PathBuf::from(id)))
    }

    /// The models, every file in its place.
    pub(super) fn ready(
        config: &Config,
        choice: ModelChoice,
        options: &RunOptions,
        subjects: &Subjects,
    ) -> Result<Self, RunError> {
        let fixture = |id: &str| Ok(intact_fixtures::cached(id)?);
        let mut models = Self::gather(config, choice, options, subjects, &fixture)?;
        if models.models.iter().any(|model| model.is_own) && !config.conversation.more.is_empty() {
            // As many as a cell has: on a busy machine threads that wait for each other by spinning never come to an end.
            let jobs = options.jobs.unwrap_or_else(parallel::cores).max(1);
            let threads = u32::try_from((parallel::cores() / jobs).max(1)).unwrap_or(1);
            let mut own = models.models.iter_mut().filter(|model| model.is_own);
            own.try_for_each(|model| model.converse(config, subjects, threads))?;
        }
        Ok(models)
    }

    /// What is said to a model.
    pub(super) fn conversation(&self, name: &str, config: &Config) -> Arc<Conversation> {
        let own = self.models.iter().find(|model| model.name == name);
        let own = own.and_then(|model| model.conversation.clone());
        own.unwrap_or_else(|| Arc::new(config.conversation.clone()))
    }

    fn gather(
        config: &Config,
        choice: ModelChoice,
        options: &RunOptions,
        subjects: &Subjects,
        fixture: &dyn Fn(&str) -> Result<PathBuf, RunError>,
    ) -> Result<Self, RunError> {
        let timeout = Duration::from_secs(config.run.timeout_seconds);
        let models = if options.models.is_empty() {
            let chosen = match choice {
                ModelChoice::Configured => config.models.clone(),
                ModelChoice::Zoo => architectures(),
            };
            chosen.iter().map(|model| configured(model, subjects, timeout, fixture)).collect()
        } else {
            options.models.iter().map(|path| named(path, stem(path), subjects, timeout)).collect()
        };
        Ok(Self { models: models_with_distinct_names(models)? })
    }

    /// Values of the model axis, with their families.
    pub(super) fn values(&self) -> Vec<(String, String)> {
        self.models.iter().map(|model| (model.name.clone(), model.family.clone())).collect()
    }

    pub(super) fn variants(&self) -> BTreeMap<String, BTreeSet<String>> {
        let names = |model: &Model| {
            let names = model.variants.keys().chain(model.adapters.keys());
            (model.name.clone(), names.cloned().collect())
        };
        self.models.iter().map(names).collect()
    }

    /// What the models are, wherever their files lie.
    pub(super) fn identities(&self) -> Vec<String> {
        let identity = |model: &Model| format!("{} {} {}", model.name, model.family, model.identity);
        self.models.iter().map(identity).collect()
    }

    /// All files of the models, their variants and their adapters.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let models = self.models.iter().flat_map(|model| model.variants.values().chain([&model.path]));
        let adapters = self.models.iter().flat_map(|model| model.adapters.values().flatten());
        models
            .flat_map(|path| caging::model(path))
            .chain(adapters.map(|adapter| adapter.path.clone()))
            .collect()
    }

    /// The file of a model or of one of its variants.
    pub(super) fn path(&self, name: &str, variant: Option<&str>) -> Option<&Path> {
        let model = self.models.iter().find(|model| model.name == name)?;
        match variant {
            None => Some(&model.path),
            Some(variant) => model.variants.get(variant).map(PathBuf::as_path),
        }
    }

    /// What a model's adapters of this name are.
    pub(super) fn adapters(&self, model: &str, name: &str) -> Option<&[Adapter]> {
        self.models.iter().find(|entry| entry.name == model)?.adapters.get(name).map(Vec::as_slice)
    }

    /// The file of another model.
    pub(super) fn stranger(&self, name: &str) -> Option<&Path> {
        let own = self.models.iter().position(|model| model.name == name)?;
        let next = (own + 1) % self.models.len();
        (next != own).then(|| self.models[next].path.as_path())
    }

    pub(super) fn infos(&self) -> Vec<ModelInfo> {
        let info = |model: &Model| ModelInfo {
            name: model.name.clone(),
            family: model.family.clone(),
            path: model.path.clone(),
            bytes: std::fs::metadata(&model.path).map_or(0, |metadata| metadata.len()),
            notes: model.notes.clone(),
        };
        self.models.iter().map(info).collect()
    }
}

/// One model of each architecture that fixtures have, with its sibling of other weights.
fn architectures() -> Vec<ModelConfig> {
    let entries = intact_fixtures::families();
    entries
        .filter(|entry| entry.family.purpose != intact_fixtures::Purpose::KvShape)
        .map(|entry| {
            let other = format!("{}-other", entry.id);
            let variants = intact_fixtures::find(&other).map(|_| ("other".to_owned(), other));
            ModelConfig {
                name: entry.family.name.clone(),
                fixture: Some(entry.id.clone()),
                path: None,
                variants: variants.into_iter().collect(),
                adapters: BTreeMap::new(),
            }
        })
        .collect()
}

fn configured(
    model: &ModelConfig,
    subjects: &Subjects,
    timeout: Duration,
    fixture: &dyn Fn(&str) -> Result<PathBuf, RunError>,
) -> Result<Model, RunError> {
    if let Some(path) = &model.path {
        let mut own = named(path, model.name.clone(), subjects, timeout)?;
        for (name, path) in &model.variants {
            let (path, identity) = file(path.as_ref())?;
            own.identity += &format!(" {name} {identity}");
            own.variants.insert(name.clone(), path);
        }
        return Ok(own);
    }
    let id = model.fixture.as_deref().unwrap_or(&model.name);
    let family = intact_fixtures::find(id).map(|entry| entry.family.memory.clone());
    let variants = model.variants.iter().map(|(name, id)| Ok((name.clone(), fixture(id)?)));
    let adapters = model.adapters.iter().map(|(name, adapters)| {
        let adapters = adapters.iter().map(|adapter| applied(adapter, fixture)).collect::<Result<_, _>>()?;
        Ok((name.clone(), adapters))
    });
    Ok(Model {
        name: model.name.clone(),
        family: family.unwrap_or_else(|| "unknown".into()),
        path: fixture(id)?,
        identity: json!({ "fixture": id, "variants": model.variants, "adapters": model.adapters })
            .to_string(),
        adapters: adapters.collect::<Result<_, RunError>>()?,
        conversation: None,
        notes: Vec::new(),
        is_own: false,
        variants: variants.collect::<Result<_, RunError>>()?,
    })
}

fn applied(
    adapter: &AdapterConfig,
    fixture: &dyn Fn(&str) -> Result<PathBuf, RunError>,
) -> Result<Adapter, RunError> {
    let known = intact_fixtures::adapters().iter().find(|entry| entry.id == adapter.fixture);
    let kind = known.map_or(AdapterKind::Lora, |entry| entry.kind);
    Ok(Adapter { kind, path: fixture(&adapter.fixture)?, scale: adapter.scale })
}

/// Where a model's file is, and what tells it from others.
fn file(path: &Path) -> Result<(PathBuf, String), RunError> {
    let unusable =
        |error: std::io::Error| RunError::Model { path: path.to_owned(), reason: error.to_string() };
    let path = path.canonicalize().map_err(unusable)?;
    let identity = content(&path).map_err(unusable)?;
    Ok((path, identity))
}

/// A model by file: the first judged subject is asked of what kind it is.
fn named(path: &Path, name: String, subjects: &Subjects, timeout: Duration) -> Result<Model, RunError> {
    let unusable = |reason: String| RunError::Model { path: path.to_owned(), reason };
    let (path, identity) = file(path)?;
    let subject = subjects.first_judged().ok_or_else(|| unusable("no subject is judged".into()))?;
    let cage = Cage { read: caging::model(&path), write: Vec::new() };
    let (mut worker, _) =
        subjects.worker(subject, &Place::default(), &cage).map_err(|error| unusable(error.to_string()))?;
    let opened = OpenWorker { worker: &mut worker, timeout, deadline: None }
        .open(&path, &Place::default(), &[])
        .map_err(|error| unusable(unopened(&error.to_string(), &path, &worker.log())))?;
    let family = if opened.memory.is_empty() { opened.architecture } else { opened.memory };
    let (variants, adapters) = (BTreeMap::new(), BTreeMap::new());
    Ok(Model {
        name,
        family,
        path,
        identity,
        variants,
        adapters,
        conversation: None,
        notes: opened.notes,
        is_own: true,
    })
}

impl Model {
    /// Lets the conversation grow until the axes mean with this model's tokens what they say.
    fn converse(&mut self, config: &Config, subjects: &Subjects, threads: u32) -> Result<(), RunError> {
        let unusable = |reason: String| RunError::Model { path: self.path.clone(), reason };
        let subject = subjects.first_judged().ok_or_else(|| unusable("no subject is judged".into()))?;
        let contexts = config.contexts();
        let mut place = Place::default();
        place.settings.n_ctx = contexts.usual;
        place.settings.threads = Some(threads);
        let cage = Cage { read: caging::model(&self.path), write: Vec::new() };
        let started = subjects.worker(subject, &place, &cage);
        let (mut worker, _) = started.map_err(|error| unusable(error.to_string()))?;
        // A first message can take long on a busy machine, and says nothing of the subject.
        let timeout = Duration::from_secs(config.run.cell_timeout_seconds());
        let mut open_worker = OpenWorker { worker: &mut worker, timeout, deadline: None };
        let opened =
            open_worker.open(&self.path, &place, &[]).map_err(|error| unusable(error.to_string()))?;
        let (above, passed) = contexts.to_outgrow(opened.n_ctx, opened.window);
        match open_worker.grow(&config.conversation, above) {
            Ok(Grown { conversation, tokens, notes }) => {
                self.notes.push(format!("The session that is saved and loaded has {tokens} tokens."));
                self.notes.extend(notes);
                self.conversation = Some(Arc::new(conversation));
            }
            Err(error) => self.notes.push(format!("The conversation cannot be held: {error}.")),
        }
        if let Some(window) = opened.window.filter(|_| !passed) {
            self.notes.push(format!(
                "Its sliding window of {window} tokens is longer than the sessions: what leaves a window is not tried."
            ));
        }
        Ok(())
    }
}

/// Tells files apart without reading all of one: its length, and the hash of its beginning and of its end.
fn content(path: &Path) -> std::io::Result<String> {
    const PART: u64 = 1 << 20;
    let mut file = regular::open(path)?;
    let length = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut (&mut file).take(PART), &mut hasher)?;
    file.seek(SeekFrom::Start(length.saturating_sub(PART)))?;
    std::io::copy(&mut file.take(PART), &mut hasher)?;
    Ok(format!("file of {length} bytes {}", hasher.finalize().to_hex()))
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn models_with_distinct_names(models: Vec<Result<Model, RunError>>) -> Result<Vec<Model>, RunError> {
    let mut seen = BTreeMap::new();
    models
        .into_iter()
        .map(|model| {
            let mut model = model?;
            let count: &mut u32 = seen.entry(model.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                model.name = format!("{}-{count}", model.name);
            }
            Ok(model)
        })
        .collect()
}
