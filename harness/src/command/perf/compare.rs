//! `intact perf compare`: did saving or restoring become slower?

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::super::output::show;
use super::super::table::{facts, plain, table as lines};
use super::Failure;
use super::settings::SettingArguments;
use super::subject::{Sides, resolve};
use crate::exit::Exit;
use crate::files::{contain, replace_own};
use crate::perf::compare::{Plan, Progress, compare};
use crate::perf::comparison::{COMPARISON_FILE, Comparison, Procedure};
use crate::perf::measure::MeasureError;
use crate::perf::row::Row;
use crate::perf::statistics::FEWEST_BLOCKS;
use crate::perf::table;
use crate::perf::verdict::Limits;

/// Compare two workers: did saving or restoring become slower?
///
/// Both are measured in turns, A B B A, in blocks of fresh processes, on this machine. What seems to have changed is
/// measured again in fresh processes before it is believed. Yardsticks that no change of the code can move are measured
/// along with the rest; when they move, the machine changed, and nothing is proven.
///
/// Exit codes: 0 nothing became slower, 103 something did, 104 that could not be decided.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(super) struct Compare {
    #[command(flatten)]
    sides: Sides,

    #[command(flatten)]
    settings: SettingArguments,

    /// Blocks, each in processes of its own
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(FEWEST_BLOCKS as i64..=1000),
        help_heading = "Procedure"
    )]
    blocks: u32,

    /// Rounds of A B B A in a block
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=100),
        help_heading = "Procedure"
    )]
    rounds: u32,

    /// Measure more blocks for at most this long while rows are undecided
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=31_536_000),
        help_heading = "Procedure"
    )]
    at_most: u64,

    /// Smallest change that is of interest, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent, help_heading = "Procedure")]
    effect: f64,

    /// A row is called unchanged where a change of this many percent is ruled out
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, help_heading = "Procedure")]
    tolerance: f64,

    /// A folder for perf.json and perf.md, for example that of a run, whose report then shows them
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let figure = text.trim_end_matches('%').parse().ok();
    figure
        .filter(|figure| (0.1..=1000.0).contains(figure))
        .ok_or_else(|| "give a figure from 0.1 to 1000".into())
}

/// Tells how far a measurement has come, on standard error.
pub(super) struct Lines;

impl Progress for Lines {
    fn block(&self, what: &str, number: u32, total: u32) {
        eprintln!("{what}: block {number} of {total}");
    }

    fn without(&self, row: &Row, reason: &str) {
        eprintln!("{}", plain(&format!("not measured: {row}: {reason}")));
    }
}

impl Compare {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let plan = Plan {
            base: resolve(&self.sides.base)?,
            candidate: resolve(&self.sides.candidate)?,
            settings: self.settings.settings()?,
            procedure: Procedure {
                blocks: self.blocks,
                rounds: self.rounds,
                confidence: 0.95,
                resamples: 4000,
                seed: 0,
                limits: Limits {
                    minimum_effect: self.effect / 100.0,
                    tolerance: self.tolerance / 100.0,
                    ..Limits::default()
                },
            },
            at_most: Duration::from_secs(self.at_most),
            scratch: self.settings.scratch.clone(),
        };
        let comparison = compare(&plan, &Lines).map_err(unmeasured)?;
        if let Some(out) = &self.out {
            write(&comparison, out).map_err(|error| {
                Failure::setup(format!("{} cannot be written to: {error}", out.display()))
                    .help("choose another folder with --out")
            })?;
        }
        show(&comparison, self.json, shown)?;
        Ok(comparison.exit)
    }
}

/// A comparison for a person at a terminal.
fn shown(comparison: &Comparison) -> String {
    let sides = [("base", &comparison.base), ("candidate", &comparison.candidate)];
    let sides = sides.map(|(name, subject)| (name.to_owned(), table::subject(subject)));
    let rows: Vec<_> = comparison.rows.iter().map(table::cells).collect();
    let remarks = table::remarks(comparison);
    let remarks: Vec<_> = remarks.iter().map(|remark| plain(remark)).collect();
    format!(
        "{}\n\n{}\n{}\n{}\n",
        plain(&comparison.summary),
        facts(&sides),
        lines(table::HEAD, &rows),
        remarks.join("\n")
    )
}

fn write(comparison: &Comparison, out: &Path) -> std::io::Result<()> {
    fs::create_dir_all(out)?;
    comparison.write(&out.join(COMPARISON_FILE))?;
    replace_own(&out.join("perf.md"), table::markdown(comparison), |there| contain(there, table::TITLE))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn unmeasured(error: MeasureError) -> Failure {
    let failure = Failure::setup(&error);
    match error {
        MeasureError::Folder { .. } => failure.help("choose another folder with --scratch"),
        MeasureError::Worker { .. } | MeasureError::Preparation { .. } => {
            failure.help("try the worker by itself: `intact chat --worker PROGRAM --model FILE.gguf`")
        }
    }
}
