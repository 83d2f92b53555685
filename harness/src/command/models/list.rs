//! `intact models list`: the tiny models and the pinned ones, and which of them are here.

use std::path::Path;

use clap::Args;
use indicatif::HumanBytes;
use intact_fixtures::ModelEntry;

use super::hub::{HubArguments, failed};
use crate::command::Failure;
use crate::command::table::table;
use crate::exit::Exit;
use crate::hub::{Hub, HubError, Pin, State, sha256_of};

/// List the models, and which of them are here
///
/// At a glance, without reading big files through: `intact models verify` does that. No request is made.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    hub: HubArguments,
}

impl List {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let dir = intact_fixtures::default_dir().map_err(Failure::setup)?;
        let tiny: Vec<_> = intact_fixtures::list().iter().map(|model| tiny(model, &dir)).collect();
        println!("Tiny models, made on the spot");
        print!("{}", table(["id", "family", "memory", "weights", "seed", "state", "about"], &tiny));

        let hub = self.hub.open()?;
        let pinned = hub.pins().iter().map(|pin| pinned(&hub, pin));
        let pinned: Vec<_> = pinned.collect::<Result<_, _>>().map_err(failed)?;
        println!("\nReal models, pinned by SHA-256");
        print!("{}", table(["id", "family", "state", "file"], &pinned));
        Ok(Exit::Fine)
    }
}

fn tiny(model: &ModelEntry, dir: &Path) -> [String; 7] {
    let family = &model.family;
    [
        model.id.clone(),
        family.name.clone(),
        family.memory.clone(),
        model.weights.name().into(),
        model.seed.to_string(),
        state_of_tiny(model, dir).into(),
        family.about.clone(),
    ]
}

fn state_of_tiny(model: &ModelEntry, dir: &Path) -> &'static str {
    let path = intact_fixtures::path_in(&model.id, dir);
    match sha256_of(&path, &mut |_| ()) {
        Ok(found) if Some(found.as_str()) == intact_fixtures::sha256_of(model) => "here",
        Ok(_) => "damaged",
        Err(_) => "not made",
    }
}

fn pinned(hub: &Hub, pin: &Pin) -> Result<[String; 4], HubError> {
    let state = match hub.state(pin)? {
        State::Here { .. } => "here".to_owned(),
        State::Partly(bytes) => format!("{} here", HumanBytes(bytes)),
        State::Absent => "not fetched".to_owned(),
        State::Damaged { .. } => "damaged".to_owned(),
    };
    let family = pin.family.clone().unwrap_or_default();
    Ok([pin.id.clone(), family, state, format!("{}/{}", pin.repo, pin.file)])
}
