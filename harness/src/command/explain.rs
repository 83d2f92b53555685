//! `intact explain`: a word, a cell of a run, or what a session depends on.

use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::passport;

use super::Failure;
use super::config::chosen;
use super::keys::KeyArguments;
use super::migrate::unread;
use super::stored::Stored;
use super::table::{facts, plain};
use crate::config::Config;
use crate::exit::Exit;
use crate::explain::{self, Entry};
use crate::results::{Cell, Results};
use crate::text;

/// Explain a verdict, an exit code, a refusal, an axis, a cell or a session: what it means, and what to do
///
/// Without a word, every word is listed. A cell is named by its id, or by a part of it that no other cell has.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A word such as `corrupt`, 100, image-missing or reader_kv; a cell of a run; or a session file
    #[arg(value_name = "WORD|CELL|FILE")]
    what: Option<String>,

    /// The folder of the run that the cell is of
    #[arg(long, value_name = "DIR", default_value = "out")]
    from: PathBuf,

    /// The configuration that has the axes [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the guide's chapter of all words, in Markdown
    #[arg(long, conflicts_with = "what")]
    reference: bool,

    #[command(flatten)]
    keys: KeyArguments,
}

impl Explain {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        if self.reference {
            let built_in = Config::built_in().map_err(|error| Failure::config(&error))?;
            print!("{}", explain::chapter(&explain::catalogue(&built_in)));
            return Ok(Exit::Fine);
        }
        let path = chosen(self.config.clone());
        let config = Config::in_force(path.as_deref(), None).map_err(|error| Failure::config(&error))?.config;
        let catalogue = explain::catalogue(&config);
        let Some(what) = &self.what else {
            list(&catalogue);
            return Ok(Exit::Fine);
        };
        match explain::find(&catalogue, what) {
            Ok(entries) => entries.iter().for_each(|entry| println!("{}", entry.text().trim_end())),
            Err(unknown) => match self.elsewhere(what, &catalogue)? {
                Some(told) => print!("{told}"),
                None => return Err(unlike(&unknown, &self.from)),
            },
        }
        Ok(Exit::Fine)
    }

    /// What is no word: a cell of the run, or a file.
    fn elsewhere(&self, what: &str, catalogue: &[Entry]) -> Result<Option<String>, Failure> {
        if let Some(cell) = self.cell(what)? {
            let told = explain::of_cell(&cell, catalogue);
            return Ok(Some(text::shown(&told).into_owned()));
        }
        let path = Path::new(what);
        if path.is_file() { self.session(path).map(Some) } else { Ok(None) }
    }

    /// What a session depends on: the axes of its passport with their values, and what a difference would mean.
    fn session(&self, path: &Path) -> Result<String, Failure> {
        let read = Stored::open(path, &self.keys)?.read().map_err(|error| unread(path, &error))?;
        let shown = plain(&path.display().to_string());
        let Some(own) = read.document.passport else {
            return Err(Failure::setup(format!("{shown} has no passport: it is of a format before 2.0"))
                .help("load it and save it again; `intact inspect` shows what it has"));
        };
        let axes: Vec<(String, String)> = passport::compare(&own, &own)
            .into_iter()
            .map(|same| {
                let effects: Vec<&str> =
                    same.axis.effects().map(|(consequence, _)| consequence.as_str()).collect();
                (same.axis.name().to_owned(), format!("{} ({})", same.saved, effects.join(" or ")))
            })
            .collect();
        Ok(format!(
            "What {shown} depends on, and what follows where it differs:\n\n{}\n`intact explain AXIS` says why; \
             `intact check` compares it with a model and a release.\n",
            facts(&axes)
        ))
    }

    /// The cell of this id, or the only one whose id has it in it.
    fn cell(&self, id: &str) -> Result<Option<Cell>, Failure> {
        let results = self.from.join("results.json");
        if !results.is_file() {
            return Ok(None);
        }
        let cells = Results::read(&results).map_err(Failure::setup)?.cells;
        if let Some(cell) = cells.iter().find(|cell| cell.id == id) {
            return Ok(Some(cell.clone()));
        }
        let like: Vec<&Cell> = cells.iter().filter(|cell| cell.id.contains(id)).collect();
        match like.as_slice() {
            [] => Ok(None),
            [cell] => Ok(Some((*cell).clone())),
            [first, .., last] => {
                Err(Failure::setup(format!("{} cells have `{id}` in their ids", like.len()))
                    .help(format!("give one of them whole, such as {} or {}", first.id, last.id)))
            }
        }
    }
}

fn list(catalogue: &[Entry]) {
    for kind in explain::Kind::ALL {
        let names: Vec<&str> =
            catalogue.iter().filter(|entry| entry.kind == kind).map(|entry| entry.name.as_str()).collect();
        println!("{}\n  {}", kind.heading(), names.join(", "));
    }
}

fn unlike(unknown: &explain::UnknownWord, from: &Path) -> Failure {
    let failure = Failure::setup(unknown).help(unknown.hint());
    // Ids of cells have both in them, and no word has either.
    let is_like_a_cell = unknown.word().contains(['/', '=']);
    if !is_like_a_cell || from.join("results.json").is_file() {
        failure
    } else {
        failure.also(format!(
            "no run is in {}: cells are looked for in the folder that --from names",
            from.display()
        ))
    }
}
