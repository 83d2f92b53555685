//! `intact bisect`: the first llama.cpp release that no longer reads what an older one saved.

mod cells;
mod commits;
mod file;
mod program;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use intact_format::regular;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::check::release;
use super::table::plain;
use super::worker::{Linked, SettingArguments, linked};
use crate::bisect::{NothingToFind, Search, Step, Tried};
use crate::exit::Exit;
use crate::files::replace_own;
use crate::filter::compare_versions;
use crate::quantity::counted;
use crate::tags::{self, OFFICIAL, Release, releases};

const EXAMPLES: &str = "\
Examples:
  intact bisect b8390 0.6.0 --file slot.bin --model my-model.gguf --kv q8_0
      a state file that llama.cpp b8390 wrote: which release reads it wrongly?
  intact bisect b8390 0.6.0 -E 'subject(blind) & model(llama) & kv(q8_0) & flash(on) & scenario(resume)'
      cells of the plan `release`, with the tiny models
  intact bisect b8390 master --tree llama.cpp --file slot.bin --model my-model.gguf
      over the commits of a source tree, each of which is built where it is tried
  intact bisect b8390 0.6.0 --command './try-it'
      a program of yours, with INTACT_RELEASE and INTACT_RELEASE_WORKER set; 0 is good, 125 cannot be tried, anything else
      is bad";

/// What every record has in it, to be told from other files.
const WHAT: &str = "a search of intact bisect";

/// Find the first llama.cpp release that fails, between one that works and one that does not
///
/// Releases that are not here are fetched, which takes a second or so each. Every release that is tried halves what is
/// left; one that cannot be tried is skipped. What was found is kept in --record, and the same search goes on from
/// there. Ends with exit code 0 where the release is found.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group = ArgGroup::new("question").required(true).args(["file", "filter", "command"]))]
pub(super) struct Bisect {
    /// A release that works
    good: String,

    /// A later one that fails
    bad: String,

    /// A state file of llama.cpp (a sequence or session file), or a session file of intact
    #[arg(long, value_name = "FILE", requires = "model")]
    file: Option<PathBuf>,

    /// Cells of a plan: each release loads what the release that works saved
    #[arg(short = 'E', long, value_name = "FILTER")]
    filter: Option<String>,

    /// A shell command that fails for a release that fails
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,

    /// The model of the file: a GGUF file, or `id:` and an id of `intact models list`
    #[arg(short, long, value_name = "FILE.gguf")]
    model: Option<PathBuf>,

    /// A source tree of llama.cpp: GOOD and BAD are then commits of it, and those between them are searched
    #[arg(long, value_name = "DIR", conflicts_with = "filter")]
    tree: Option<PathBuf>,

    /// What builds a commit, in a copy of the tree [default: the shared libraries, by cmake]
    #[arg(long, value_name = "COMMAND", requires = "tree")]
    build: Option<String>,

    /// The plan that the cells are of
    #[arg(long, value_name = "NAME", default_value = "release", requires = "filter")]
    plan: String,

    /// The file in which what was found is kept
    #[arg(long, value_name = "FILE", default_value = "bisect.json")]
    record: PathBuf,

    #[command(flatten)]
    settings: SettingArguments,
}

/// What one release was found to be.
pub(super) struct Answer {
    tried: Tried,
    /// In a line.
    evidence: String,
}

/// A release, and the worker that runs on it.
pub(super) struct Candidate<'a> {
    release: &'a Release,
    command: Vec<String>,
}

/// What is asked of each release.
enum Question {
    State(file::State),
    Cells(cells::Cells),
    Program(String),
}

/// What is searched: releases, or commits of a source tree, oldest first.
enum Ground {
    Releases(Vec<&'static Release>),
    Commits(commits::Tree, Vec<Release>),
}

impl Ground {
    fn all(&self) -> Vec<&Release> {
        match self {
            Self::Releases(releases) => releases.clone(),
            Self::Commits(_, commits) => commits.iter().collect(),
        }
    }

    fn tree(&self) -> Option<&commits::Tree> {
        match self {
            Self::Releases(_) => None,
            Self::Commits(tree, _) => Some(tree),
        }
    }
}

/// What is kept of a search.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    what: String,
    question: String,
    tried: Vec<Noted>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    release: String,
    is: Tried,
    evidence: String,
}

impl Bisect {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let ground = self.ground()?;
        let between = ground.all();
        let mut record = self.kept()?;
        let question = self.question(between[0])?;
        let home = tags::default_home().ok_or_else(|| Failure::homeless("INTACT_HOME"))?;
        let linked = linked();
        let all = between;
        let is_at_hand =
            |release: &&Release| ground.tree().is_some() || is_at_hand(&home, release, linked.as_ref());
        let between: Vec<&Release> = all.iter().copied().filter(is_at_hand).collect();
        for end in [all[0], all[all.len() - 1]] {
            if !between.iter().any(|release| release.tag == end.tag) {
                return Err(Failure::setup(format!("there is no worker for llama.cpp {}", end.tag)).help(
                    format!(
                        "build it, which takes some minutes: `intact tags build {}`; or name another release",
                        end.tag
                    ),
                ));
            }
        }
        let mut search = Search::over(between.len());
        for noted in &record.tried {
            if let Some(at) = between.iter().position(|release| release.tag == noted.release) {
                search.note(at, noted.is);
            }
        }
        if search.steps() > 0 {
            let tried = counted(search.steps(), "release was", "releases were");
            println!("{}: {tried} tried before", self.record.display());
        }
        let (last_good, first_bad) = loop {
            match search.next() {
                Ok(Step::Found { last_good, first_bad }) => break (last_good, first_bad),
                Ok(Step::Try(at)) => {
                    let answer = match ground.tree() {
                        Some(tree) => answer_of_commit(&question, tree, between[at])?,
                        None => answer(&question, &home, between[at], linked.as_ref())?,
                    };
                    println!("{:<8} {:<8} {}", between[at].tag, word(answer.tried), plain(&answer.evidence));
                    search.note(at, answer.tried);
                    record.tried.push(Noted {
                        release: between[at].tag.clone(),
                        is: answer.tried,
                        evidence: answer.evidence,
                    });
                    self.keep(&record)?;
                }
                Err(nothing) => {
                    let failure = Failure::setup(nothing)
                        .help("look at what stands above, and name other releases")
                        .exit(Exit::NoVerdict);
                    let hint = match &question {
                        Question::State(state) if nothing == NothingToFind::FirstFails => state.hint(),
                        _ => None,
                    };
                    return Err(hint.into_iter().fold(failure, Failure::also));
                }
            }
        };
        print!("{}", self.report(&record, &all, between[last_good], between[first_bad]));
        Ok(Exit::Fine)
    }

    /// What is searched.
    fn ground(&self) -> Result<Ground, Failure> {
        let Some(tree) = &self.tree else { return between(&self.good, &self.bad).map(Ground::Releases) };
        let build = self.build.as_deref().unwrap_or(commits::BUILD);
        let needs_worker = self.command.is_none();
        let (tree, commits) =
            commits::Tree::of(tree, [self.good.as_str(), self.bad.as_str()], build, needs_worker)?;
        Ok(Ground::Commits(tree, commits))
    }

    fn question(&self, good: &Release) -> Result<Question, Failure> {
        Ok(match (&self.file, &self.filter, &self.command) {
            (Some(file), ..) => {
                let model = self.model.clone().unwrap_or_default();
                Question::State(file::State::new(file, model, self.settings.clone())?)
            }
            (_, Some(filter), _) => {
                Question::Cells(cells::Cells::new(filter, &self.plan, &good.tag, self.model.as_deref())?)
            }
            (.., command) => Question::Program(command.clone().unwrap_or_default()),
        })
    }

    /// What is asked, in a line that tells one search from another.
    fn asked(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let parts = [
            Some(format!("{} to {}", self.good, self.bad)),
            self.file.as_deref().map(|file| format!("file {}", hash(file))),
            self.filter.as_ref().map(|filter| format!("plan {}, cells {filter}", self.plan)),
            self.command.as_ref().map(|command| format!("command {command}")),
            path(&self.model).map(|model| format!("model {model}")),
            path(&self.tree).map(|tree| format!("tree {tree}")),
            self.build.as_ref().map(|build| format!("build {build}")),
            Some(self.settings.to_string()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// What an earlier search of the same question found.
    fn kept(&self) -> Result<Record, Failure> {
        let fresh = Record { version: 1, what: WHAT.to_owned(), question: self.asked(), tried: Vec::new() };
        let Ok(bytes) = regular::read(&self.record) else { return Ok(fresh) };
        let foreign = || {
            Failure::setup(format!("{} is not a record of intact bisect", self.record.display()))
                .help("name another file with --record; nothing is overwritten")
        };
        let kept: Record = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        if kept.what != WHAT || kept.version != 1 {
            return Err(foreign());
        }
        if kept.question != fresh.question {
            return Err(Failure::setup(format!("{} is the record of another search", self.record.display()))
                .help("name another file with --record, or remove this one; nothing is overwritten")
                .also(format!("it was: {}", plain(&kept.question))));
        }
        // What could not be tried then may be at hand now.
        let tried = kept.tried.into_iter().filter(|noted| noted.is != Tried::Skipped).collect();
        Ok(Record { tried, ..kept })
    }

    fn keep(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(record).map_err(Failure::setup)?;
        let is_ours = |there: &[u8]| crate::files::contain(there, WHAT);
        replace_own(&self.record, text + "\n", is_ours)
            .map_err(|error| Failure::setup(format!("{} cannot be written: {error}", self.record.display())))
    }

    /// The end of a search, and a block for a bug report.
    fn report(&self, record: &Record, all: &[&Release], good: &Release, bad: &Release) -> String {
        let (one, what) = if self.tree.is_some() { ("commit", "commit") } else { ("release", "llama.cpp") };
        let evidence = |release: &Release| {
            record
                .tried
                .iter()
                .rev()
                .find(|noted| noted.release == release.tag)
                .map_or_else(String::new, |noted| plain(&noted.evidence))
        };
        let passed: Vec<&str> = all
            .iter()
            .map(|release| release.tag.as_str())
            .skip_while(|tag| *tag != good.tag)
            .skip(1)
            .take_while(|tag| *tag != bad.tag)
            .collect();
        let among = if passed.is_empty() {
            String::new()
        } else {
            let remedy = if self.tree.is_some() { "" } else { "; `intact tags build` compiles them" };
            format!(" Those between them could not be tried: {}{remedy}.", passed.join(", "))
        };
        let found = if passed.is_empty() {
            format!(
                "{what} {} is the first {one} that fails; {} is the last that does not.",
                bad.tag, good.tag
            )
        } else {
            format!("{what} {} works and {} fails: it broke between them.", good.tag, bad.tag)
        };
        let words: Vec<String> =
            super::selection::command_line().iter().map(|word| program::quoted(word)).collect();
        format!(
            "\n{found}{among} {} of {} {one}s were tried.\n\n\
             For a bug report:\n\n\
             - first {one} that is known to fail: {} ({}; {})\n\
             - last {one} that is known to work: {} ({})\n\
             - with {}: {}\n\
             - with {}: {}\n\
             - command: `{}`\n",
            record.tried.len(),
            all.len(),
            bad.tag,
            bad.published,
            plain(&bad.note),
            good.tag,
            good.published,
            good.tag,
            evidence(good),
            bad.tag,
            evidence(bad),
            plain(&words.join(" ")),
        )
    }
}

/// What is in a file, as far as telling it from others goes.
fn hash(file: &Path) -> String {
    regular::read(file)
        .map_or_else(|_| "that cannot be read".to_owned(), |bytes| blake3::hash(&bytes).to_hex().to_string())
}

/// The releases from the one to the other, in llama.cpp's own order: packages carry them in another.
fn between(good: &str, bad: &str) -> Result<Vec<&'static Release>, Failure> {
    let (good, bad) = (release(good)?, release(bad)?);
    let mut ordered: Vec<&Release> = releases().iter().collect();
    ordered.sort_by(|one, other| compare_versions(&one.tag, &other.tag).unwrap_or(Ordering::Equal));
    let place = |of: &Release| ordered.iter().position(|release| release.tag == of.tag).unwrap_or_default();
    let (first, last) = (place(&good), place(&bad));
    if first >= last {
        return Err(Failure::setup(format!("{} does not come after {}", bad.tag, good.tag))
            .help("the older release comes first; `intact tags list` shows them all"));
    }
    Ok(ordered[first..=last].to_vec())
}

/// Whether a release can be tried in seconds: its worker is here, or a package carries its libraries.
fn is_at_hand(home: &Path, release: &Release, linked: Option<&Linked>) -> bool {
    release.npm.is_some() || here(home, release, linked).is_some()
}

/// The command line of a release's worker, where one is here.
fn here(home: &Path, release: &Release, linked: Option<&Linked>) -> Option<Vec<String>> {
    tags::worker_command(home, release).or_else(|| linked?.command_of(release))
}

/// What one release says; one that has no worker here, and none that can be fetched, cannot be tried.
fn answer(
    question: &Question,
    home: &Path,
    release: &Release,
    linked: Option<&Linked>,
) -> Result<Answer, Failure> {
    let skipped = |evidence: String| Ok(Answer { tried: Tried::Skipped, evidence });
    let command = match here(home, release, linked) {
        Some(command) => command,
        None => match tags::fetch(home, release, OFFICIAL) {
            Err(error) => return skipped(error.to_string()),
            Ok(_) => match tags::worker_command(home, release) {
                Some(command) => command,
                None => {
                    return skipped(
                        "the worker that opens libraries, intact-worker-loaded, is not beside this command"
                            .into(),
                    );
                }
            },
        },
    };
    asked(question, &Candidate { release, command })
}

/// What one commit says; one that does not build cannot be tried.
fn answer_of_commit(question: &Question, tree: &commits::Tree, commit: &Release) -> Result<Answer, Failure> {
    match tree.command(commit)? {
        Ok(command) => asked(question, &Candidate { release: commit, command }),
        Err(evidence) => Ok(Answer { tried: Tried::Skipped, evidence }),
    }
}

fn asked(question: &Question, candidate: &Candidate<'_>) -> Result<Answer, Failure> {
    match question {
        Question::State(state) => state.ask(candidate),
        Question::Cells(cells) => cells.ask(candidate),
        Question::Program(program) => program::ask(program, candidate),
    }
}

const fn word(tried: Tried) -> &'static str {
    match tried {
        Tried::Good => "good",
        Tried::Bad => "bad",
        Tried::Skipped => "skipped",
    }
}
