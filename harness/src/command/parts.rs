//! `intact produce`, `intact consume`, `intact merge`: one run on several machines.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::progress::Shown;
use super::run::{failed, play};
use super::selection::{Keeping, Selection, Workforce, command_line, keep, models};
use super::summary::tell;
use crate::exit::Exit;
use crate::folder::Partition;
use crate::interrupt;
use crate::quantity::counted;
use crate::report;
use crate::run::{self, Depot, MergeOptions, Produced, RunOptions};

/// Save the sessions that a plan's cells load, to load them on another machine
///
/// Writes a folder with every saved session, kept by the hash of its bytes, and an index that says what each is and who
/// wrote it. Carry it to the other machine, and give it to `intact consume`.
#[derive(Debug, Args)]
pub(super) struct Produce {
    /// The folder that is written
    #[arg(short, long, value_name = "DIR", default_value = "produced")]
    out: PathBuf,

    /// Go on with what is in the folder: sessions that are there are not saved again
    #[arg(long)]
    resume: bool,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    workforce: Workforce,

    #[command(flatten)]
    keeping: Keeping,
}

impl Produce {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let options = self.workforce.at(RunOptions {
            out: self.out,
            resume: self.resume,
            depot: self.keeping.depot()?,
            ..self.selection.options()?
        });
        interrupt::heed();
        let progress = Shown::new();
        let produced = run::produce(&options, &progress);
        progress.finish();
        let produced = produced.map_err(failed)?;
        println!("{}", told(&produced));
        keep(options.depot.as_ref(), &options.out)?;
        if produced.interrupted {
            eprintln!(
                "interrupted; go on with the same command and: --resume --out {}",
                options.out.display()
            );
            return Ok(Exit::Incomplete);
        }
        let from = match &options.depot {
            Some(depot) => format!("--artifacts {}", depot.address()),
            None => format!("--from {}", options.out.display()),
        };
        println!("Next:   intact consume {from}");
        Ok(if produced.sessions == 0 { Exit::NothingSelected } else { Exit::Fine })
    }
}

/// What was made, and of how much.
fn told(produced: &Produced) -> String {
    let Produced { sessions, there, saved, failed, .. } = *produced;
    let mut words = format!("{saved} of {} saved", counted(sessions, "session", "sessions"));
    for (count, what) in [
        (there, "were there"),
        (failed, "could not be saved"),
        (sessions - there - saved - failed, "left to be saved"),
    ] {
        if count > 0 {
            words += &format!(", {count} {what}");
        }
    }
    words
}

/// Load sessions that were saved on another machine, and judge every one
///
/// Runs the cells of the plan whose sessions `intact produce` saved. Worker, machine and operating system may be
/// others; the plan, the models and the version of intact must be the same. A cell whose session nobody saved is not
/// run.
#[derive(Debug, Args)]
pub(super) struct Consume {
    /// A folder of `intact produce`, or a URL that it kept sessions at; can be given several times [default: --artifacts]
    #[arg(long, value_name = "DIR|URL", required_unless_present = "artifacts")]
    from: Vec<PathBuf>,

    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// Only the m-th of n parts of the plan; `intact merge` puts the parts together
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// The models that `intact produce` was given, where they are elsewhere on this machine
    #[arg(short, long = "model", value_name = "FILE.gguf|id:ID")]
    models: Vec<PathBuf>,

    #[command(flatten)]
    workforce: Workforce,

    #[command(flatten)]
    keeping: Keeping,

    /// The configuration with the subjects of this machine [default: that of the folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What is expected [default: those of the folder]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,

    /// Do not retry cells that did not end as expected
    #[arg(long)]
    no_retry: bool,
}

impl Consume {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let depot = if self.from.is_empty() { self.keeping.holding(true)? } else { self.keeping.depot()? };
        let mut from = Vec::new();
        for (number, given) in self.from.iter().enumerate() {
            match given.to_str().filter(|given| given.contains("://")) {
                Some(url) => from.extend(fetched(
                    &Depot::holding(url, true).map_err(failed)?,
                    true,
                    &self.out,
                    number,
                )?),
                None => from.push(given.clone()),
            }
        }
        if let Some(depot) = depot.as_ref().filter(|_| from.is_empty()) {
            from = fetched(depot, true, &self.out, 0)?;
        }
        let of_the_folder = RunOptions::consuming(&from).map_err(failed)?;
        let models = if self.models.is_empty() { of_the_folder.models } else { models(&self.models)? };
        play(&self.workforce.at(RunOptions {
            out: self.out,
            partition: self.partition,
            models,
            depot,
            // The configuration that the user names is the user's.
            foreign: of_the_folder.foreign.filter(|_| self.config.is_none()),
            config: self.config.or(of_the_folder.config),
            expectations: self.expectations.or(of_the_folder.expectations),
            no_retry: self.no_retry,
            command: command_line(),
            ..of_the_folder
        }))
    }
}

/// Merge runs that are parts of one plan
///
/// The runs must be of the same plan, which is told by their digests, and must not disagree on a cell. Cells that none
/// of them has are listed as not run: the whole is then incomplete. What the parts say of their cells is believed:
/// whoever can write to one can say anything.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The folders of the runs [default: all that --artifacts keeps]
    #[arg(value_name = "DIR", required_unless_present = "artifacts")]
    runs: Vec<PathBuf>,

    #[command(flatten)]
    keeping: Keeping,

    /// Where the results and reports of the whole go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// What is expected [default: what the first run was made with]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
}

impl Merge {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let depot = if self.runs.is_empty() { self.keeping.holding(false)? } else { self.keeping.depot()? };
        let runs = match &depot {
            Some(depot) if self.runs.is_empty() => fetched(depot, false, &self.out, 0)?,
            _ => self.runs,
        };
        let options =
            MergeOptions { runs, out: self.out, expectations: self.expectations, command: command_line() };
        let results = run::merge(&options).map_err(failed)?;
        report::write(&report::Report::of(&results), &options.out).map_err(Failure::setup)?;
        tell(&results, &options.out);
        println!(
            "Parts:  what they say is believed; no more is known of who made them than of who can write to them"
        );
        keep(depot.as_ref(), &options.out)?;
        Ok(results.gate.exit)
    }
}

/// The parts of a depot, copied into the folder that is written.
fn fetched(depot: &Depot, saving: bool, out: &Path, number: usize) -> Result<Vec<PathBuf>, Failure> {
    let parts = depot.fetch(saving, out, number).map_err(failed)?;
    for part in &parts {
        println!("{}  began {}", part.name, part.started);
    }
    Ok(parts.into_iter().map(|part| part.folder).collect())
}
