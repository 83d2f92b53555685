//! A pinned model: what it is called here, where it comes from, and what its content must be.

use serde::{Deserialize, Serialize};

use super::Package;
use super::address::{BadAddress, check_file, check_repository, check_sha256};

/// A pinned model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What it is called here.
    pub id: String,
    /// Repository, `owner/name`.
    pub repo: String,
    /// Path of the file in the repository.
    pub file: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The projector that a vision model comes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mmproj: Option<Projector>,
    /// The kind of memory, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Python packages that carry the model; more than one carry a piece each, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
}

/// The projector of a vision model, in the model's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projector {
    /// Path of the file in the repository.
    pub file: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
}

/// One file of a pinned model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedFile<'a> {
    /// Repository, `owner/name`.
    pub repo: &'a str,
    /// Path of the file in the repository.
    pub file: &'a str,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: &'a str,
    /// The packages that carry it.
    pub packages: &'a [Package],
}

impl Pin {
    /// The model itself.
    #[must_use]
    pub fn model(&self) -> PinnedFile<'_> {
        PinnedFile { repo: &self.repo, file: &self.file, sha256: &self.sha256, packages: &self.packages }
    }

    /// Its files: the model, and its projector if it has one.
    pub fn files(&self) -> impl Iterator<Item = PinnedFile<'_>> {
        let projector = self.mmproj.as_ref();
        let projector = projector.map(|it| PinnedFile {
            repo: &self.repo,
            file: &it.file,
            sha256: &it.sha256,
            packages: &[],
        });
        std::iter::once(self.model()).chain(projector)
    }

    /// The id that a file gets when it is pinned without one: its name in lower case, without the ending.
    #[must_use]
    pub fn id_of(file: &str) -> String {
        let name = file.rsplit('/').next().unwrap_or(file).to_lowercase();
        let stem = name.strip_suffix(".gguf").unwrap_or(&name);
        let plain = |character: char| if is_id_character(character) { character } else { '-' };
        stem.chars().map(plain).collect()
    }

    /// Checks every name in it.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.id.is_empty() || !self.id.chars().all(is_id_character) {
            return Err(format!(
                "`{}` is not an id; ids have lower-case letters, digits, `.`, `-` and `_`",
                self.id
            ));
        }
        let sound = |bad: BadAddress| format!("{}: {bad}", self.id);
        check_repository(&self.repo).map_err(sound)?;
        for file in self.files() {
            check_file(file.file).and_then(|()| check_sha256(file.sha256)).map_err(sound)?;
        }
        self.packages.iter().try_for_each(Package::check).map_err(|bad| format!("{}: {bad}", self.id))
    }
}

fn is_id_character(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || ".-_".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_from_the_name_of_the_file() {
        for (file, id) in [
            ("Qwen3-0.6B.Q4_K_M.gguf", "qwen3-0.6b.q4_k_m"),
            ("BF16/My Model (1).gguf", "my-model--1-"),
            ("weights", "weights"),
        ] {
            assert_eq!(Pin::id_of(file), id);
        }
    }
}
