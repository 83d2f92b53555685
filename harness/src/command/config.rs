//! `intact config`: the values in force, and where each comes from.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{Config, OVERRIDES};
use crate::exit::Exit;
use crate::folder::CONFIG;

/// Show the configuration in force
#[derive(Debug, Args)]
pub(super) struct Configuration {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Print every value, and where those of [run] come from
    Show {
        /// The configuration [default: intact.toml here, else the built-in one]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The profile
        #[arg(long, value_name = "NAME", env = "INTACT_PROFILE")]
        profile: Option<String>,
        /// Only the values of [run]
        #[arg(long)]
        short: bool,
    },
}

/// The configuration that is named, else the one in the working folder; none where only the built-in one is left.
pub(super) fn chosen(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(PathBuf::from(CONFIG)).filter(|here| here.is_file()))
}

impl Configuration {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let Act::Show { config, profile, short } = self.act;
        let path = chosen(config);
        let in_force = Config::in_force(path.as_deref(), profile.as_deref());
        let in_force = in_force.map_err(|error| Failure::config(&error))?;
        let file =
            path.map_or_else(|| "the built-in intact.toml".to_owned(), |path| path.display().to_string());
        println!("# {file}");
        let run = toml::Table::try_from(&in_force.config.run).map_err(Failure::setup)?;
        for (key, value) in &run {
            let name = format!("run.{key}");
            let origin = in_force.origins.get(&name).map_or_else(|| file.clone(), ToString::to_string);
            println!("# {name} = {value}  from {origin}");
        }
        for (variable, keys) in OVERRIDES {
            println!("# {variable} sets {}", keys.join("."));
        }
        if !short {
            print!("\n{}", toml::to_string(&in_force.config).map_err(Failure::setup)?);
        }
        Ok(Exit::Fine)
    }
}
