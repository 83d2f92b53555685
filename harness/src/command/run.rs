//! `intact run`: judge a matrix of save and load round trips, and write the reports.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Failure;
use super::measure::duration;
use super::progress::Shown;
use super::selection::{Keeping, Selection, Workforce, command_line, keep};
use super::summary::tell;
use super::worker::MISSING_WORKER;
use crate::exit::Exit;
use crate::folder::Planned;
use crate::interrupt;
use crate::quantity::counted;
use crate::report;
use crate::run::{self, RunError, RunOptions};

/// Save and load sessions over a matrix, judge every one, and write a report
///
/// Without options this makes tiny models of every kind of memory, saves sessions, loads them again under other
/// formats, settings, models and with damaged files, and compares what came back with the same conversation that was
/// never interrupted. llama.cpp's own loader does the same without checks, to show what the checks are worth.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// What to run, by its name in the configuration [default: the configured plan]
    #[arg(value_name = "PLAN", conflicts_with_all = ["plan", "resume"])]
    name: Option<String>,

    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    workforce: Workforce,

    #[command(flatten)]
    keeping: Keeping,

    /// List the cells that would be run, and run none
    #[arg(long)]
    list: bool,

    /// results.json of an earlier run of this plan, whose cells are kept where they still fit
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// Go on with the run in this folder; cells that have a verdict are not run again
    #[arg(long, value_name = "DIR", conflicts_with_all = SETTLED)]
    resume: Option<PathBuf>,

    /// With --resume: run these cells again all the same
    #[arg(long, value_enum, value_name = "WHICH", requires = "resume")]
    rerun: Option<Rerun>,

    /// Do not retry cells that did not end as expected
    #[arg(long)]
    no_retry: bool,

    /// Where all cells would take longer than this, leave out those that tell least, and name them: 90s, 10m, 1h
    /// [default: 10m with --model, none otherwise]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,
}

/// How long a model of the user's may take.
const USUAL_BUDGET: Duration = Duration::from_secs(10 * 60);

/// Options that the run which is gone on with has settled.
const SETTLED: [&str; 9] =
    ["out", "filter", "models", "plan", "config", "seed", "partition", "previous", "list"];

/// Cells that are played again.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rerun {
    /// Those that did not end as expected
    Failed,
}

impl Run {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let options = match &self.resume {
            Some(folder) => {
                let options = RunOptions::resumed(folder).map_err(failed)?;
                let expectations = self.selection.expectations.or(options.expectations);
                RunOptions { rerun_failed: self.rerun.is_some(), expectations, ..options }
            }
            None => {
                let options = self.selection.options()?;
                let plan = self.name.or(options.plan);
                RunOptions { out: self.out, previous: self.previous, plan, ..options }
            }
        };
        let options = self.workforce.at(RunOptions {
            no_retry: self.no_retry,
            budget: self.budget.or_else(|| (!options.models.is_empty()).then_some(USUAL_BUDGET)),
            depot: self.keeping.depot()?,
            command: command_line(),
            ..options
        });
        if self.list { list_cells(&options) } else { play(&options) }
    }
}

/// Runs, reports, tells what came of it, and keeps it.
pub(super) fn play(options: &RunOptions) -> Result<Exit, Failure> {
    interrupt::heed();
    let progress = Shown::new();
    let results = run::run(options, &progress);
    progress.finish();
    let results = results.map_err(failed)?;
    report::write(&report::Report::of(&results), &options.out).map_err(Failure::setup)?;
    tell(&results, &options.out);
    if interrupt::requested() {
        eprintln!("interrupted; go on with: intact run --resume {}", options.out.display());
    }
    keep(options.depot.as_ref(), &options.out)?;
    Ok(results.gate.exit)
}

fn list_cells(options: &RunOptions) -> Result<Exit, Failure> {
    let Planned { cells, .. } = run::plan(options).map_err(failed)?;
    for cell in &cells {
        println!("{}", cell.id);
    }
    eprintln!("{}", counted(cells.len(), "cell", "cells"));
    Ok(if cells.is_empty() { Exit::NothingSelected } else { Exit::Fine })
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: RunError) -> Failure {
    let failure = match &error {
        RunError::Config(error) => Failure::config(error),
        _ => Failure::setup(&error).exit(error.exit()),
    };
    match error {
        RunError::Filter(_) | RunError::NothingSelected { .. } => failure.help("`intact run --list` lists the cells and their ids"),
        RunError::Subject { .. } => failure.help(
            MISSING_WORKER,
        ),
        RunError::Untrusted(_) => failure.help(
            "they would run with your rights: read them, and what they start, then run the same command with --trust (to run, \
             produce, consume or repro), which is remembered for this place and these programs; or name a configuration of yours with --config",
        ),
        RunError::NoRoom { .. } => failure.help(
            "make room there, and go on where it stopped with --resume; or choose a folder on another disk with --out",
        ),
        RunError::Folder { .. } | RunError::Results(_) => failure.help("choose another folder with --out"),
        _ => failure,
    }
}
