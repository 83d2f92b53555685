//! `intact run`: judge a matrix of save and load round trips, and write the reports.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Failure;
use super::models::model_file;
use super::progress::Shown;
use super::summary::summary;
use super::worker;
use crate::exit::Exit;
use crate::folder::{Partition, Planned};
use crate::interrupt;
use crate::report;
use crate::run::{self, RunError, RunOptions};

/// Save and load sessions over a matrix, judge every one, and write a report
///
/// Without options this makes tiny models of every kind of memory, saves sessions, loads them again under other
/// formats, settings, models and with damaged files, and compares what came back with the same conversation that was
/// never interrupted. llama.cpp's own loader does the same without checks, to show what the checks are worth.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// Judge this model instead of the tiny ones; can be given several times
    ///
    /// A GGUF file, or `id:` and an id of `intact models list`: a pinned model is fetched if it is not here. With
    /// INTACT_OFFLINE set, no request is made.
    #[arg(short, long = "model", value_name = "FILE.gguf|id:ID")]
    models: Vec<PathBuf>,

    /// Only the cells that this filter selects
    ///
    /// For example `fault(image-missing)` or `model(llama) & !reader_kv(same)`. `intact run --list` shows ids, and
    /// a cell's dimensions are in the report.
    #[arg(short = 'E', long = "filter", value_name = "FILTER")]
    filter: Option<String>,

    /// Workers at a time [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,

    /// Seed of what the faults damage
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// List the cells that would be run, and run none
    #[arg(long)]
    list: bool,

    /// What to run, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// The configuration [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The profile of the configuration
    #[arg(long, value_name = "NAME", env = "INTACT_PROFILE")]
    profile: Option<String>,

    /// What is expected [default: expectations.toml beside the configuration, else the built-in ones]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,

    /// results.json of an earlier run of this plan, whose cells are kept where they still fit
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// Only the m-th of n parts of the plan; `intact merge` puts the parts together
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// Go on with the run in this folder; cells that have a verdict are not played again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "filter", "models", "plan", "config", "seed", "partition", "previous", "list"])]
    resume: Option<PathBuf>,

    /// With --resume: play these cells again all the same
    #[arg(long, value_enum, value_name = "WHICH", requires = "resume")]
    rerun: Option<Rerun>,

    /// Do not play cells once more that did not end as expected
    #[arg(long)]
    no_retry: bool,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

/// Cells that are played again.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rerun {
    /// Those that did not end as expected
    Failed,
}

impl Run {
    pub(super) fn carry_out(mut self) -> Result<Exit, Failure> {
        self.models = self.models.iter().map(|model| model_file(model)).collect::<Result<_, _>>()?;
        if let Some(missing) = self.models.iter().find(|model| !model.is_file()) {
            return Err(worker::missing_model(missing));
        }
        let list = self.list;
        let options = match &self.resume {
            Some(folder) => self.resumed(folder)?,
            None => self.options(),
        };
        if list {
            return list_cells(&options);
        }
        play(&options)
    }

    /// The options of the run that is gone on with.
    fn resumed(&self, folder: &Path) -> Result<RunOptions, Failure> {
        let options = RunOptions::resumed(folder).map_err(failed)?;
        Ok(RunOptions {
            jobs: self.jobs,
            worker: self.worker.clone().or(options.worker),
            expectations: self.expectations.clone().or(options.expectations),
            rerun_failed: self.rerun.is_some(),
            no_retry: self.no_retry,
            command: command_line(),
            ..options
        })
    }

    fn options(self) -> RunOptions {
        RunOptions {
            out: self.out,
            models: self.models,
            filter: self.filter,
            jobs: self.jobs,
            seed: self.seed,
            worker: self.worker,
            plan: self.plan,
            config: self.config,
            previous: self.previous,
            expectations: self.expectations,
            profile: self.profile,
            partition: self.partition,
            no_retry: self.no_retry,
            command: command_line(),
            ..RunOptions::default()
        }
    }
}

/// The command line of this process.
pub(super) fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Runs, reports, and tells what came of it.
pub(super) fn play(options: &RunOptions) -> Result<Exit, Failure> {
    interrupt::heed();
    let progress = Shown::new();
    let results = run::run(options, &progress);
    progress.finish();
    let results = results.map_err(failed)?;
    report::write(&report::Report::of(&results), &options.out).map_err(Failure::setup)?;
    print!("{}", summary(&results, &options.out));
    if interrupt::requested() {
        eprintln!("interrupted; go on with: intact run --resume {}", options.out.display());
    }
    Ok(results.gate.exit)
}

fn list_cells(options: &RunOptions) -> Result<Exit, Failure> {
    let Planned { cells, .. } = run::plan(options).map_err(failed)?;
    for cell in &cells {
        println!("{}", cell.id);
    }
    eprintln!("{} cells", cells.len());
    Ok(if cells.is_empty() { Exit::NothingSelected } else { Exit::Fine })
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: RunError) -> Failure {
    let failure = Failure::setup(&error).exit(error.exit());
    match error {
        RunError::Filter(_) => failure.help("`intact run --list` lists the cells and their ids"),
        RunError::Subject { .. } => failure.help(
            "build the worker with `cargo build -p intact-worker`, or name another with --worker or INTACT_WORKER",
        ),
        RunError::Folder { .. } | RunError::Results(_) => failure.help("choose another folder with --out"),
        _ => failure,
    }
}
