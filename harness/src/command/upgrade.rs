//! `intact upgrade`: do saved sessions survive a change of version, and can it be undone?

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::Failure;
use super::models::model_file;
use super::progress::Shown;
use super::run::failed;
use super::selection::Workforce;
use super::subjects::Told;
use super::worker::{linked, missing_model};
use crate::exit::Exit;
use crate::installed::{SubjectName, Wanted, default_home, find, install};
use crate::interrupt;
use crate::report;
use crate::run::{RunOptions, run};
use crate::tags::{self, Release};
use crate::upgrade::{Answers, PLAN, Side, configuration};

const EXAMPLES: &str = "\
Examples:
  intact upgrade node-llama-cpp@3.18.1 node-llama-cpp@3.22.1 --model my-model.gguf
  intact upgrade b8390 0.6.0 --model my-model.gguf
      two llama.cpp releases, with the workers that `intact tags fetch` or `intact tags build` brings: sessions that intact
      saved, and the state files that llama.cpp saves itself";

/// Tell whether saved sessions survive a change of version, and whether it can be undone
///
/// Each of the two systems saves sessions with your model and loads what the other saved, with the KV types f16, q8_0
/// and q4_0. For two llama.cpp releases, the state files that llama.cpp itself saves are tried too. A version that is
/// not installed is installed first, which takes from seconds (node-llama-cpp) to minutes (llama-cpp-python); judging
/// takes about a minute with a small model. Ends with exit code 0 if sessions survive the upgrade, 100 if they do not,
/// 5 if that is not known.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Upgrade {
    /// The system as it is: NAME@VERSION, or a llama.cpp release
    from: String,

    /// The system as it will be
    to: String,

    /// The model: a GGUF file, or `id:` and an id of `intact models list`
    #[arg(short, long, value_name = "FILE.gguf")]
    model: PathBuf,

    /// Where the results and reports go
    #[arg(short, long, value_name = "DIR", default_value = "upgrade")]
    out: PathBuf,

    #[command(flatten)]
    workforce: Workforce,
}

impl Upgrade {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let clock = Instant::now();
        let model = model_file(&self.model)?;
        if !model.is_file() {
            return Err(missing_model(&model));
        }
        if self.from == self.to {
            return Err(Failure::setup("both names mean the same version")
                .help("name the one that you have and the one that you want"));
        }
        let sides = [side(&self.from)?, side(&self.to)?];
        let folder = tempfile::Builder::new().prefix("intact-upgrade-").tempdir().map_err(Failure::setup)?;
        let [config, expectations] =
            ["intact.toml", "expectations.toml"].map(|name| folder.path().join(name));
        fs::write(&config, configuration(&sides[0], &sides[1]).map_err(Failure::setup)?)
            .map_err(Failure::setup)?;
        // Nothing is excused: what becomes of sessions is what is asked.
        fs::write(&expectations, "version = 1\n").map_err(Failure::setup)?;
        let options = self.workforce.at(RunOptions {
            out: self.out.clone(),
            models: vec![model],
            plan: Some(PLAN.to_owned()),
            config: Some(config),
            expectations: Some(expectations),
            no_retry: true,
            command: super::selection::command_line(),
            ..RunOptions::default()
        });
        interrupt::heed();
        let progress = Shown::quiet();
        let results = run(&options, &progress);
        progress.finish();
        let results = results.map_err(failed)?;
        report::write(&report::Report::of(&results), &self.out).map_err(Failure::setup)?;
        let [from, to] = sides.map(|side| side.name());
        let answers = Answers::of(&results, &from, &to);
        print!("\n{}", answers.text(&self.model.display().to_string()));
        println!(
            "\n{} in {} s with {}. Cells behind it: {}",
            answers.tried(),
            clock.elapsed().as_secs(),
            self.model.display(),
            self.out.join("report.html").display()
        );
        Ok(match answers.upgrade.survives() {
            Some(true) => Exit::Fine,
            Some(false) => Exit::GateFailed,
            None => Exit::Incomplete,
        })
    }
}

/// A system by its name; one that is not here is installed.
fn side(name: &str) -> Result<Side, Failure> {
    if !name.contains('@') {
        return release(name);
    }
    let subject: SubjectName = name.parse().map_err(Failure::setup)?;
    let home = default_home().ok_or_else(|| Failure::homeless("--home"))?;
    if find(&home, &subject).map_err(Failure::setup)?.is_none() {
        eprintln!("{name} is not installed here; installing it");
        let wanted = Wanted { name: name.to_owned(), program: None, command: Vec::new() };
        install(&home, &wanted, &Told).map_err(Failure::setup)?;
    }
    Ok(Side::Installed(subject.name, subject.version))
}

/// A llama.cpp release whose worker is here.
fn release(name: &str) -> Result<Side, Failure> {
    let release = super::check::release(name).map_err(|failure| {
        failure.also("other systems are named with their version: node-llama-cpp@3.22.1")
    })?;
    let home = tags::default_home().ok_or_else(|| Failure::homeless("--home"))?;
    let command = tags::worker_command(&home, &release).or_else(|| own(&release)).ok_or_else(|| {
        Failure::setup(format!("there is no worker for llama.cpp {}", release.tag)).help(release.remedy())
    })?;
    Ok(Side::Worker(release.tag.clone(), command))
}

/// The worker beside this command, where it is linked with that release.
fn own(release: &Release) -> Option<Vec<String>> {
    linked()?.command_of(release)
}
