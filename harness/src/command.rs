//! The command line of `intact`: one subcommand a file.

mod adopt;
mod bisect;
mod chains;
mod chat;
mod check;
mod colour;
mod compat;
mod completions;
mod config;
mod corpus;
mod expect;
mod explain;
mod failure;
mod filters;
mod groups;
mod guard;
mod init;
mod inspect;
mod keys;
mod kind;
mod libraries;
mod lint_state;
mod measure;
mod migrate;
mod models;
mod noise;
mod output;
mod pack;
mod panic;
mod parts;
mod perf;
mod plan;
mod policy;
mod progress;
mod report;
mod repro;
mod run;
mod schema;
mod scratch;
mod seal;
mod selection;
mod self_test;
mod store;
mod stored;
mod subjects;
mod summary;
mod table;
mod tags;
mod upgrade;
mod upstream;
mod verify;
mod words;
mod worker;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit::Exit;
use crate::fleeting;
use crate::nearest::nearest;
use crate::printing;
use failure::Failure;

/// Do saved LLM chat sessions come back intact?
///
/// intact saves chat sessions, loads them again elsewhere (another release, model, setting or file format), and judges
/// what came back against the same conversation that was never interrupted.
#[derive(Debug, Parser)]
#[command(name = "intact", version, max_term_width = 100)]
#[command(arg_required_else_help = true, infer_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Plan(plan::Plan),
    Run(run::Run),
    Produce(parts::Produce),
    Consume(parts::Consume),
    Merge(parts::Merge),
    Repro(repro::Repro),
    Expect(expect::Expect),
    Explain(explain::Explain),
    Config(config::Configuration),
    Inspect(inspect::Inspect),
    Check(check::Check),
    Upgrade(upgrade::Upgrade),
    Upstream(upstream::Upstream),
    LintState(lint_state::LintState),
    Bisect(bisect::Bisect),
    Compat(compat::Compat),
    Chains(chains::Chains),
    Corpus(corpus::Corpora),
    Migrate(migrate::Migrate),
    Adopt(adopt::Adopt),
    Verify(verify::Verify),
    Seal(seal::Seal),
    Unseal(seal::Unseal),
    Pack(pack::Pack),
    Unpack(pack::Unpack),
    Key(keys::Key),
    Report(report::Report),
    Perf(perf::Perf),
    Chat(chat::Chat),
    Store(store::Store),
    Models(models::Models),
    Noise(noise::Noise),
    Tags(tags::Tags),
    Filters(filters::Filters),
    SelfTest(self_test::SelfTesting),
    #[command(hide = true)]
    FakeWorker(self_test::FakeWorker),
    #[command(hide = true)]
    Guard(guard::Guard),
    #[command(hide = true)]
    Words(words::Words),
    Subjects(subjects::Subjects),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

const ENDINGS: &str = "\
Exit codes:
  0    fine
  2    the command line is wrong
  4    nothing was selected
  5    the run is incomplete
  94   a filter is wrong
  95   somebody else's configuration names programs that you have not said you trust
  96   something that is needed is missing or cannot be read
  100  the gate failed; for check, verify and adopt: the file will not load, or is damaged; for upstream and lint-state: saved
       states changed and no version was raised
  101  no verdict
  102  an expectation is out of date
  103  saving or restoring became slower
  104  whether it became slower could not be decided";

/// Runs the command with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    panic::install();
    printing::begin();
    fleeting::may_guard();
    let exit = match arguments().command.carry_out() {
        Ok(exit) => exit,
        Err(failure) => failure.report(),
    };
    ExitCode::from(printing::end(exit).code())
}

/// The command line as it is.
fn command() -> clap::Command {
    groups::grouped(Arguments::command(), ENDINGS)
}

/// The arguments of this process. A subcommand that does not exist is answered with the one that was probably meant.
fn arguments() -> Arguments {
    let read = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    read.unwrap_or_else(|mut error| {
        let given = match error.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(given)) => given.clone(),
            _ => error.exit(),
        };
        let command = command();
        let words: Vec<String> =
            std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let known: Vec<&str> = innermost(&command, &words)
            .get_subcommands()
            .filter(|known| !known.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        if let (None, Some(near)) = (error.get(ContextKind::SuggestedSubcommand), nearest(&given, &known)) {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near.to_owned()]));
        }
        error.exit()
    })
}

/// The subcommand that these words lead to.
fn innermost<'a>(command: &'a clap::Command, words: &[String]) -> &'a clap::Command {
    let next = words.split_first().and_then(|(word, rest)| Some((command.find_subcommand(word)?, rest)));
    next.map_or(command, |(inner, rest)| innermost(inner, rest))
}

/// Whether words are a command line of this program.
///
/// # Errors
/// What is wrong with them.
#[cfg(test)]
pub(crate) fn parses(words: &[String]) -> Result<(), String> {
    Arguments::try_parse_from(words).map(drop).map_err(|error| error.to_string())
}

impl Command {
    fn carry_out(self) -> Result<Exit, Failure> {
        match self {
            Self::Init(init) => init.carry_out(),
            Self::Plan(plan) => plan.carry_out(),
            Self::Run(run) => run.carry_out(),
            Self::Produce(produce) => produce.carry_out(),
            Self::Consume(consume) => consume.carry_out(),
            Self::Merge(merge) => merge.carry_out(),
            Self::Repro(repro) => repro.carry_out(),
            Self::Expect(expect) => expect.carry_out(),
            Self::Explain(explain) => explain.carry_out(),
            Self::Config(config) => config.carry_out(),
            Self::SelfTest(test) => test.carry_out(),
            Self::FakeWorker(worker) => worker.carry_out(),
            Self::Guard(guard) => guard.carry_out(),
            Self::Words(words) => words.carry_out(),
            Self::Inspect(inspect) => inspect.carry_out(),
            Self::Check(check) => check.carry_out(),
            Self::Upgrade(upgrade) => upgrade.carry_out(),
            Self::Upstream(upstream) => upstream.carry_out(),
            Self::LintState(lint) => lint.carry_out(),
            Self::Bisect(bisect) => bisect.carry_out(),
            Self::Compat(compat) => compat.carry_out(),
            Self::Chains(chains) => chains.carry_out(),
            Self::Corpus(corpus) => corpus.carry_out(),
            Self::Migrate(migrate) => migrate.carry_out(),
            Self::Adopt(adopt) => adopt.carry_out(),
            Self::Verify(verify) => verify.carry_out(),
            Self::Seal(seal) => seal.carry_out(),
            Self::Unseal(unseal) => unseal.carry_out(),
            Self::Pack(pack) => pack.carry_out(),
            Self::Unpack(unpack) => unpack.carry_out(),
            Self::Key(key) => key.carry_out(),
            Self::Report(report) => report.carry_out(),
            Self::Perf(perf) => perf.carry_out(),
            Self::Chat(chat) => chat.carry_out(),
            Self::Store(store) => store.carry_out(),
            Self::Models(models) => models.carry_out(),
            Self::Noise(noise) => noise.carry_out(),
            Self::Tags(tags) => tags.carry_out(),
            Self::Filters(filters) => filters.carry_out(),
            Self::Subjects(subjects) => subjects.carry_out(),
            Self::Schema(schema) => schema.carry_out(),
            Self::Completions(completions) => completions.carry_out(),
        }
    }
}
