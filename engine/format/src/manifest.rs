//! The manifest: the axes of a session in a small file beside it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::CanaryRule;
use crate::passport::{Axis, Consequence, Difference, Passport};
use crate::route::{Refusal, RefusalCode};

/// `session.manifest.json`: what a session was saved with. An empty text means that it was not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Name of the session file, without its folder.
    pub session_file: String,
    /// Version of the engine.
    pub sdk_version: String,
    /// llama.cpp release.
    pub release_tag: String,
    /// Preset.
    pub preset: String,
    /// Repository of the model.
    pub model_repo: String,
    /// Name of the model file.
    pub model_file: String,
    /// When the session was saved.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub saved_at: Timestamp,
}

/// A manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not a manifest of a session: {0}; restore it from a copy, or load without comparing it")]
pub struct ManifestError(serde_json::Error);

impl From<serde_json::Error> for ManifestError {
    fn from(cause: serde_json::Error) -> Self {
        Self(cause)
    }
}

impl Manifest {
    /// The name of the file. It lies in the folder of the session file.
    pub const FILE_NAME: &'static str = "session.manifest.json";

    /// Where the manifest of `session_file` is: [`Self::FILE_NAME`] in the same folder.
    #[must_use]
    pub fn path_of(session_file: &Path) -> PathBuf {
        session_file.with_file_name(Self::FILE_NAME)
    }

    /// The manifest of a session with that passport.
    #[must_use]
    pub fn of(passport: &Passport, session_file: &Path) -> Self {
        let name = session_file.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            session_file: name.unwrap_or_default(),
            sdk_version: passport.engine.clone(),
            release_tag: passport.release.clone(),
            preset: passport.preset.clone().unwrap_or_default(),
            model_repo: passport.model.repository.clone().unwrap_or_default(),
            model_file: passport.model.file.clone(),
            saved_at: passport.saved_at,
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] where `bytes` are not one.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// None in practice: every field is text.
    pub fn write(&self) -> Result<Vec<u8>, ManifestError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// One field that is compared: its axis, its value here, and what follows for a session that has no passport.
struct Field {
    axis: Axis,
    named: fn(&Manifest) -> &str,
    here: fn(&Passport) -> String,
    agrees: fn(&str, &str) -> bool,
    consequence: Consequence,
    reason: &'static str,
}

const FIELDS: [Field; 5] = [
    Field {
        axis: Axis::Engine,
        named: |manifest| &manifest.sdk_version,
        here: |here| here.engine.clone(),
        agrees: version_suits,
        consequence: Consequence::Harmless,
        reason: "the same major version, and the same or a higher minor version, is promised to load it",
    },
    Field {
        axis: Axis::Release,
        named: |manifest| &manifest.release_tag,
        here: |here| here.release.clone(),
        agrees: same,
        consequence: Consequence::Harmless,
        reason: "the file holds no KV that another release could misread; its tokens are evaluated again",
    },
    Field {
        axis: Axis::ModelRepository,
        named: |manifest| &manifest.model_repo,
        here: |here| here.model.repository.clone().unwrap_or_default(),
        agrees: same_or_unknown,
        consequence: Consequence::Replay,
        reason: "the file identifies its model by name alone, so the saved token ids cannot be trusted",
    },
    Field {
        axis: Axis::ModelFile,
        named: |manifest| &manifest.model_file,
        here: |here| here.model.file.clone(),
        agrees: same,
        consequence: Consequence::Replay,
        reason: "the file identifies its model by name alone, so the saved token ids cannot be trusted",
    },
    Field {
        axis: Axis::Preset,
        named: |manifest| &manifest.preset,
        here: |here| here.preset.clone().unwrap_or_default(),
        agrees: same,
        consequence: Consequence::Harmless,
        reason: "a preset only chooses parameters",
    },
];

impl Manifest {
    /// Compares with what is in force here, axis by axis, those that agree too. This is all that is known of a session
    /// in format 1.1.
    #[must_use]
    pub fn compare(&self, here: &Passport) -> Vec<Difference> {
        FIELDS
            .iter()
            .map(|field| {
                let (named, current) = ((field.named)(self), (field.here)(here));
                let agrees = (field.agrees)(named, &current);
                Difference {
                    axis: field.axis,
                    saved: known(named),
                    here: known(&current),
                    consequence: if agrees { Consequence::Same } else { field.consequence },
                    reason: if agrees { String::new() } else { field.reason.to_owned() },
                    canary: if agrees { CanaryRule::Exact } else { CanaryRule::Floor },
                }
            })
            .collect()
    }

    /// Checks that this manifest belongs to `session_file` and that every axis agrees with what is in force here.
    ///
    /// # Errors
    /// A [`Refusal`] that names every axis that differs.
    pub fn check(&self, session_file: &Path, here: &Passport) -> Result<(), Refusal> {
        let name = session_file.file_name().unwrap_or_default().to_string_lossy();
        if self.session_file != name {
            let detail = format!("the manifest is the one of {}, not of {name}", known(&self.session_file));
            return Err(Refusal::new(RefusalCode::ManifestDiffers, detail));
        }
        let mut differing = self.compare(here);
        differing.retain(|difference| difference.consequence != Consequence::Same);
        if differing.is_empty() {
            Ok(())
        } else {
            Err(Refusal::of_axes(RefusalCode::ManifestDiffers, differing))
        }
    }
}

fn known(value: &str) -> String {
    if value.is_empty() { "unknown" } else { value }.to_owned()
}

fn same(named: &str, here: &str) -> bool {
    named == here
}

fn same_or_unknown(named: &str, here: &str) -> bool {
    named == here || named.is_empty() || here.is_empty()
}

/// The rule of the seed's portability page: the same major version, and the same or a higher minor version here.
fn version_suits(named: &str, here: &str) -> bool {
    match (major_minor(named), major_minor(here)) {
        (Some((named_major, named_minor)), Some((major, minor))) => {
            named_major == major && named_minor <= minor
        }
        _ => named == here,
    }
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
