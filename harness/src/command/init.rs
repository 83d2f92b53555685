//! `intact init`: a configuration and expectations to start from.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::exit::Exit;
use crate::init;
use crate::text::quoted;

/// Write a commented intact.toml and expectations.toml that work as they are
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder to write them to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// Write the project of the guide, with a stand-in for a chat system: it needs no model and runs in seconds
    #[arg(long)]
    example: bool,
}

impl Init {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let files: &[_] = if self.example { &init::EXAMPLE } else { &init::FILES };
        let written = init::write(&self.folder, files).map_err(|(path, error)| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::setup(format!("{} is there already", path.display()))
                .help("nothing was written; remove it, or name another folder: intact init DIR"),
            _ => Failure::setup(format!("{} cannot be written: {error}", path.display())),
        })?;
        written.iter().for_each(|path| println!("{}", path.display()));
        let there = if self.folder == Path::new(".") {
            String::new()
        } else {
            format!("cd {}, then ", quoted(&self.folder.display().to_string()))
        };
        println!("Next: {there}intact plan, then intact run");
        Ok(Exit::Fine)
    }
}
