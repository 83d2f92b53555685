//! `intact models list`: the tiny models and the pinned ones, and which of them are here.

use std::collections::BTreeSet;
use std::fmt::Write;
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
/// Quick: big files are not read through, which `intact models verify` does, and no request is made.
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
        print!("{}", table(TINY, &tiny));

        let hub = self.hub.open()?;
        let pinned = hub.pins().iter().map(|pin| pinned(&hub, pin));
        let pinned: Vec<_> = pinned.collect::<Result<_, _>>().map_err(failed)?;
        println!("\nReal models, pinned by SHA-256");
        print!("{}", table(["id", "family", "state", "file"], &pinned));
        print!("{}", not_covered());
        Ok(Exit::Fine)
    }
}

/// Columns of the tiny models; bytes are those of a cache in f16.
const TINY: [&str; 11] = [
    "id",
    "architecture",
    "memory",
    "layers with a cache",
    "KV bytes a token",
    "constant bytes",
    "adapters",
    "weights",
    "seed",
    "state",
    "about",
];

/// What no model here is, and why: how many of each kind, then their names.
fn not_covered() -> String {
    let entries = intact_fixtures::not_covered();
    let count = |what: &str| -> usize {
        entries.iter().filter(|entry| entry.what == what).map(|entry| entry.names.len()).sum()
    };
    let covered: BTreeSet<&str> =
        intact_fixtures::families().map(|model| model.family.architecture.as_str()).collect();
    let mut out = format!(
        "\nNot covered: {} architectures that this llama.cpp knows, beside the {} above, and {} features\n",
        count("architecture"),
        covered.len(),
        count("feature")
    );
    for entry in entries {
        let _ = writeln!(out, "  {} {}: {}", entry.names.len(), entry.what, entry.names.join(", "));
        let _ = writeln!(out, "      {}", entry.reason);
    }
    out
}

fn tiny(model: &ModelEntry, dir: &Path) -> [String; 11] {
    let family = &model.family;
    [
        model.id.clone(),
        family.architecture.clone(),
        family.memory.clone(),
        family.caches.to_string(),
        family.caches.bytes_per_token.to_string(),
        family.caches.bytes_constant.to_string(),
        intact_fixtures::adapters().iter().filter(|adapter| adapter.model == model.id).count().to_string(),
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
    let packages: Vec<&str> = pin.packages.iter().map(|package| package.name.as_str()).collect();
    let packages =
        if packages.is_empty() { String::new() } else { format!(", or PyPI: {}", packages.join(", ")) };
    Ok([pin.id.clone(), family, state, format!("{}/{}{packages}", pin.repo, pin.file)])
}
