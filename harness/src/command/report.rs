//! `intact report`: reports of runs, made again from their results.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::summary::{since, tell};
use crate::exit::Exit;
use crate::folder::{RESULTS, plain_file};
use crate::report::{self, Digest};
use crate::results::Results;

/// Where GitHub wants a step's summary.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Write the reports of runs again, compare with an earlier run, or print one report
///
/// Without --html and the like, report.html, report.md, junit.xml and badge.svg are written into the run's folder. With
/// one of them, that report is printed.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Folders of runs, or their results.json; several are reported as one
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// Compare with an earlier run: one for each RUN, in the same order
    #[arg(long, value_name = "RUN")]
    baseline: Vec<PathBuf>,

    /// Folder for the files; needed where there are several runs
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    form: Form,
}

/// A report to print.
#[derive(Debug, Args)]
#[group(multiple = false, conflicts_with = "out")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and one at most is given"
)]
struct Form {
    /// Print the page
    #[arg(long)]
    html: bool,
    /// Print Markdown, short enough for the summary of a GitHub step
    #[arg(long)]
    markdown: bool,
    /// Print JUnit XML
    #[arg(long)]
    junit: bool,
    /// Print annotations for GitHub, and add the Markdown to $GITHUB_STEP_SUMMARY
    #[arg(long)]
    github: bool,
    /// Print the outcome as JSON: `intact schema report` prints its schema
    #[arg(long)]
    json: bool,
    /// Print an SVG badge
    #[arg(long)]
    badge: bool,
}

impl Report {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        if !self.baseline.is_empty() && self.baseline.len() != self.runs.len() {
            let (runs, baselines) = (self.runs.len(), self.baseline.len());
            return Err(Failure::setup(format!("{runs} runs cannot be compared with {baselines} baselines"))
                .help("give one --baseline for each run, in the same order"));
        }
        let names = names(&self.runs);
        let results = read(&names, &self.runs)?;
        let baseline = if self.baseline.is_empty() { None } else { Some(read(&names, &self.baseline)?) };
        let mut report = match &baseline {
            Some(baseline) => report::Report::since(&results, baseline),
            None => report::Report::of(&results),
        };
        if let [run] = self.runs.as_slice() {
            let folder = if run.is_dir() { Some(run.as_path()) } else { run.parent() };
            let beside = folder.map(report::Performance::beside).transpose().map_err(Failure::setup)?;
            report.performance = beside.flatten();
        }
        match self.form.render(&report) {
            Some(text) => print!("{}", text?),
            None => write(&report, &self.folder()?)?,
        }
        Ok(Exit::Fine)
    }

    /// The folder that files go into.
    fn folder(&self) -> Result<PathBuf, Failure> {
        match (&self.out, self.runs.as_slice()) {
            (Some(out), _) => Ok(out.clone()),
            (None, [run]) if run.is_dir() => Ok(run.clone()),
            (None, _) => Err(Failure::setup("several runs have no folder in common for their reports").help(
                "name one with --out, or print a report with --html, --markdown or another such option",
            )),
        }
    }
}

impl Form {
    /// The report that is asked for, if one is.
    fn render(&self, report: &report::Report<'_>) -> Option<Result<String, Failure>> {
        let text = if self.html {
            report::html(report)
        } else if self.markdown {
            Ok(report::markdown(report))
        } else if self.junit {
            report::junit(report.results)
        } else if self.github {
            return Some(github(report));
        } else if self.json {
            serde_json::to_string_pretty(&Digest::of(report))
                .map(|json| json + "\n")
                .map_err(|error| error.to_string())
        } else if self.badge {
            report::badge(report.results)
        } else {
            return None;
        };
        Some(text.map_err(Failure::setup))
    }
}

/// The annotations; the Markdown goes where GitHub looks for it, if this is GitHub.
fn github(report: &report::Report<'_>) -> Result<String, Failure> {
    if let Some(file) = std::env::var_os(STEP_SUMMARY) {
        let appended = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&file)
            .and_then(|mut summary| summary.write_all(report::markdown(report).as_bytes()));
        appended.map_err(|error| {
            Failure::setup(format!("the step's summary {} cannot be written: {error}", file.display()))
        })?;
    }
    Ok(report::annotations(report))
}

fn write(report: &report::Report<'_>, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::setup(format!("the folder {} cannot be made: {error}", folder.display()))
    })?;
    report::write(report, folder).map_err(Failure::setup)?;
    tell(report.results, folder);
    if let Some(changes) = &report.changes {
        print!("{}", since(changes));
    }
    Ok(())
}

fn read(names: &[String], runs: &[PathBuf]) -> Result<Results, Failure> {
    let mut read = Vec::new();
    for (name, run) in names.iter().zip(runs) {
        let file = if run.is_dir() { run.join(RESULTS) } else { run.clone() };
        if run.is_dir() {
            plain_file(&file).map_err(Failure::setup)?;
        }
        let results = Results::read(&file).map_err(|error| {
            Failure::setup(error).help("give the folder that was named with `intact run --out`")
        })?;
        read.push((name.clone(), results));
    }
    report::combined(read).ok_or_else(|| Failure::setup("no run was given"))
}

/// A name for each run: that of its folder, with a number where two have the same.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |run: &PathBuf| {
        let folder = if run.is_file() { run.parent() } else { Some(run.as_path()) };
        let name =
            folder.and_then(Path::file_name).map_or("run".into(), |name| name.to_string_lossy().into_owned());
        let mut free = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}-{n}") });
        let free = free.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(free.clone());
        free
    };
    runs.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_after_their_folders_and_told_apart() {
        let names = names(&["a/run", "b/run", "c"].map(PathBuf::from));
        assert_eq!(names, ["run", "run-2", "c"]);
    }
}
