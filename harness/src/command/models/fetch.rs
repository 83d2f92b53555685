//! `intact models fetch`: get pinned models from the hub.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::hub::{HubArguments, failed};
use super::shown::Shown;
use crate::command::Failure;
use crate::exit::Exit;
use crate::hub::{Hub, Pin};
use crate::nearest::nearest;

/// Get pinned models from the hub: verified, resumable, once
///
/// A file is kept in the hub's own cache, where other programs find it, and gets its name only when its SHA-256 is the
/// pinned one. What is here and verified costs no request. A transfer that breaks off goes on where it ended.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// Ids of the models, as `intact models list` gives them [default: every pinned model]
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    hub: HubArguments,
}

impl Fetch {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let hub = self.hub.open()?;
        for pin in chosen(&hub, &self.ids)? {
            let path = hub.fetch(pin, &Shown::new("fetching")).map_err(failed)?;
            let bytes = fs::metadata(&path).map_err(|error| Failure::unreadable(&path, &error))?.len();
            println!("{} ({bytes} bytes)", path.display());
        }
        Ok(Exit::Fine)
    }
}

/// The pins of these ids, or all.
pub(super) fn chosen<'a>(hub: &'a Hub, ids: &[String]) -> Result<Vec<&'a Pin>, Failure> {
    if ids.is_empty() {
        return Ok(hub.pins().iter().collect());
    }
    ids.iter().map(|id| hub.pin(id).map_err(failed)).collect()
}

/// The file that `--model` names: a path, or `id:` and the id of a pinned or tiny model, which is fetched or made if it is
/// not here.
pub(in crate::command) fn model_file(model: &Path) -> Result<PathBuf, Failure> {
    let Some(id) = model.to_str().and_then(|text| text.strip_prefix("id:")) else {
        return Ok(model.to_owned());
    };
    if intact_fixtures::find(id).is_some() {
        return intact_fixtures::cached(id).map_err(Failure::setup);
    }
    let hub = HubArguments::of_environment().open()?;
    let pin = hub.pin(id).map_err(|error| {
        let ids = super::ids();
        let known: Vec<&str> = ids.iter().map(String::as_str).collect();
        match nearest(id, &known) {
            Some(near) => failed(error).also(format!("did you mean id:{near}?")),
            None => failed(error),
        }
    })?;
    hub.fetch(pin, &Shown::new("fetching")).map_err(failed)
}
