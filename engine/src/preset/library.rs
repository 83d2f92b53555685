//! Presets by name, and how one is put together from those that it extends.

use intact_format::parameters::{ModelSourceParameters, OverlayError, Parameters, ParametersOverlay};

use super::builtin::{BuiltIn, built_in};
use super::{DEFAULT, Preset, PresetDocument, PresetError, configuration, plain_name};

/// The built-in presets, and those that were added.
#[derive(Debug, Clone)]
pub struct PresetLibrary {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    extends: Option<String>,
    description: String,
    parameters: ParametersOverlay,
    projector: Option<String>,
    built_in: bool,
}

impl PresetLibrary {
    /// The built-in presets.
    ///
    /// # Errors
    /// [`PresetError::BuiltIn`] where the built-in data is damaged.
    pub fn built_in() -> Result<Self, PresetError> {
        let default = Entry {
            name: DEFAULT.to_owned(),
            extends: None,
            description: "the library's defaults, for any model".to_owned(),
            parameters: ParametersOverlay::default(),
            projector: None,
            built_in: true,
        };
        let entries = std::iter::once(default).chain(built_in()?.into_iter().map(Entry::from)).collect();
        Ok(Self { entries })
    }

    /// All names, the built-in ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Adds a preset that others can extend. What it extends may be added later.
    ///
    /// # Errors
    /// [`PresetError::Taken`] where there is a preset of that name, which is always so for a document without a name.
    pub fn add(&mut self, document: PresetDocument) -> Result<(), PresetError> {
        let entry = Entry::from(document);
        if self.find(&entry.name).is_some() {
            return Err(PresetError::Taken { name: entry.name });
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The preset `name`, with or without `Preset` at its end.
    ///
    /// # Errors
    /// [`PresetError::Unknown`] for a name that is not there or that one of its bases extends, [`PresetError::Cycle`] where
    /// its bases extend each other, [`PresetError::Parameters`] where a parameter does not fit.
    pub fn by_name(&self, name: &str) -> Result<Preset, PresetError> {
        let entry = self.known(name)?;
        let bases = self.bases(entry, vec![entry.name.clone()])?;
        Self::assembled(entry.clone(), &bases)
    }

    /// A preset in JSON that extends one of these.
    ///
    /// # Errors
    /// As [`Self::by_name`], and [`PresetError::Json`] where the text is no preset.
    pub fn from_json(&self, json: &str) -> Result<Preset, PresetError> {
        self.from_document(serde_json::from_str(json)?)
    }

    /// A preset out of a document that extends one of these.
    ///
    /// # Errors
    /// As [`Self::by_name`].
    pub fn from_document(&self, document: PresetDocument) -> Result<Preset, PresetError> {
        let entry = Entry::from(document);
        let bases = self.bases(&entry, Vec::new())?;
        Self::assembled(entry, &bases)
    }

    /// `preset` as a document: the parameters in which it differs from what it extends, or with `include_defaults` all.
    ///
    /// # Errors
    /// [`PresetError::Unknown`] where it extends a preset that is not here, [`PresetError::Parameters`] where a parameter
    /// is not a finite number.
    pub fn to_document(
        &self,
        preset: &Preset,
        include_defaults: bool,
    ) -> Result<PresetDocument, PresetError> {
        let extends = preset.extends.as_deref().unwrap_or(DEFAULT);
        let base = self.by_name(extends)?;
        let parameters = if include_defaults {
            ParametersOverlay::complete(&preset.parameters)
        } else {
            ParametersOverlay::between(&base.parameters, &preset.parameters)
        };
        Ok(PresetDocument {
            extends: extends.to_owned(),
            name: Some(preset.name.clone()),
            description: Some(preset.description.clone()),
            parameters: parameters.map_err(unfit(&preset.name))?,
        })
    }

    /// [`Self::to_document`] as JSON.
    ///
    /// # Errors
    /// As [`Self::to_document`].
    pub fn to_json(&self, preset: &Preset, include_defaults: bool) -> Result<String, PresetError> {
        Ok(serde_json::to_string_pretty(&self.to_document(preset, include_defaults)?)?)
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let named = |wanted: &str| self.entries.iter().find(|entry| entry.name == wanted);
        named(name).or_else(|| named(plain_name(name)))
    }

    fn known(&self, name: &str) -> Result<&Entry, PresetError> {
        self.find(name).ok_or_else(|| PresetError::Unknown {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// The parameters of `entry` over those of its `bases`, nearest first.
    fn assembled(entry: Entry, bases: &[Entry]) -> Result<Preset, PresetError> {
        let mut parameters = Parameters::default();
        let mut built_in = (DEFAULT.to_owned(), parameters.clone());
        let mut projector = None;
        for layer in bases.iter().rev().chain([&entry]) {
            parameters = layer.parameters.apply(&parameters).map_err(unfit(&layer.name))?;
            if let Some(file) = &layer.projector {
                projector = Some(beside(&parameters.model_source_parameters, file));
            }
            if layer.built_in {
                built_in = (layer.name.clone(), parameters.clone());
            }
        }
        let customized = configuration(&parameters) != configuration(&built_in.1);
        Ok(Preset {
            name: entry.name,
            extends: entry.extends,
            description: entry.description,
            parameters,
            projector,
            built_in: built_in.0,
            customized,
        })
    }

    /// Everything that `entry` extends, nearest first. `seen` holds the names that lead here.
    fn bases(&self, entry: &Entry, mut seen: Vec<String>) -> Result<Vec<Entry>, PresetError> {
        let mut bases = Vec::new();
        let mut next = entry.extends.as_deref();
        while let Some(name) = next {
            let base = self.known(name)?;
            let circle = seen.contains(&base.name);
            seen.push(base.name.clone());
            if circle {
                return Err(PresetError::Cycle { chain: seen });
            }
            bases.push(base.clone());
            next = base.extends.as_deref();
        }
        Ok(bases)
    }
}

/// Another file of the repository, or of the folder, that a model comes from.
fn beside(model: &ModelSourceParameters, file: &str) -> ModelSourceParameters {
    ModelSourceParameters {
        model_file_path: model.model_file_path.as_ref().map(|path| path.with_file_name(file)),
        hugging_face_repo_id: model.hugging_face_repo_id.clone(),
        hugging_face_file_name: Some(file.to_owned()),
    }
}

fn unfit(name: &str) -> impl Fn(OverlayError) -> PresetError {
    let name = name.to_owned();
    move |cause| PresetError::Parameters { name: name.clone(), cause }
}

impl From<BuiltIn> for Entry {
    fn from(row: BuiltIn) -> Self {
        Self {
            name: row.name,
            extends: Some(row.extends),
            description: row.description,
            parameters: row.parameters,
            projector: row.projector,
            built_in: true,
        }
    }
}

impl From<PresetDocument> for Entry {
    fn from(document: PresetDocument) -> Self {
        Self {
            name: document.name.unwrap_or_else(|| plain_name(&document.extends).to_owned()),
            extends: Some(document.extends),
            description: document.description.unwrap_or_default(),
            parameters: document.parameters,
            projector: None,
            built_in: false,
        }
    }
}
