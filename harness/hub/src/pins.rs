//! Pin files: the built-in one, and those that users write or let `intact models pin` write.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{HubError, Pin};
use intact_base::files::{folder_of, lock_file, write_whole};
use intact_format::regular;

/// The pins that come with this version of intact.
pub const BUILT_IN: &str = include_str!("../../../fixtures/models.toml");

const VERSION: i64 = 1;

/// Pinned models, and the file that new ones are added to.
#[derive(Debug)]
pub struct Pins {
    all: Vec<Pin>,
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    version: i64,
    #[serde(default)]
    model: Vec<Pin>,
}

impl Pins {
    /// The pins of one file.
    pub(super) fn of_file(path: &Path) -> Result<Self, HubError> {
        let text = regular::read_text(path).map_err(|error| unusable(path, &error))?;
        Self { all: Vec::new(), path: path.to_owned() }.with(&text, path)
    }

    /// The built-in pins, and after them those of a file of the user's, if it is there.
    pub(super) fn built_in_and(path: &Path) -> Result<Self, HubError> {
        let pins = Self { all: Vec::new(), path: path.to_owned() };
        let pins = pins.with(BUILT_IN, Path::new("the built-in models.toml"))?;
        match regular::read_text(path) {
            Ok(text) => pins.with(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(pins),
            Err(error) => Err(unusable(path, &error)),
        }
    }

    fn with(mut self, text: &str, path: &Path) -> Result<Self, HubError> {
        let file: PinFile = toml::from_str(text).map_err(|error| unusable(path, &error))?;
        if file.version != VERSION {
            let reason = format!("it has version {}, and this intact reads version {VERSION}", file.version);
            return Err(unusable(path, &reason));
        }
        for pin in file.model {
            pin.check().map_err(|reason| unusable(path, &reason))?;
            if self.all.iter().any(|other| other.id == pin.id) {
                return Err(unusable(path, &format!("the id {} is given twice", pin.id)));
            }
            self.all.push(pin);
        }
        Ok(self)
    }

    /// Every pin.
    #[must_use]
    pub fn all(&self) -> &[Pin] {
        &self.all
    }

    /// The file that pins are added to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a pin to the file; what the file holds besides stays as it is, comments included.
    pub(super) fn add(&mut self, pin: &Pin) -> Result<(), HubError> {
        pin.check().map_err(|reason| unusable(&self.path, &reason))?;
        if let Some(other) = self.all.iter().find(|other| other.id == pin.id) {
            let same = other.model() == pin.model();
            return if same {
                Ok(())
            } else {
                Err(HubError::Taken { id: pin.id.clone(), pinned: Box::new(other.clone()) })
            };
        }
        let _guard =
            exclusive(&self.path).map_err(|source| HubError::Io { path: self.path.clone(), source })?;
        let text = match regular::read_text(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => format!("version = {VERSION}\n"),
            Err(error) => return Err(unusable(&self.path, &error)),
        };
        let mut document: DocumentMut = text.parse().map_err(|error| unusable(&self.path, &error))?;
        let models = document.entry("model").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let models = models
            .as_array_of_tables_mut()
            .ok_or_else(|| unusable(&self.path, &"`model` is not a list of [[model]] tables"))?;
        models.push(table(pin));
        write_whole(&self.path, document.to_string())
            .map_err(|source| HubError::Io { path: self.path.clone(), source })?;
        self.all.push(pin.clone());
        Ok(())
    }
}

fn table(pin: &Pin) -> Table {
    let mut table = Table::new();
    let family = pin.family.iter().map(|family| ("family", family));
    let fields = [("id", &pin.id), ("repo", &pin.repo), ("file", &pin.file), ("sha256", &pin.sha256)];
    for (name, text) in fields.into_iter().chain(family) {
        table[name] = value(text);
    }
    table
}

/// Has nobody else change a file until what is returned is dropped.
pub(super) fn exclusive(path: &Path) -> io::Result<File> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let guard = path.with_file_name(format!(".{name}.guard"));
    fs::create_dir_all(folder_of(path))?;
    let guard = lock_file(&guard)?;
    guard.lock()?;
    Ok(guard)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> HubError {
    HubError::Pins { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
