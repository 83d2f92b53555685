//! `intact upstream`: what does a change of llama.cpp do to saved sessions?

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::Failure;
use super::libraries::library;
use super::lint_state::fingerprint;
use super::output::write_marked;
use super::progress::Shown;
use super::run::failed;
use super::selection::{Workforce, command_line};
use super::table::plain;
use super::worker::linked;
use crate::exit::Exit;
use crate::expectation::DEFAULT_EXPECTATIONS;
use crate::fingerprint::{Comparison, Container, Fingerprint};
use crate::fleeting::FleetingFolder;
use crate::folder::RESULTS;
use crate::interrupt;
use crate::parallel;
use crate::report;
use crate::run::{RunOptions, run};
use crate::tags;
use crate::upstream::{FURTHER, MARK, PLAN, Upstream as Found, configuration, of_one};

const EXAMPLES: &str = "\
Examples:
  intact upstream 0.4.0 0.5.0
      two releases; those that are not here are fetched
  intact upstream 0.6.0 llama.cpp/build/bin --markdown comment.md
      a release, and a build of a pull request";

/// Tell what a change of llama.cpp does to everybody's saved sessions
///
/// Two libraries read what each wrote, there and back: sessions of intact, and llama.cpp's own files and blobs, which nothing
/// checks, with a model of every kind of memory. The bytes that they write are compared too, as `lint-state` does. Ends with exit
/// code 0 where nothing changed, or a version was raised for what did; 100 where saved states changed and no version was raised, or
/// sessions of intact do not cross; 5 where it is not known.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Upstream {
    /// The library before the change: a tag such as 0.5.0, the name that it was added under, or a folder that holds it
    #[arg(value_name = "BASE")]
    base: String,

    /// The library after the change
    #[arg(value_name = "HEAD")]
    head: String,

    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "upstream")]
    out: PathBuf,

    /// Write what was found as Markdown too, for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    #[command(flatten)]
    workforce: Workforce,
}

impl Upstream {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let clock = Instant::now();
        let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
        let linked = linked();
        let base = library(&self.base, &home, linked.as_ref())?;
        let head = library(&self.head, &home, linked.as_ref())?;
        if base.name == head.name {
            let same = format!(
                "Nothing changed for saved sessions: {} and {} are one library.",
                self.base, self.head
            );
            write_markdown(self.markdown.as_deref(), &of_one(&same))?;
            println!("{}", plain(&same));
            return Ok(Exit::Fine);
        }
        let options = self.workforce.at(RunOptions::default());
        let jobs = options.jobs.unwrap_or_else(parallel::cores);
        interrupt::heed();
        eprintln!("comparing what both write");
        let written = [fingerprint(&base, jobs)?, fingerprint(&head, jobs)?];
        let further: Vec<&str> = FURTHER.into_iter().filter(|family| both_have(&written, family)).collect();
        let compared = Comparison::between(&written[0], &written[1]);
        let folder = FleetingFolder::make(&std::env::temp_dir()).map_err(Failure::setup)?;
        let [config, expectations] =
            ["intact.toml", "expectations.toml"].map(|name| folder.path().join(name));
        fs::write(&config, configuration(&base.name, &head.name, &further).map_err(Failure::setup)?)
            .and_then(|()| fs::write(&expectations, DEFAULT_EXPECTATIONS))
            .map_err(Failure::setup)?;
        let options = RunOptions {
            out: self.out.clone(),
            plan: Some(PLAN.to_owned()),
            config: Some(config),
            expectations: Some(expectations),
            no_retry: true,
            command: command_line(),
            ..options
        };
        let progress = Shown::quiet();
        let results = run(&options, &progress);
        progress.finish();
        let mut results = results.map_err(failed)?;
        let found = Found::of(&results, &base.name, &head.name, compared);
        found.put_into(&mut results);
        results.write(&self.out.join(RESULTS)).map_err(Failure::setup)?;
        report::write(&report::Report::of(&results), &self.out).map_err(Failure::setup)?;
        write_markdown(self.markdown.as_deref(), &found.markdown())?;
        print!("\n{}", found.text());
        println!(
            "{} cells in {} s. Report: {}",
            results.cells.len(),
            clock.elapsed().as_secs(),
            self.out.join("report.html").display()
        );
        Ok(results.gate.exit)
    }
}

/// Writes the Markdown where it is asked for.
fn write_markdown(file: Option<&Path>, text: &str) -> Result<(), Failure> {
    file.map_or(Ok(()), |file| write_marked(file, text, MARK))
}

/// Whether both libraries run a family.
fn both_have(written: &[Fingerprint; 2], family: &str) -> bool {
    written.iter().all(|of| {
        of.written.iter().any(|(probe, bytes)| {
            probe.model == family && probe.container == Container::SequenceFile && bytes.is_ok()
        })
    })
}
