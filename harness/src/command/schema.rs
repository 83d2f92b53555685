//! `intact schema`: the published JSON Schemas.

use clap::Args;

use super::Failure;
use crate::exit::Exit;
use crate::nearest::nearest;
use crate::schemas::{self, Published};

/// Print the JSON Schema of a file that intact reads or writes
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Name of the schema, as --list gives it
    #[arg(required_unless_present = "list")]
    name: Option<String>,

    /// List the schemas
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

impl Schema {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let published = schemas::published();
        let Some(name) = self.name else {
            for one in &published {
                println!("{}", one.name);
            }
            return Ok(Exit::Fine);
        };
        let found =
            published.iter().find(|one| one.name == name).ok_or_else(|| unknown(&name, &published))?;
        print!("{}", found.text);
        Ok(Exit::Fine)
    }
}

fn unknown(name: &str, published: &[Published]) -> Failure {
    let names: Vec<&str> = published.iter().map(|one| one.name).collect();
    let meant = nearest(name, &names).map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
    Failure::setup(format!("there is no schema {name}"))
        .help(format!("{meant}there are: {}", names.join(", ")))
}
