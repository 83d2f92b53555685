//! `intact plan`: what a run would play, without playing it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Failure;
use super::run::failed;
use super::selection::command_line;
use super::table::facts;
use crate::exit::Exit;
use crate::folder::{Partition, Planned};
use crate::run::{self, RunOptions};

/// Show what a plan would run, what that covers, and how it can be split
///
/// Prints the plan with its certificate: how many of the possible combinations of values its cells cover, counted by a
/// checker that shares no code with the generator. With `--format github`, prints a matrix of CI jobs: each of them
/// runs one part with `intact run --partition`, and `intact merge` puts the parts together.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The plan, by its name in the configuration [default: the configured one]
    #[arg(value_name = "NAME", conflicts_with = "named")]
    plan: Option<String>,

    /// The same, by the option that `intact run` takes
    #[arg(long = "plan", value_name = "NAME", id = "named")]
    named: Option<String>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// How many jobs `--format github` splits the plan into
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    parts: u32,

    /// Only the m-th of n parts
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// Only the cells that this filter selects: see `intact help filters`
    #[arg(short = 'E', long = "filter", value_name = "FILTER")]
    filter: Option<String>,

    /// The configuration [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// results.json of an earlier run of this plan, whose cells are kept where they still fit
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// The worker to use in place of intact-worker
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people to read
    Text,
    /// The id of every cell, one per line
    Cells,
    /// The whole plan as JSON: see `intact schema plan`
    Json,
    /// A matrix for the jobs of GitHub Actions
    Github,
}

impl Plan {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let (format, parts, partition) = (self.format, self.parts, self.partition);
        let options = RunOptions {
            plan: self.plan.or(self.named),
            filter: self.filter,
            config: self.config,
            previous: self.previous,
            worker: self.worker,
            command: command_line(),
            trust: crate::trust::Trust::remembered(),
            ..RunOptions::default()
        };
        let mut planned = run::plan(&options).map_err(failed)?;
        if let Some(partition) = partition {
            planned.cells.retain(|cell| partition.takes(&cell.id));
        }
        match format {
            Format::Text => print!("{}", text(&planned)),
            Format::Cells => planned.cells.iter().for_each(|cell| println!("{}", cell.id)),
            Format::Json => println!("{}", serde_json::to_string(&planned).map_err(Failure::setup)?),
            Format::Github => println!("{}", matrix(&planned, parts)),
        }
        Ok(if planned.cells.is_empty() { Exit::NothingSelected } else { Exit::Fine })
    }
}

fn text(planned: &Planned) -> String {
    let info = &planned.info;
    let possible = planned.cells.iter().filter(|cell| cell.filtered.is_none()).count();
    let mut lines = vec![
        ("plan".to_owned(), info.name.clone()),
        ("digest".to_owned(), crate::text::brief(&planned.digest.whole).into_owned()),
        ("cells".to_owned(), format!("{} of {}", planned.cells.len(), info.planned)),
        ("possible".to_owned(), format!("{possible}; a constraint rules the others out")),
    ];
    for axis in info.axes.iter().filter(|axis| axis.values.len() > 1) {
        let used =
            |value: &&String| planned.cells.iter().any(|cell| cell.dims.get(&axis.name) == Some(*value));
        let values: Vec<&str> = axis.values.iter().filter(used).map(String::as_str).collect();
        if values.len() > 1 {
            lines.push((format!("axis {}", axis.name), values.join(", ")));
        }
    }
    for coverage in &info.coverage {
        let (covered, all) = (coverage.covered, coverage.combinations - coverage.forbidden);
        lines.push((
            "certificate".to_owned(),
            format!(
                "{covered} of {all} possible combinations of {} values, in {} cells over {} axes ({} are ruled out)",
                coverage.strength,
                coverage.cells,
                coverage.axes.len(),
                coverage.forbidden
            ),
        ));
    }
    facts(&lines)
}

/// `{"include": [...]}`, as `strategy.matrix: ${{ fromJSON(...) }}` takes it; parts without a cell are left out.
fn matrix(planned: &Planned, parts: u32) -> String {
    let jobs = Partition::all(parts).filter_map(|partition| {
        let cells = planned.cells.iter().filter(|cell| partition.takes(&cell.id)).count();
        (cells > 0).then(|| {
            let name = partition.to_string();
            json!({ "partition": name, "artifact": name.replace('/', "-of-"), "cells": cells })
        })
    });
    json!({ "include": jobs.collect::<Vec<_>>() }).to_string()
}
