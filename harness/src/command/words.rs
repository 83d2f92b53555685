//! `intact words`: what completions ask while somebody types. Names that cannot be known are none.

use std::path::Path;

use clap::{Args, ValueEnum};

use super::Failure;
use super::config::chosen;
use crate::config::Config;
use crate::exit::Exit;
use crate::explain::catalogue;
use crate::folder::RESULTS;
use crate::results::Results;
use crate::tags::{default_home, known};

/// Print the words that completions offer
#[derive(Debug, Args)]
pub(super) struct Words {
    /// Which
    #[arg(value_enum)]
    kind: WordKind,
}

/// What can be named.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WordKind {
    /// Plans of the configuration here, or of the built-in one
    Plans,
    /// Cells of the run in the folder `out`
    Cells,
    /// Models, as --model takes them
    Models,
    /// llama.cpp releases, those that somebody added too
    Releases,
    /// What `intact explain` knows
    Explained,
}

impl Words {
    #[expect(clippy::unnecessary_wraps, reason = "as every command")]
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        for word in self.kind.words() {
            println!("{word}");
        }
        Ok(Exit::Fine)
    }
}

impl WordKind {
    /// Whoever presses the tab key is told nothing of what is wrong.
    fn words(self) -> Vec<String> {
        match self {
            Self::Plans => {
                let here = chosen(None);
                let plans = Config::in_force(here.as_deref(), None)
                    .map(|found| found.config.plans.into_keys().collect());
                plans.unwrap_or_default()
            }
            Self::Cells => Results::read(&Path::new("out").join(RESULTS))
                .map(|results| results.cells.into_iter().map(|cell| cell.id).collect())
                .unwrap_or_default(),
            Self::Releases => {
                known(default_home().as_deref()).into_iter().map(|release| release.tag).collect()
            }
            Self::Explained => {
                let words = |config| catalogue(&config).iter().map(|entry| entry.name.clone()).collect();
                Config::built_in().map(words).unwrap_or_default()
            }
            Self::Models => super::models::ids().into_iter().map(|id| format!("id:{id}")).collect(),
        }
    }
}
