//! `intact produce`, `intact consume`, `intact merge`: one run on several machines.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::progress::Shown;
use super::run::{command_line, failed, play};
use super::summary::summary;
use crate::exit::Exit;
use crate::folder::Partition;
use crate::interrupt;
use crate::report;
use crate::run::{self, MergeOptions, RunOptions};

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

    /// Only the m-th of n parts of the sessions
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// What to run, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// Only the sessions of cells that this filter selects: see `intact help filters`
    #[arg(short = 'E', long = "filter", value_name = "FILTER")]
    filter: Option<String>,

    /// Workers at a time [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,

    /// Seed of what the faults damage
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The configuration [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What is expected [default: expectations.toml beside the configuration, else the built-in ones]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

impl Produce {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let options = RunOptions {
            out: self.out,
            resume: self.resume,
            partition: self.partition,
            plan: self.plan,
            filter: self.filter,
            jobs: self.jobs,
            seed: self.seed,
            config: self.config,
            expectations: self.expectations,
            worker: self.worker,
            command: command_line(),
            ..RunOptions::default()
        };
        interrupt::heed();
        let progress = Shown::new();
        let produced = run::produce(&options, &progress);
        progress.finish();
        let produced = produced.map_err(failed)?;
        let made = produced.sessions - produced.there;
        println!(
            "{made} sessions saved, {} were there; {} could not be saved. Load them with: intact consume --from {}",
            produced.there,
            produced.failed,
            options.out.display()
        );
        Ok(match produced {
            produced if produced.interrupted => Exit::Incomplete,
            produced if produced.sessions == 0 => Exit::NothingSelected,
            _ => Exit::Fine,
        })
    }
}

/// Load sessions that were saved on another machine, and judge every one
///
/// Plays the cells of the plan whose sessions `intact produce` saved. Worker, machine and operating system may be others;
/// the plan, the models and the version of intact must be the same. A cell whose session nobody saved is not run.
#[derive(Debug, Args)]
pub(super) struct Consume {
    /// A folder of `intact produce`; can be given several times
    #[arg(long, value_name = "DIR", required = true)]
    from: Vec<PathBuf>,

    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// Only the m-th of n parts of the plan; `intact merge` puts the parts together
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// Workers at a time [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,

    /// The configuration with the subjects of this machine [default: that of the folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What is expected [default: those of the folder]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,

    /// Do not play cells once more that did not end as expected
    #[arg(long)]
    no_retry: bool,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

impl Consume {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let of_the_folder = RunOptions::consuming(&self.from).map_err(failed)?;
        play(&RunOptions {
            out: self.out,
            partition: self.partition,
            jobs: self.jobs,
            config: self.config.or(of_the_folder.config),
            expectations: self.expectations.or(of_the_folder.expectations),
            no_retry: self.no_retry,
            worker: self.worker,
            command: command_line(),
            ..of_the_folder
        })
    }
}

/// Put runs together that are parts of one plan
///
/// The runs must be of the same plan, which their digests tell, and must not disagree on a cell. Cells that none of them
/// has are listed as not run: the whole is then incomplete.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The folders of the runs
    #[arg(value_name = "DIR", required = true)]
    runs: Vec<PathBuf>,

    /// Where the results and reports of the whole go
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    out: PathBuf,

    /// What is expected [default: what the first run was made with]
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
}

impl Merge {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let options = MergeOptions {
            runs: self.runs,
            out: self.out,
            expectations: self.expectations,
            command: command_line(),
        };
        let results = run::merge(&options).map_err(failed)?;
        report::write(&report::Report::of(&results), &options.out).map_err(Failure::setup)?;
        print!("{}", summary(&results, &options.out));
        Ok(results.gate.exit)
    }
}
