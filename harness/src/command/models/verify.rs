//! `intact models verify`: read every byte of the fetched models again.

use clap::Args;

use super::fetch::chosen;
use super::hub::{HubArguments, failed};
use super::shown::Shown;
use crate::command::Failure;
use crate::command::table::table;
use crate::exit::Exit;
use crate::hub::Verified;

/// Read every byte of the fetched models again, and compare with the pins
///
/// Nothing is requested or changed. Ends with exit code 0 if all that is here is whole, 100 if a file is damaged, 4 if
/// nothing is here, and 96 if a model that was asked for is not.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Ids of the models, as `intact models list` gives them [default: every model that is here]
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    hub: HubArguments,
}

impl Verify {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let hub = self.hub.open()?;
        let mut rows = Vec::new();
        let (mut whole, mut missing, mut damaged) = (0, 0, 0);
        for pin in chosen(&hub, &self.ids)? {
            for (file, verified) in hub.verify(pin, &Shown::new("reading")).map_err(failed)? {
                let (state, told) = match verified {
                    Verified::Whole { path } => {
                        whole += 1;
                        ("whole", path.display().to_string())
                    }
                    Verified::Damaged { path, reason } => {
                        damaged += 1;
                        ("damaged", format!("{}: {reason}", path.display()))
                    }
                    Verified::Missing if self.ids.is_empty() => continue,
                    Verified::Missing => {
                        missing += 1;
                        ("not fetched", file.file.to_owned())
                    }
                };
                rows.push([pin.id.clone(), state.to_owned(), told]);
            }
        }
        if !rows.is_empty() {
            print!("{}", table(["id", "state", "file"], &rows));
        }
        if damaged > 0 {
            eprintln!("`intact models fetch` replaces what is damaged");
            return Ok(Exit::GateFailed);
        }
        if missing > 0 {
            eprintln!("`intact models fetch` gets what is not fetched");
            return Ok(Exit::SetUp);
        }
        if whole == 0 {
            eprintln!("no pinned model is here; `intact models fetch` gets them");
            return Ok(Exit::NothingSelected);
        }
        Ok(Exit::Fine)
    }
}
