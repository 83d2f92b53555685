//! `intact report`: the reports of a run, made again from its results.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::summary::summary;
use crate::exit::Exit;
use crate::report;
use crate::results::Results;

/// Make the reports of a run again from its results.json
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The run's folder
    #[arg(value_name = "DIR")]
    run: PathBuf,
}

impl Report {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let results = Results::read(&self.run.join("results.json")).map_err(|error| {
            Failure::setup(error).help("give the folder that was named with `intact run --out`")
        })?;
        report::write(&report::Report::of(&results), &self.run).map_err(Failure::setup)?;
        print!("{}", summary(&results, &self.run));
        Ok(Exit::Fine)
    }
}
