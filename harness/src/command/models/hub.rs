//! What the subcommands on real models share: their arguments, and how a failure is told.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::command::Failure;
use crate::hub::{Hub, HubError, Settings};

/// Which models are pinned, and how the hub is reached.
#[derive(Debug, Args)]
#[command(after_help = ENVIRONMENT)]
pub(super) struct HubArguments {
    /// The pinned models [default: the built-in ones and those in $INTACT_HOME/models.toml]
    ///
    /// The commit that a file was first fetched from is recorded in `models.lock.toml` beside it.
    #[arg(long, value_name = "FILE", env = "INTACT_PINS")]
    pins: Option<PathBuf>,

    /// Make no request: use only what is here
    #[arg(long)]
    offline: bool,

    /// Send your token to the host that HF_ENDPOINT names, and not only to huggingface.co
    #[arg(long, env = "INTACT_SEND_TOKEN", value_parser = clap::builder::FalseyValueParser::new())]
    #[arg(default_value_t = false, action = clap::ArgAction::SetTrue)]
    send_token: bool,
}

/// Told after the help of every subcommand that may make a request.
const ENVIRONMENT: &str = "\
Environment:
  HF_ENDPOINT              the hub, or a mirror of it
  HF_HOME                  where the hub's cache is; HF_HUB_CACHE names the cache itself
  HF_TOKEN                 your token, for private and gated models
  HF_HUB_DOWNLOAD_TIMEOUT  seconds that the hub may keep silent
  INTACT_OFFLINE           like --offline; HF_HUB_OFFLINE too";

impl HubArguments {
    /// Opens the hub that they name.
    pub(super) fn open(&self) -> Result<Hub, Failure> {
        let home = home()?;
        let settings = Settings::of_environment(self.offline, self.send_token).map_err(failed)?;
        Hub::open(settings, &home, self.pins.as_deref()).map_err(failed)
    }

    /// What the environment alone says.
    pub(super) fn of_environment() -> Self {
        let set = |name| std::env::var_os(name).filter(|text| !text.is_empty());
        Self {
            pins: set("INTACT_PINS").map(PathBuf::from),
            offline: false,
            send_token: set("INTACT_SEND_TOKEN").is_some_and(|text| text != "0" && text != "false"),
        }
    }
}

fn home() -> Result<PathBuf, Failure> {
    let models = intact_fixtures::default_dir().map_err(Failure::setup)?;
    Ok(models.parent().map_or(models.clone(), Path::to_owned))
}

/// A failure with what to do about it.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: HubError) -> Failure {
    if let HubError::Unknown { id, .. } = &error
        && intact_fixtures::find(id).is_some()
    {
        return Failure::setup(&error)
            .help(format!("{id} is one of the tiny models: `intact models generate {id}` makes it"));
    }
    Failure::setup(&error).help(error.advice())
}
