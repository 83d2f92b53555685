//! `intact perf record`: measure one worker, and append it to the history.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::super::table::table;
use super::super::worker::find;
use super::Failure;
use super::compare::{Lines, unmeasured};
use super::history::failed;
use super::settings::SettingArguments;
use super::subject::resolve;
use crate::exit::Exit;
use crate::perf::history::{Entry, append};
use crate::perf::record::{Repetition, record};
use crate::perf::table::time;

/// Measure a worker, and append the figures to a history
#[derive(Debug, Args)]
pub(super) struct Record {
    /// The worker: a program, in quotes with its arguments, or the tag of a llama.cpp release
    /// [default: the one beside this command]
    #[arg(value_name = "WORKER", env = "INTACT_WORKER")]
    worker: Option<String>,

    #[command(flatten)]
    settings: SettingArguments,

    /// Fresh processes to measure in
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    processes: u32,

    /// Measurements in each process
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    cycles: u32,

    /// The history: JSON Lines, one entry a line; made if it is not there
    #[arg(long, value_name = "FILE", default_value = super::history::DEFAULT)]
    history: PathBuf,

    /// Commit of the worker's sources [default: that of the CI's job, else of the checkout here]
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
}

impl Record {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let (_, command) = match &self.worker {
            Some(worker) => resolve(worker)?,
            None => (String::new(), vec![find(None)?.display().to_string()]),
        };
        let settings = self.settings.settings()?;
        let repetition = Repetition { processes: self.processes, cycles: self.cycles };
        let folder = self.settings.scratch.as_deref();
        let commit = self.commit.or_else(commit_here);
        let entry = record(&command, &settings, repetition, folder, commit, &Lines).map_err(unmeasured)?;
        append(&self.history, &entry).map_err(failed)?;
        print!("{}", shown(&entry));
        println!("\nappended to {}", self.history.display());
        Ok(Exit::Fine)
    }
}

fn shown(entry: &Entry) -> String {
    let rows: Vec<_> = entry
        .rows
        .iter()
        .map(|recorded| {
            let row = &recorded.row;
            let rate = recorded
                .bytes
                .zip(recorded.spread())
                .map(|(bytes, spread)| format!("{:.2} GB/s", bytes as f64 / spread.median / 1e9));
            [
                row.operation.to_string(),
                format!("{} {} {}", row.model, row.tokens, row.kv),
                time(recorded.spread().as_ref()),
                rate.unwrap_or_default(),
            ]
        })
        .collect();
    table(["operation", "session", "time", "rate"], &rows)
}

/// The commit that a CI's job names, else that of the checkout in the working directory.
fn commit_here() -> Option<String> {
    let of_job = ["GITHUB_SHA", "CI_COMMIT_SHA"].into_iter().find_map(|name| std::env::var(name).ok());
    of_job.filter(|commit| !commit.is_empty()).or_else(|| {
        let asked = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
        let commit = String::from_utf8(asked.stdout).ok()?.trim().to_owned();
        (asked.status.success() && !commit.is_empty()).then_some(commit)
    })
}
