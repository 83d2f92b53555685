//! `intact compat`: will saved sessions survive, release by release?

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::output::write_marked;
use crate::compat::{Kept, Table, TableError, WHAT};
use crate::exit::Exit;
use crate::folder::RESULTS;
use crate::quantity::counted;
use crate::results::Results;

const EXAMPLES: &str = "\
Examples:
  intact run --plan release --out releases
  intact compat releases --out compat
      compat/index.html, compat/compat.json, and badges
  intact check chat.json --tag b9842 --table compat/compat.json
      will this one survive? with the cells that were tried";

/// What its page has in it, to be told from other files.
const PAGE: &str = "<meta name=\"generator\" content=\"intact compat\">";
/// What its badges have in them.
const BADGE: &str = "\"schemaVersion\": 1";

/// Make a table and a page from runs: which llama.cpp releases read what others saved
///
/// Takes every cell in which nothing differs but who saved and who loads. The page `index.html` is one file: choose the
/// version that you have and the one that you go to, the type of K and V and the kind of model. `compat.json` is the
/// table, whose schema `intact schema compat` prints; `badge.json` and `badge-files.json` are endpoints for badges, of
/// sessions of intact and of llama.cpp's sequence files. How many releases back one reads is counted, never promised.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Compat {
    /// Folders of runs over releases, or their results.json
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// The folder to write to
    #[arg(short, long, value_name = "DIR", default_value = "compat")]
    out: PathBuf,

    /// Print the table as JSON too
    #[arg(long)]
    json: bool,
}

impl Compat {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let read = |run: &PathBuf| {
            let file = if run.is_dir() { run.join(RESULTS) } else { run.clone() };
            Results::read(&file).map_err(Failure::setup)
        };
        let runs: Vec<Results> = self.runs.iter().map(read).collect::<Result<_, _>>()?;
        let table = Table::of(&runs).map_err(|error| match error {
            TableError::Empty => Failure::setup(error).exit(Exit::NoVerdict),
            other => Failure::setup(other),
        })?;
        fs::create_dir_all(&self.out).map_err(Failure::output)?;
        let document = table.json().map_err(Failure::setup)?;
        self.write("compat.json", &document, WHAT)?;
        self.write("index.html", &table.page().map_err(Failure::setup)?, PAGE)?;
        for (name, kept) in [("badge.json", Kept::Session), ("badge-files.json", Kept::SequenceFile)] {
            if let Some(badge) = table.badge(kept) {
                let text = serde_json::to_string_pretty(&badge).map_err(Failure::setup)?;
                self.write(name, &(text + "\n"), BADGE)?;
            }
        }
        if self.json {
            print!("{document}");
            return Ok(Exit::Fine);
        }
        for kept in Kept::ALL {
            if let Some(newest) = table.guarantees.iter().rev().find(|guarantee| guarantee.kept == kept) {
                println!("{}, {}: {}", kept.words(), newest.release, newest.words);
            }
        }
        println!(
            "{}, {}. Page: {}",
            counted(table.releases.len(), "release", "releases"),
            counted(table.entries.len(), "entry", "entries"),
            self.out.join("index.html").display()
        );
        Ok(Exit::Fine)
    }

    fn write(&self, name: &str, text: &str, mark: &str) -> Result<(), Failure> {
        write_marked(&self.out.join(name), text, mark)
    }
}
