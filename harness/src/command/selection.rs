//! What a run is asked to play, and with what: options that several subcommands take.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::models::model_file;
use super::run::failed;
use super::worker;
use crate::folder::Partition;
use crate::run::{Depot, RunOptions};
use crate::trust::{self, Trust};

/// Workers at a time, at most: each is a process with a model open.
const MOST_JOBS: i64 = 1024;

/// Which cells of which plan.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Judge this model instead of the tiny ones; can be given several times
    ///
    /// A GGUF file, or `id:` and an id of `intact models list`: a pinned model is fetched if it is not here. With
    /// INTACT_OFFLINE set, no request is made.
    #[arg(short, long = "model", value_name = "FILE.gguf|id:ID")]
    models: Vec<PathBuf>,

    /// Only the cells that this filter selects
    ///
    /// For example `fault(missing-image)` or `model(llama) & !reader_kv(same)`; `intact help filters` explains the
    /// language, `intact plan --format cells` lists ids, and a cell's dimensions are in the report.
    #[arg(short = 'E', long = "filter", value_name = "FILTER")]
    filter: Option<String>,

    /// Seed for what the faults damage
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// What to run, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// The configuration [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The profile of the configuration
    #[arg(long, value_name = "NAME", env = "INTACT_PROFILE")]
    profile: Option<String>,

    /// What is expected [default: expectations.toml beside the configuration; the built-in ones with the built-in configuration]
    #[arg(long, value_name = "FILE")]
    pub(super) expectations: Option<PathBuf>,

    /// Only the m-th of n parts of the plan; `intact merge` puts the parts together
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,
}

/// Who plays them.
#[derive(Debug, Args)]
pub(super) struct Workforce {
    /// Workers at a time [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_JOBS))]
    jobs: Option<u16>,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,

    #[command(flatten)]
    trusting: Trusting,
}

/// What programs of others may do.
#[derive(Debug, Args)]
pub(super) struct Trusting {
    /// Start the programs that somebody else's configuration names: that of a run's folder, a bundle, or a bucket
    ///
    /// They run with your rights. Without this option they are shown and not started. It is remembered, for this folder
    /// and these programs.
    #[arg(long)]
    trust: bool,
}

impl Trusting {
    pub(super) fn trust(&self) -> Trust {
        Trust { given: self.trust, home: trust::default_home() }
    }
}

impl Selection {
    /// The options of a run; models that are not here are fetched.
    pub(super) fn options(self) -> Result<RunOptions, Failure> {
        Ok(RunOptions {
            models: models(&self.models)?,
            filter: self.filter,
            seed: self.seed,
            plan: self.plan,
            config: self.config,
            profile: self.profile,
            expectations: self.expectations,
            partition: self.partition,
            command: command_line(),
            ..RunOptions::default()
        })
    }
}

impl Workforce {
    /// The options with these workers; those that they name stay where nothing is given here.
    pub(super) fn at(self, options: RunOptions) -> RunOptions {
        let trust = self.trusting.trust();
        RunOptions {
            jobs: self.jobs.map(usize::from),
            worker: self.worker.or(options.worker),
            trust,
            ..options
        }
    }
}

/// The files of models, fetched where they are not here.
pub(super) fn models(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let models: Vec<PathBuf> = given.iter().map(|model| model_file(model)).collect::<Result<_, _>>()?;
    match models.iter().find(|model| !model.is_file()) {
        Some(missing) => Err(worker::missing_model(missing)),
        None => Ok(models),
    }
}

/// Where a run is kept for other machines.
#[derive(Debug, Args)]
pub(super) struct Keeping {
    /// Keep sessions and results there, for jobs on other machines: a folder that they share, or s3://bucket/path,
    /// gs://bucket/path or az://container/path
    ///
    /// Credentials come from the environment. A place keeps the parts of one run: put the number of the CI run into its
    /// name. `intact consume` and `intact merge` take the parts from there.
    #[arg(long, value_name = "URL", env = "INTACT_ARTIFACTS")]
    artifacts: Option<String>,
}

impl Keeping {
    pub(super) fn depot(&self) -> Result<Option<Depot>, Failure> {
        self.artifacts.as_deref().map(Depot::at).transpose().map_err(failed)
    }

    /// The same, where parts are to be fetched from it.
    pub(super) fn holding(&self, saving: bool) -> Result<Option<Depot>, Failure> {
        let depot = self.artifacts.as_deref().map(|address| Depot::holding(address, saving));
        depot.transpose().map_err(failed)
    }
}

/// Keeps what is in a run's folder, where that is asked for.
pub(super) fn keep(depot: Option<&Depot>, out: &Path) -> Result<(), Failure> {
    if let Some(depot) = depot {
        let kept = depot.keep(out).map_err(|error| {
            failed(error)
                .help(format!("everything is in {}, and can be kept by running this again", out.display()))
        })?;
        println!("Kept:   {} at {}", kept.name, depot.address());
        if let Some(began) = kept.replaced {
            eprintln!(
                "note: it took the place of a part that began {began}. If that is not an earlier attempt at the same job, two \
                 jobs were given the same --partition, and one of them is lost"
            );
        }
    }
    Ok(())
}

/// The command line of this process.
pub(super) fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}
