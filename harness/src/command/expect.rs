//! `intact expect`: what is expected, checked, explained, and brought up to date.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Failure;
use super::config::chosen;
use super::run::failed;
use crate::config::{Config, ConfigError};
use crate::exit::Exit;
use crate::expectation::{Expectations, UNREVIEWED, reviewed};
use crate::files::write_whole;
use crate::folder::RESULTS;
use crate::plan::PlannedCell;
use crate::proposal::proposal;
use crate::quantity::{as_expected, counted};
use crate::results::Results;
use crate::run::{self, RunOptions};

/// Check, explain and update the expectations
#[derive(Debug, Args)]
pub(super) struct Expect {
    #[command(subcommand)]
    act: Act,

    /// The configuration [default: intact.toml here, else the built-in one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// The expectations [default: expectations.toml beside the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    expectations: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Is every entry sound, in force, reviewed, and about a cell of the plan?
    Check {
        /// The plan [default: the configured one]
        #[arg(long, value_name = "NAME")]
        plan: Option<String>,
    },
    /// Write what a run found into the file, for review
    ///
    /// Entries whose cells all came out better are changed, or removed where nothing is left to expect. For cells that
    /// came out worse, entries are added that name the smallest combination of values that explains them; until they are
    /// reviewed, they fail the gate. Comments and order stay. Where CI is set, nothing is written.
    Update {
        /// The run's folder
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Show the file as it would be, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the entries that nobody has reviewed, or review one
    Review {
        /// The number of the entry in the list
        #[arg(value_name = "N")]
        entry: Option<usize>,
        /// Why that is right
        #[arg(long, value_name = "TEXT", requires = "entry")]
        reason: Option<String>,
        /// Where it is tracked
        #[arg(long, value_name = "URL", requires = "reason")]
        issue: Option<String>,
        /// The last day on which it holds
        #[arg(long, value_name = "YYYY-MM-DD", requires = "reason")]
        expires: Option<Date>,
    },
    /// Which entry decides about a cell, and why?
    Explain {
        /// The cell's id
        #[arg(value_name = "CELL")]
        cell: String,
        /// The folder of a run that has it
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// The plan that has it [default: the configured one]
        #[arg(long, value_name = "NAME")]
        plan: Option<String>,
    },
}

/// The files, and what they say.
struct Desk {
    config_path: Option<PathBuf>,
    config: Config,
    path: PathBuf,
    text: String,
    expectations: Expectations,
}

impl Expect {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let desk = Desk::open(self.config, self.expectations)?;
        match self.act {
            Act::Check { plan } => desk.check(plan),
            Act::Update { from, dry_run } => desk.update(&from, dry_run),
            Act::Review { entry: None, .. } => Ok(desk.list()),
            Act::Review { entry: Some(entry), reason, issue, expires } => {
                desk.review(entry, reason.as_deref(), issue.as_deref(), expires)
            }
            Act::Explain { cell, from, plan } => desk.explain(&cell, from.as_deref(), plan),
        }
    }
}

impl Desk {
    fn open(config: Option<PathBuf>, expectations: Option<PathBuf>) -> Result<Self, Failure> {
        let config_path = chosen(config);
        let config = Config::in_force(config_path.as_deref(), None).map_err(wrong)?.config;
        let beside = config_path.as_deref().unwrap_or(Path::new("intact.toml"));
        let path = expectations.unwrap_or_else(|| beside.with_file_name("expectations.toml"));
        let text = Expectations::text(&path).map_err(|error| {
            Failure::setup(error).help("`intact init` writes one; --expectations names another")
        })?;
        let expectations = Expectations::parse(&text, &path, &config).map_err(wrong)?;
        Ok(Self { config_path, config, path, text, expectations })
    }

    fn check(&self, plan: Option<String>) -> Result<Exit, Failure> {
        let plan = plan.unwrap_or_else(|| self.config.run.plan.clone());
        let cells = self.cells(&plan)?;
        let findings = self.expectations.findings(&cells, &plan, today());
        for finding in &findings {
            println!("{}", finding.message);
        }
        let entries = self.expectations.len();
        if findings.is_empty() {
            let sound = match entries {
                0 => "there are no entries, so nothing is excused".to_owned(),
                1 => format!("the only entry is sound, in force, and decides a cell of the plan `{plan}`"),
                _ => format!(
                    "all {entries} entries are sound and in force, and each decides a cell of the plan `{plan}`"
                ),
            };
            println!("{sound}");
            return Ok(Exit::Fine);
        }
        println!("{}", counted(findings.len(), "thing needs", "things need") + " attention");
        Ok(Exit::GateFailed)
    }

    fn update(&self, from: &Path, dry_run: bool) -> Result<Exit, Failure> {
        let results = read_results(from)?;
        let edit = proposal(&self.expectations, &results, today());
        if edit.is_empty() {
            println!("nothing to change: {}", results.gate.exit.meaning());
            return Ok(Exit::Fine);
        }
        let edited = edit.apply(&self.text).map_err(Failure::setup)?;
        let cells = results.planned();
        let edited =
            self.expectations.without_dead(&edited, &self.path, &self.config, &cells, &results.plan.name);
        let edited = edited.map_err(wrong)?;
        if dry_run {
            print!("{edited}");
            return Ok(Exit::Fine);
        }
        self.write(&edited)?;
        println!(
            "{}: {} removed, {} changed, {} added",
            self.path.display(),
            counted(edit.remove.len(), "entry", "entries"),
            edit.change.len(),
            edit.add.len()
        );
        if !edit.add.is_empty() {
            println!("Next: intact expect review");
        }
        Ok(Exit::Fine)
    }

    fn list(&self) -> Exit {
        let waiting = self.expectations.unreviewed();
        for (index, entry) in &waiting {
            let verdicts: Vec<&str> = entry.outcome.iter().map(|verdict| verdict.name()).collect();
            let found = entry.reason.trim_start_matches(UNREVIEWED);
            println!("{}  {}\n   {}: {found}", index + 1, entry.when.get_ref(), verdicts.join(" or "));
        }
        match waiting.first() {
            None => println!("every entry has been reviewed"),
            Some((index, _)) => println!(
                "If that is right, say why: intact expect review {} --reason TEXT. If not, remove the entry and fix what broke.",
                index + 1
            ),
        }
        if waiting.is_empty() { Exit::Fine } else { Exit::GateFailed }
    }

    fn review(
        &self,
        number: usize,
        reason: Option<&str>,
        issue: Option<&str>,
        expires: Option<Date>,
    ) -> Result<Exit, Failure> {
        let entry = number.checked_sub(1).and_then(|index| Some((index, self.expectations.get(index)?)));
        let Some((index, entry)) = entry else {
            return Err(Failure::setup(format!(
                "there is no entry {number}: there are {}",
                self.expectations.len()
            )));
        };
        if expires.is_none() && !self.expectations.unreviewed().iter().any(|(waiting, _)| *waiting == index) {
            return Err(Failure::setup(format!("entry {number} has been reviewed: {}", entry.reason))
                .help("renew it with --expires, or edit the file to change what it says"));
        }
        let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) else {
            return Err(Failure::setup("a review needs a reason").help("say why it is right with --reason"));
        };
        if entry.outcome.iter().any(|verdict| verdict.needs_issue()) && issue.is_none() {
            return Err(
                Failure::setup("these verdicts need an issue").help("say where it is tracked with --issue")
            );
        }
        let text = reviewed(&self.text, index, reason, issue, expires).map_err(Failure::setup)?;
        Expectations::parse(&text, &self.path, &self.config).map_err(wrong)?;
        self.write(&text)?;
        let lapses =
            expires.or(entry.expires).map(|day| format!("; it expires on {day}")).unwrap_or_default();
        println!("{}: entry {number} is reviewed{lapses}", self.path.display());
        Ok(Exit::Fine)
    }

    fn explain(&self, id: &str, from: Option<&Path>, plan: Option<String>) -> Result<Exit, Failure> {
        let plan = plan.unwrap_or_else(|| self.config.run.plan.clone());
        let results = from.map(read_results).transpose()?;
        let cells = match &results {
            Some(results) => results.planned(),
            None => self.cells(&plan)?,
        };
        let Some(cell) = cells.iter().find(|cell| cell.id == id) else {
            let ids: Vec<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
            let near = crate::nearest::nearest(id, &ids).map(|near| format!("; did you mean {near}?"));
            return Err(Failure::setup(format!("there is no cell {id}{}", near.unwrap_or_default()))
                .help("`intact plan --format cells` lists them"));
        };
        for line in self.expectations.explain(cell) {
            println!("{line}");
        }
        if let Some(found) = results.iter().flat_map(|results| &results.cells).find(|cell| cell.id == id) {
            println!("It ended {}, {}: {}", found.verdict, as_expected(found), found.message);
        }
        Ok(Exit::Fine)
    }

    fn cells(&self, plan: &str) -> Result<Vec<PlannedCell>, Failure> {
        let options = RunOptions {
            config: self.config_path.clone(),
            expectations: Some(self.path.clone()),
            plan: Some(plan.to_owned()),
            trust: crate::trust::Trust::remembered(),
            ..RunOptions::default()
        };
        Ok(run::plan(&options).map_err(failed)?.cells)
    }

    /// In a CI nothing is ever rewritten: what it finds must be looked at.
    fn write(&self, text: &str) -> Result<(), Failure> {
        let ci = std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
        if ci {
            return Err(Failure::setup("CI is set: expectations are not rewritten there").help(
                "run the same command on a developer's machine, look at what it changes, and commit that",
            ));
        }
        write_whole(&self.path, text)
            .map_err(|error| Failure::setup(format!("{}: {error}", self.path.display())))
    }
}

fn read_results(folder: &Path) -> Result<Results, Failure> {
    Results::read(&folder.join(RESULTS))
        .map_err(|error| Failure::setup(error).help("give the folder that was named with `intact run --out`"))
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn wrong(error: ConfigError) -> Failure {
    Failure::config(&error)
}
