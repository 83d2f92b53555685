//! The command line that runs one cell alone.

use std::path::Path;

use crate::filter::Matcher;
use crate::folder::Manifest;
use crate::text::quoted;

/// What the command lines of a run's cells have in common.
pub(super) struct Reproduction<'a> {
    manifest: &'a Manifest,
}

impl<'a> Reproduction<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Self {
        Self { manifest }
    }

    /// The command line that runs this cell alone.
    pub(super) fn of_cell(&self, id: &str) -> String {
        let manifest = self.manifest;
        let mut words = vec!["intact run".to_owned()];
        let mut option = |name: &str, value: &str| words.push(format!("{name} {}", quoted(value)));
        let shown = |path: &Path| path.display().to_string();
        for model in &manifest.models {
            option("--model", &shown(model));
        }
        for (name, path) in [("--worker", &manifest.worker), ("--config", &manifest.config)] {
            if let Some(path) = path {
                option(name, &shown(path));
            }
        }
        if let Some(profile) = &manifest.profile {
            option("--profile", profile);
        }
        option("--plan", &manifest.plan);
        if manifest.seed != 0 {
            option("--seed", &manifest.seed.to_string());
        }
        option("-E", &format!("id({})", Matcher::Exact(id.to_owned())));
        words.join(" ")
    }
}
