//! `intact perf history` and `intact perf plot`: what was measured over time, and charts of it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::super::table::table;
use super::Failure;
use crate::exit::Exit;
use crate::files::{contain, replace_own};
use crate::perf::change::{ALPHA, SMALLEST, Step, steps};
use crate::perf::history::{self, Entry, HistoryError, Track};
use crate::perf::plot::{Chart, over_time, over_tokens};
use crate::perf::row::Row;
use crate::perf::table::unit;
use crate::perf::verdict::percent;

/// What is behind every chart: a file of the same name without it is somebody else's.
const MARK: &str = "<!-- drawn by intact perf -->";

/// The history's file, unless another one is named.
pub(super) const DEFAULT: &str = "perf-history.jsonl";

/// Show how every row changed over time, and where
///
/// A step is reported where the order of the figures makes chance unlikely. It decides nothing: `intact perf compare`
/// does, on one machine at one time.
#[derive(Debug, Args)]
pub(super) struct History {
    /// The history
    #[arg(value_name = "FILE", default_value = DEFAULT)]
    history: PathBuf,

    /// Draw a chart of each row into this folder
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Draw time over tokens, a line for each operation, with the yardsticks dashed
#[derive(Debug, Args)]
pub(super) struct Plot {
    /// The history; of each row the newest figures are drawn
    #[arg(value_name = "FILE", default_value = DEFAULT)]
    history: PathBuf,

    /// The folder for the charts, one SVG for each model and KV type
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Shown<'t> {
    machine: &'t str,
    row: &'t Row,
    entries: usize,
    seconds: Vec<f64>,
    steps: Vec<ShownStep<'t>>,
}

#[derive(Serialize)]
struct ShownStep<'t> {
    recorded: &'t str,
    commit: Option<&'t str>,
    release: &'t str,
    ratio: f64,
    p: f64,
}

impl History {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let entries = read(&self.history)?;
        let tracks: Vec<(Track, Vec<Step>)> = history::tracks(&entries)
            .into_iter()
            .map(|track| {
                let figures: Vec<f64> = track.points.iter().map(|(_, seconds)| *seconds).collect();
                let steps = steps(&figures, ALPHA, SMALLEST);
                (track, steps)
            })
            .collect();
        if let Some(folder) = &self.plot {
            let charts = tracks.iter().map(|(track, steps)| (file_name(&track.row), over_time(track, steps)));
            draw(charts, folder)?;
        }
        if self.json {
            let shown: Vec<_> = tracks.iter().map(|(track, steps)| shown(track, steps, &entries)).collect();
            println!("{}", serde_json::to_string_pretty(&shown).map_err(Failure::setup)?);
        } else {
            let rows: Vec<_> = tracks.iter().map(|(track, steps)| cells(track, steps, &entries)).collect();
            print!("{}", table(["operation", "session", "machine", "entries", "newest", "steps"], &rows));
        }
        Ok(Exit::Fine)
    }
}

impl Plot {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let entries = read(&self.history)?;
        let charts = over_tokens(&entries).into_iter().map(|chart| {
            let session = chart.title.split(':').next().unwrap_or_default().replace(", KV in ", "-");
            (format!("{}.svg", plain_name(&session)), chart)
        });
        draw(charts, &self.out)?;
        Ok(Exit::Fine)
    }
}

fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let entries = history::read(path).map_err(failed)?;
    if entries.is_empty() {
        return Err(Failure::setup(format!("{} has no entry", path.display()))
            .help("`intact perf record` appends one"));
    }
    Ok(entries)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: HistoryError) -> Failure {
    match &error {
        HistoryError::Io { .. } => Failure::setup(&error)
            .help("`intact perf record` makes a history; name another file if it is elsewhere"),
        HistoryError::Malformed { .. } => {
            Failure::setup(&error).help("take that line out, or read the file with the version that wrote it")
        }
    }
}

fn draw(charts: impl Iterator<Item = (String, Chart)>, folder: &Path) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::setup(format!("{} cannot be written to: {error}", folder.display()))
            .help("choose another folder")
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    for (name, chart) in charts {
        let path = folder.join(name);
        let svg = chart.svg().map_err(Failure::setup)? + MARK + "\n";
        replace_own(&path, svg, |there| contain(there, MARK)).map_err(|error| {
            Failure::setup(format!("{}: {error}", path.display())).help("choose another folder")
        })?;
        eprintln!("{}", path.display());
    }
    Ok(())
}

fn file_name(row: &Row) -> String {
    format!(
        "{}.svg",
        plain_name(&format!("{}-{}-{}-{}", row.model, row.kv, row.tokens, row.operation.name()))
    )
}

/// A name that is one file's on every system.
fn plain_name(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "._-".contains(character) { character } else { '_' }
    };
    name.chars().map(plain).collect()
}

fn cells(track: &Track, steps: &[Step], entries: &[Entry]) -> [String; 6] {
    let newest = track.points.last().map(|(_, seconds)| {
        let (size, name) = unit(*seconds);
        format!("{:.3} {name}", seconds / size)
    });
    let told = steps.iter().filter_map(|step| {
        let entry = &entries[track.points.get(step.at)?.0];
        let commit = entry.commit.as_deref().map(|commit| commit.get(..10).unwrap_or(commit));
        Some(format!("{} at {}", percent(step.ratio), commit.unwrap_or(&entry.recorded)))
    });
    [
        track.row.operation.to_string(),
        format!("{} {} {}", track.row.model, track.row.tokens, track.row.kv),
        machine(track).to_owned(),
        track.points.len().to_string(),
        newest.unwrap_or_default(),
        told.collect::<Vec<_>>().join(", "),
    ]
}

fn machine(track: &Track) -> &str {
    track.environment.cpu.as_deref().unwrap_or(&track.environment.arch)
}

fn shown<'t>(track: &'t Track, steps: &[Step], entries: &'t [Entry]) -> Shown<'t> {
    let of = |step: &Step| {
        let entry = &entries[track.points.get(step.at)?.0];
        Some(ShownStep {
            recorded: &entry.recorded,
            commit: entry.commit.as_deref(),
            release: &entry.release,
            ratio: step.ratio,
            p: step.p,
        })
    };
    Shown {
        machine: machine(track),
        row: &track.row,
        entries: track.points.len(),
        seconds: track.points.iter().map(|(_, seconds)| *seconds).collect(),
        steps: steps.iter().filter_map(of).collect(),
    }
}
