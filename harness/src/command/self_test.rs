//! `intact self-test`: does the harness itself judge rightly?

use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::run::failed;
use super::table::table;
use crate::exit::Exit;
use crate::judge::mutant::Mutated;
use crate::run::Silent;
use crate::self_test::{SelfTest, self_test};

/// Test intact itself: a worker that misbehaves in every known way, and judges and gates with one thing wrong
///
/// Needs neither a model nor llama.cpp. Every misbehaviour goes through a whole run and must get its verdict; every
/// judge or gate with one thing wrong must be found out by at least one piece of evidence.
#[derive(Debug, Args)]
pub(super) struct SelfTesting {}

impl SelfTesting {
    #[expect(clippy::unused_self, reason = "every subcommand is carried out so")]
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let program = std::env::current_exe().map_err(Failure::setup)?;
        let folder =
            tempfile::Builder::new().prefix("intact-self-test-").tempdir().map_err(Failure::setup)?;
        let found = self_test(&program, folder.path(), &Silent).map_err(failed)?;
        print!("{}", text(&found));
        Ok(if found.passes() { Exit::Fine } else { Exit::GateFailed })
    }
}

fn text(found: &SelfTest) -> String {
    let word = |right: bool| if right { "ok" } else { "WRONG" }.to_owned();
    let rows: Vec<[String; 4]> = found
        .misbehaviours
        .iter()
        .map(|row| [row.name.clone(), row.expected.clone(), row.found.clone(), word(row.passes())])
        .collect();
    let right = found.misbehaviours.iter().filter(|row| row.passes()).count();
    let mutants: Vec<[String; 2]> = found.mutants.iter().map(mutant).collect();
    let killed = found.mutants.iter().filter(|mutant| mutant.killed_by.is_some()).count();
    format!(
        "{}\n{right} of {} misbehaviours are judged rightly\n\n{}\n{killed} of {} mutants are found out\n",
        table(["a worker that", "must be", "is", ""], &rows),
        rows.len(),
        table(["a mutant in which", "is found out because"], &mutants),
        mutants.len(),
    )
}

fn mutant(mutant: &Mutated) -> [String; 2] {
    let why = mutant.killed_by.as_deref().unwrap_or("IT LIVES");
    let short: String = why.chars().take(90).collect();
    [mutant.name.to_owned(), short]
}

/// The worker that misbehaves: what the self-test judges.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct FakeWorker {
    /// Arguments of the worker
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl FakeWorker {
    #[expect(clippy::unnecessary_wraps, reason = "every subcommand is carried out so")]
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let name = crate::self_test::FAKE_WORKER.to_owned();
        let ended = intact_fake_worker::run(std::iter::once(name).chain(self.arguments));
        Ok(if ended == ExitCode::SUCCESS { Exit::Fine } else { Exit::SetUp })
    }
}
