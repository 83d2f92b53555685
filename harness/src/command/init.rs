//! `intact init`: a configuration and expectations to start from.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::exit::Exit;
use crate::init;

/// Write a commented intact.toml and expectations.toml that work as they are
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder that they go to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl Init {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let written = init::write(&self.folder).map_err(|(path, error)| {
            let failure = Failure::setup(format!("{}: {error}", path.display()));
            match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    failure.help("nothing was written; remove it, or name another folder")
                }
                _ => failure,
            }
        })?;
        written.iter().for_each(|path| println!("{}", path.display()));
        println!("Next: intact plan, then intact run");
        Ok(Exit::Fine)
    }
}
