//! `intact subjects`: foreign systems that take part in a run.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use super::table::table;
use crate::exit::Exit;
use crate::installed::{
    Check, Installed, Outcome, Progress, SubjectName, Wanted, adapters, all, conformance, default_home, find,
    install,
};

/// Install other systems that save sessions, and test what they can do
///
/// Each is installed in a folder of its own, several versions side by side, with an adapter that speaks the protocol of
/// intact. `intact run --config harness/adapters/peers.toml` judges those that are installed.
#[derive(Debug, Args)]
pub(super) struct Subjects {
    #[command(subcommand)]
    action: Action,

    /// Where they are installed [default: $INTACT_HOME/subjects, else ~/.cache/intact/subjects]
    #[arg(long, value_name = "DIR", global = true)]
    home: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is installed, and what there are adapters for
    List(List),
    /// Install a subject: node-llama-cpp@3.22.1, llama-server --bin PATH, or NAME -- COMMAND
    Add(Add),
    /// Try every operation of the protocol once and say what is missing
    Probe(Probe),
    /// Remove installed subjects
    Remove(Remove),
}

#[derive(Debug, Args)]
struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Add {
    /// Names with versions, such as node-llama-cpp@3.22.1; a program and a command may tell their own version
    #[arg(value_name = "NAME[@VERSION]", required = true)]
    names: Vec<String>,

    /// The program, for a subject that you have already
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,

    /// A command that speaks the protocol itself: name it, then -- and the command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct Probe {
    /// Installed subjects; without names all that are installed
    #[arg(value_name = "NAME@VERSION")]
    names: Vec<String>,

    /// The model to try with [default: a tiny one that comes with intact]
    #[arg(long, value_name = "FILE.gguf")]
    model: Option<PathBuf>,

    /// A command that is not installed
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "names")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct Remove {
    /// Installed subjects
    #[arg(value_name = "NAME@VERSION", required = true)]
    names: Vec<String>,
}

impl Subjects {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let home = self.home.or_else(default_home).ok_or_else(|| Failure::homeless("--home"))?;
        match self.action {
            Action::List(list) => list.carry_out(&home),
            Action::Add(add) => add.carry_out(&home),
            Action::Probe(probe) => probe.carry_out(&home),
            Action::Remove(remove) => remove.carry_out(&home),
        }
    }
}

impl List {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let installed = all(home);
        if self.json {
            let row = |installed: &Installed| {
                serde_json::json!({
                    "name": installed.name.to_string(),
                    "adapter": installed.record.adapter,
                    "command": installed.record.command,
                })
            };
            let rows: Vec<_> = installed.iter().map(row).collect();
            println!("{}", serde_json::to_string_pretty(&rows).map_err(Failure::setup)?);
            return Ok(Exit::Fine);
        }
        let row = |installed: &Installed| [installed.name.to_string(), installed.record.command.join(" ")];
        let mut rows: Vec<_> = installed.iter().map(row).collect();
        let lacking = adapters()
            .iter()
            .filter(|adapter| !installed.iter().any(|installed| installed.name.name == adapter.name));
        rows.extend(
            lacking.map(|adapter| [adapter.name.to_owned(), format!("not installed: {}", adapter.about)]),
        );
        print!("{}", table(["subject", "worker"], &rows));
        Ok(Exit::Fine)
    }
}

/// Tells on standard error.
pub(super) struct Told;

impl Progress for Told {
    fn step(&self, what: &str) {
        eprintln!("  {what} ...");
    }
}

impl Add {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        if self.names.len() > 1 && (self.bin.is_some() || !self.command.is_empty()) {
            return Err(Failure::setup("name one subject: a program or command stands for one"));
        }
        for name in self.names {
            let wanted = Wanted { name, program: self.bin.clone(), command: self.command.clone() };
            let (installed, hello) = install(home, &wanted, &Told).map_err(Failure::setup)?;
            println!("{}: {} {}, llama.cpp {}", installed.name, hello.subject, hello.version, hello.release);
        }
        Ok(Exit::Fine)
    }
}

impl Probe {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        let model =
            self.model.map_or_else(|| intact_fixtures::cached("llama"), Ok).map_err(Failure::setup)?;
        let named: Vec<(String, Vec<String>)> = if !self.command.is_empty() {
            vec![(self.command.join(" "), self.command)]
        } else if self.names.is_empty() {
            all(home).into_iter().map(|found| (found.name.to_string(), found.record.command)).collect()
        } else {
            let found = self.names.iter().map(|name| required(home, name));
            found
                .map(|found| found.map(|found| (found.name.to_string(), found.record.command)))
                .collect::<Result<_, _>>()?
        };
        if named.is_empty() {
            return Err(Failure::setup("no subject is installed").help("`intact subjects add NAME@VERSION`"));
        }
        let mut sound = true;
        for (name, command) in named {
            println!("{name}");
            let scratch = tempfile::tempdir().map_err(Failure::output)?;
            match conformance(&command, &model, scratch.path()) {
                Ok(checks) => {
                    print!("{}", told(&checks));
                    sound &= !checks.iter().any(|check| matches!(check.outcome, Outcome::Broken(_)));
                }
                Err(error) => {
                    println!("  {error}");
                    sound = false;
                }
            }
        }
        Ok(if sound { Exit::Fine } else { Exit::GateFailed })
    }
}

fn told(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let (met, what) = match &check.outcome {
            Outcome::Met(what) => ("yes", what),
            Outcome::Unsupported(what) => ("cannot", what),
            Outcome::Broken(what) => ("NO", what),
        };
        [met.to_owned(), check.must.to_owned(), what.clone()]
    };
    table(["", "a worker must", "this one"], &checks.iter().map(row).collect::<Vec<_>>())
}

impl Remove {
    fn carry_out(self, home: &Path) -> Result<Exit, Failure> {
        for name in &self.names {
            required(home, name)?.remove().map_err(Failure::output)?;
        }
        Ok(Exit::Fine)
    }
}

fn required(home: &Path, name: &str) -> Result<Installed, Failure> {
    let name: SubjectName = name.parse().map_err(Failure::setup)?;
    let found = find(home, &name).map_err(Failure::setup)?;
    found.ok_or_else(|| {
        Failure::setup(format!("{name} is not installed")).help("`intact subjects list` lists what is")
    })
}
