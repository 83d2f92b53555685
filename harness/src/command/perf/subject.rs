//! A worker as it is named on the command line: a program with arguments, or a llama.cpp release.

use std::path::Path;

use intact_base::tool;

use clap::Args;

use super::Failure;
use crate::tags;

/// Two workers that are compared.
#[derive(Debug, Args)]
pub(super) struct Sides {
    /// What to compare with: a worker program, in quotes with its arguments, or the tag of a llama.cpp release
    #[arg(value_name = "BASE")]
    pub(super) base: String,

    /// The worker in question, given in the same way
    #[arg(value_name = "CANDIDATE")]
    pub(super) candidate: String,
}

/// The name and the command line of a worker.
pub(super) fn resolve(given: &str) -> Result<(String, Vec<String>), Failure> {
    let named = |command: Vec<String>| Ok((given.to_owned(), command));
    if Path::new(given).is_file() {
        return named(vec![given.to_owned()]);
    }
    let words: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
    if let Some(program) = words.first()
        && (words.len() > 1 || program.contains(std::path::MAIN_SEPARATOR))
    {
        return if is_program(program) {
            named(words)
        } else {
            Err(Failure::setup(format!("there is no worker {program}")).help(
                "give a worker program, or the tag of a llama.cpp release; `intact tags list` lists them",
            ))
        };
    }
    let releases = tags::select(&[given.to_owned()], tags::default_home().as_deref()).map_err(|error| {
        Failure::setup(format!("{given} is neither a worker program nor a release: {error}"))
    })?;
    let home = tags::default_home().ok_or_else(|| {
        Failure::setup("no home folder is known")
            .help("set INTACT_HOME to the folder that intact keeps its files in")
    })?;
    let built = releases.first().and_then(|release| tags::worker_command(&home, release));
    let worker = built.ok_or_else(|| {
        Failure::setup(format!("there is no worker for llama.cpp {given}"))
            .help(format!("get it with `intact tags fetch {given}` or `intact tags build {given}`"))
    })?;
    named(worker)
}

/// Whether a program is there: as a file, or by its name in the search path.
fn is_program(program: &str) -> bool {
    let bare = !program.contains(std::path::MAIN_SEPARATOR);
    Path::new(program).is_file() || bare && tool::in_search_path(program).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_arguments_and_what_is_missing_is_named() {
        let own = std::env::current_exe().expect("this program").display().to_string();
        let (name, command) = resolve(&own).expect("a program");
        assert_eq!((name, command), (own.clone(), vec![own.clone()]));
        let (_, command) = resolve(&format!("{own} --slow-load 10%")).expect("with arguments");
        assert_eq!(command, [own.as_str(), "--slow-load", "10%"]);
        assert_eq!(resolve("sh -c true").expect("in the search path").1[0], "sh");
        for (wrong, told) in [
            ("./no-such-worker", "there is no worker ./no-such-worker"),
            ("no-such-worker --x", "there is no worker no-such-worker"),
            ("b1", "b1 is neither a worker program nor a release"),
        ] {
            let failure = resolve(wrong).expect_err(wrong).to_string();
            assert!(failure.contains(told), "{failure}");
        }
    }
}
