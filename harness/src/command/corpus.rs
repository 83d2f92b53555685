//! `intact corpus`: states that llama.cpp releases wrote, for anybody's tests.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use super::libraries::library;
use super::table::table;
use super::worker::linked;
use crate::config::Config;
use crate::corpus::{CorpusError, Reading, Shelf, read_by, written};
use crate::exit::Exit;
use crate::quantity::counted;
use crate::tags;

const EXAMPLES: &str = "\
Examples:
  intact corpus add 0.5.0 b9842
  intact corpus verify --release 0.5.0
  cc corpus/reader.c -I llama.cpp/include -I llama.cpp/ggml/include -L build/bin -lllama -lggml -lggml-base -lm -o reader
  ./reader corpus/llama.cpp/0.5.0/llama/f16/sequence-file llama.gguf
      the same without intact; the model is what `intact models list` shows";

/// Keep small states that llama.cpp releases wrote, with the logits that follow them, and test which releases read them
///
/// A corpus is only ever added to: `llama.cpp/RELEASE/MODEL/TYPE/CONTAINER` is what that release wrote then. Beside
/// each state are the logits that its model gives after it; `index.json` has the tokens, the model by its seed and
/// hash, and what every release that was tested made of it. `reader.c` reads a state with `llama.h` alone, for
/// anybody's ctest.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Corpora {
    #[command(subcommand)]
    action: Action,

    /// Where it lies
    #[arg(long, value_name = "DIR", default_value = "corpus", global = true)]
    corpus: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let releases write states that the corpus does not have, and read each other's
    Add(Add),
    /// Check that its files have not changed; with --release, that this release reads them as recorded
    Verify(Verify),
    /// List its states, and which releases read them
    List,
}

#[derive(Debug, Args)]
struct Add {
    /// Releases: tags such as 0.5.0, or folders that have their libraries
    #[arg(value_name = "RELEASE", required = true)]
    releases: Vec<String>,

    /// Tiny models, by their ids in `intact models list`
    #[arg(long = "model", value_name = "ID", default_values = ["llama", "gemma3", "mamba2", "lfm2"])]
    models: Vec<String>,

    /// Types of K and V
    #[arg(long = "kv", value_name = "TYPE", default_values = ["f16", "q8_0"])]
    kv: Vec<String>,
}

#[derive(Debug, Args)]
struct Verify {
    /// A release to test
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
}

impl Corpora {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let mut shelf = Shelf::open(&self.corpus).map_err(Failure::setup)?;
        match self.action {
            Action::Add(add) => add.carry_out(&mut shelf),
            Action::Verify(verify) => verify.carry_out(&shelf, &self.corpus),
            Action::List => {
                let rows: Vec<[String; 3]> = shelf
                    .corpus
                    .states
                    .iter()
                    .map(|(name, state)| {
                        let readers: Vec<String> = state
                            .readers
                            .iter()
                            .map(|(release, reading)| format!("{release} {}", reading.words()))
                            .collect();
                        [name.clone(), state.tokens.len().to_string(), readers.join(", ")]
                    })
                    .collect();
                print!("{}", table(["state", "tokens", "readers"], &rows));
                Ok(Exit::Fine)
            }
        }
    }
}

impl Add {
    fn carry_out(&self, shelf: &mut Shelf) -> Result<Exit, Failure> {
        let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
        let linked = linked();
        let thresholds = Config::built_in().map_err(|error| Failure::config(&error))?.thresholds.unmeasured;
        let libraries = self
            .releases
            .iter()
            .map(|name| library(name, &home, linked.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        for library in &libraries {
            for id in &self.models {
                let entry = intact_fixtures::find(id).ok_or_else(|| unknown(id))?;
                let model = intact_fixtures::cached(id).map_err(Failure::setup)?;
                for kv in &self.kv {
                    let state = match written(&library.command, &library.name, entry, &model, kv) {
                        Ok(state) => state,
                        Err(error) => {
                            println!("{} {id} {kv}: not written: {error}", library.name);
                            continue;
                        }
                    };
                    match shelf.add(state) {
                        Ok(name) => println!("{name}: added"),
                        Err(there @ CorpusError::There { .. }) => println!("{there}"),
                        Err(error) => return Err(Failure::setup(error)),
                    }
                }
            }
        }
        let names: Vec<String> = shelf.corpus.states.keys().cloned().collect();
        for library in &libraries {
            for name in &names {
                let state = shelf.corpus.states[name].clone();
                if state.readers.contains_key(&library.name) {
                    continue;
                }
                let files = shelf.files(name).map_err(Failure::setup)?;
                let model = intact_fixtures::cached(&state.model.id).map_err(Failure::setup)?;
                match read_by(&library.command, &state, &files, &model, &thresholds) {
                    Ok(reading) => {
                        shelf.note(name, &library.name, reading).map_err(Failure::setup)?;
                        println!("{} {} {name}", library.name, reading.words());
                    }
                    Err(error) => println!("{} could not try {name}: {error}", library.name),
                }
            }
        }
        Ok(Exit::Fine)
    }
}

impl Verify {
    fn carry_out(&self, shelf: &Shelf, folder: &Path) -> Result<Exit, Failure> {
        if shelf.corpus.states.is_empty() {
            return Err(Failure::setup(format!("{} holds no corpus", folder.display()))
                .help("`intact corpus add RELEASE` begins one"));
        }
        let mut faults = shelf.faults();
        if let Some(release) = self.release.as_ref().filter(|_| faults.is_empty()) {
            let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
            let library = library(release, &home, linked().as_ref())?;
            let thresholds =
                Config::built_in().map_err(|error| Failure::config(&error))?.thresholds.unmeasured;
            for (name, state) in &shelf.corpus.states {
                let model = intact_fixtures::cached(&state.model.id).map_err(Failure::setup)?;
                let files = shelf.files(name).map_err(Failure::setup)?;
                let found =
                    read_by(&library.command, state, &files, &model, &thresholds).map_err(Failure::setup)?;
                let expected = state.readers.get(&library.name).copied().unwrap_or(Reading::Reads);
                println!("{} {} {name}", library.name, found.words());
                if found > expected {
                    faults.push(format!(
                        "{name}: {} {} it; a release that {} it was expected",
                        library.name,
                        found.words(),
                        expected.words()
                    ));
                }
            }
        }
        for fault in &faults {
            println!("{}", super::table::plain(fault));
        }
        let states = counted(shelf.corpus.states.len(), "state", "states");
        println!("{states}, {}", counted(faults.len(), "fault", "faults"));
        Ok(if faults.is_empty() { Exit::Fine } else { Exit::GateFailed })
    }
}

fn unknown(id: &str) -> Failure {
    Failure::setup(format!("no tiny model is called `{id}`")).help("`intact models list` shows them")
}
