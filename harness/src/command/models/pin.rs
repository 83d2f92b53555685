//! `intact models pin`: add a model of the hub to the pinned ones.

use clap::Args;

use super::hub::{HubArguments, failed};
use crate::command::Failure;
use crate::exit::Exit;

/// Pin a model of the hub by the SHA-256 that the hub says it has
///
/// Asks the hub for the file's commit, length and SHA-256, and writes them down. From then on nothing else is accepted
/// under this id. Nothing is fetched yet.
#[derive(Debug, Args)]
pub(super) struct PinModel {
    /// Repository, for example ggml-org/gemma-3-1b-it-GGUF
    #[arg(value_name = "REPO")]
    repo: String,

    /// File in the repository, for example gemma-3-1b-it-Q4_K_M.gguf
    #[arg(value_name = "FILE")]
    file: String,

    /// What to call it [default: the file's name in lower case]
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// The kind of memory, for people to read
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,

    /// A branch, a tag or a commit [default: the main branch]
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,

    #[command(flatten)]
    hub: HubArguments,
}

impl PinModel {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let mut hub = self.hub.open()?;
        let pin = hub
            .add(&self.repo, &self.file, self.revision.as_deref(), self.id, self.family)
            .map_err(failed)?;
        println!("{}  {}/{}  {}", pin.id, pin.repo, pin.file, pin.sha256);
        eprintln!("recorded in {}; `intact models fetch {}` gets it", hub.revisions_path().display(), pin.id);
        Ok(Exit::Fine)
    }
}
