//! `intact repro`: a bundle that plays one cell again.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::progress::Shown;
use super::run::failed;
use super::selection::{Trusting, command_line};
use crate::exit::Exit;
use crate::interrupt;
use crate::run::{self, BundleOptions};

/// Bundle one cell of a run, to play it again anywhere
///
/// Writes a folder with the sessions that the cell loads, the models, the configuration, what the run found and on what
/// machine, and `replay.sh`, which plays the cell again without a network. Of cells that did not end as expected a run
/// keeps the sessions; those of others are saved again.
#[derive(Debug, Args)]
pub(super) struct Repro {
    /// The cell's id
    #[arg(value_name = "CELL")]
    cell: String,

    /// The run's folder
    #[arg(long, value_name = "DIR", default_value = "out")]
    from: PathBuf,

    /// The folder of the bundle
    #[arg(short, long, value_name = "DIR", default_value = "repro")]
    out: PathBuf,

    /// Take models along whatever their size
    #[arg(long)]
    with_models: bool,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,

    #[command(flatten)]
    trusting: Trusting,
}

impl Repro {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let options = BundleOptions {
            from: self.from,
            cell: self.cell,
            out: self.out,
            with_models: self.with_models,
            worker: self.worker,
            trust: self.trusting.trust(),
            command: command_line(),
        };
        interrupt::heed();
        let progress = Shown::new();
        let bundle = run::bundle(&options, &progress);
        progress.finish();
        let bundle = bundle.map_err(failed)?;
        println!(
            "{}: {} sessions as the run read them, {} saved again",
            options.out.display(),
            bundle.original,
            bundle.saved_again
        );
        for model in &bundle.models_left_out {
            println!("{} is not in it because of its size; --with-models takes it along", model.display());
        }
        println!("Next: {}", bundle.replay.display());
        Ok(Exit::Fine)
    }
}
