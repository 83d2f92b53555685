//! `intact repro`: a bundle that plays one cell again.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::progress::Shown;
use super::run::failed;
use super::selection::{Trusting, command_line};
use crate::exit::Exit;
use crate::interrupt;
use crate::quantity::counted;
use crate::run::{self, BundleOptions};

/// Bundle one cell of a run, to run it again anywhere
///
/// Writes a folder with the sessions that the cell loads, the models, the configuration, what the run found and on what
/// machine, and `replay.sh`, which runs the cell again without a network. A run keeps the sessions of cells that did
/// not end as expected; those of other cells are saved again.
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

    /// Include the models, whatever their size
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
            "{}: {} from the run, {} saved again",
            options.out.display(),
            counted(bundle.original, "session", "sessions"),
            bundle.saved_again
        );
        for model in &bundle.models_left_out {
            println!("{} is not in it because of its size; --with-models includes it", model.display());
        }
        println!("Next: {}", bundle.replay.display());
        Ok(Exit::Fine)
    }
}
