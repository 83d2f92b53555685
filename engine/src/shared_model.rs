//! A model that is loaded and identified by its content, for any number of engines.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use intact_format::identity::{IdentityCache, ModelIdentity, ModelWatch};
use intact_format::passport::{Adapter, AdapterKind};
use intact_format::regular;
use sha2::{Digest, Sha256};

use crate::error::EngineError;
use crate::llama::{Model, ModelSettings};
use crate::options::EngineOptions;

/// A model that is loaded, for any number of engines, on any threads. Clones are the same model.
#[derive(Debug, Clone)]
pub struct SharedModel(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    model: Arc<Model>,
    identity: ModelIdentity,
    watch: Mutex<ModelWatch>,
    adapters: Vec<Adapter>,
}

impl SharedModel {
    /// Loads a model and identifies it by its content, from a cache where the file has not changed.
    ///
    /// # Errors
    /// When the model cannot be loaded, or is no sound GGUF file, or somebody writes to it meanwhile.
    pub fn load(path: impl AsRef<Path>, settings: &ModelSettings) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let watch = ModelWatch::open(path)?;
        Self::identified(Model::load(path, settings)?, watch, settings)
    }

    /// A model that the program has loaded itself, by `llama-cpp-2`, from the file at `path`, which must not have changed since.
    /// Of `settings`, what it was loaded with is told, and the adapters are applied. The program's `LlamaBackend` has to live
    /// as long as the model does.
    ///
    /// # Errors
    /// As for [`SharedModel::load`].
    #[cfg(not(llama_raw))]
    pub fn of_llama_cpp(
        model: llama_cpp_2::model::LlamaModel,
        path: impl AsRef<Path>,
        settings: &ModelSettings,
    ) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let watch = ModelWatch::open(path)?;
        Self::identified(Model::of_llama_cpp(model, path, settings)?, watch, settings)
    }

    pub(crate) fn of_options(options: &EngineOptions) -> Result<Self, EngineError> {
        let source = &options.parameters.model_source_parameters;
        let path: PathBuf =
            options.model.clone().or_else(|| source.model_file_path.clone()).ok_or(EngineError::NoModel)?;
        let inference = &options.parameters.model_inference_parameters;
        let settings = ModelSettings {
            gpu_layers: inference.gpu_layers.and_then(|layers| u32::try_from(layers).ok()),
            use_mmap: inference.use_memory_mapping,
            use_mlock: inference.use_memory_locking,
            main_gpu: inference.main_gpu,
            lora: options.lora.clone(),
            control_vectors: options.control_vectors.clone(),
        };
        Self::load(path, &settings)
    }

    fn identified(
        model: Arc<Model>,
        watch: ModelWatch,
        settings: &ModelSettings,
    ) -> Result<Self, EngineError> {
        let adapters = adapters(settings)?;
        let identity = IdentityCache::of_user().identify_model(model.path())?;
        watch.expect_in_place()?;
        Ok(Self(Arc::new(Loaded { model, identity, watch: Mutex::new(watch), adapters })))
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.0.model
    }

    /// What it is.
    #[must_use]
    pub fn identity(&self) -> &ModelIdentity {
        &self.0.identity
    }

    /// What is applied on top of its weights, in order.
    #[must_use]
    pub fn adapters(&self) -> &[Adapter] {
        &self.0.adapters
    }

    /// Whether its files still hold what `identity` says; no where they cannot be read.
    pub(crate) fn holds(&self, identity: &ModelIdentity) -> bool {
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner).holds(identity).unwrap_or(false)
    }
}

fn adapters(settings: &ModelSettings) -> Result<Vec<Adapter>, EngineError> {
    let lora = settings.lora.iter().map(|file| (AdapterKind::Lora, file));
    let control = settings.control_vectors.iter().map(|file| (AdapterKind::ControlVector, file));
    lora.chain(control).map(|(kind, (path, scale))| adapter(kind, path, *scale)).collect()
}

/// What an adapter is, by its content.
fn adapter(kind: AdapterKind, path: &Path, scale: f32) -> Result<Adapter, EngineError> {
    let failed = |cause| EngineError::Io { action: "read", path: path.to_owned(), cause };
    let mut file = regular::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(failed)?;
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Adapter { kind, file, sha256, scale })
}
