//! Commits of a source tree of llama.cpp, in place of releases: each is built where it is tried.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::program::{no_shell, shell};
use crate::command::Failure;
use crate::command::libraries::UNOPENED;
use crate::command::table::plain;
use crate::fleeting::FleetingFolder;
use crate::tags::{self, Release};

/// Builds the shared libraries of llama.cpp. What is built stays for the next commit.
pub(super) const BUILD: &str = "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF && cmake --build build --target llama --parallel";
/// Where a build puts its libraries, below its folder.
const BELOW: [&str; 4] = ["build/bin", "lib", "bin", ""];
/// Digits of a commit's name.
const DIGITS: usize = 12;

/// A copy of a tree, in which commits are built. It shares the history, and nothing is changed in the tree itself.
pub(super) struct Tree {
    folder: FleetingFolder,
    build: String,
    /// Whether workers are asked, and not only a program of the user's.
    needs_worker: bool,
}

impl Tree {
    /// The copy, and the commits from the one to the other, oldest first, along first parents.
    pub(super) fn of(
        tree: &Path,
        [good, bad]: [&str; 2],
        build: &str,
        needs_worker: bool,
    ) -> Result<(Self, Vec<Release>), Failure> {
        let folder = FleetingFolder::make(&std::env::temp_dir()).map_err(Failure::setup)?;
        let here = Self { folder, build: build.to_owned(), needs_worker };
        let [good, bad] = [good, bad].map(|name| commit(tree, name));
        let (good, bad) = (good?, bad?);
        let range = format!("{good}..{bad}");
        let listed = git(
            tree,
            &["log", "--first-parent", "--ancestry-path", "--reverse", "--format=%H %cs %s", &range, "--"],
        )?;
        let first = git(tree, &["log", "-1", "--format=%H %cs %s", &good, "--"])?;
        let commits: Vec<Release> = first.lines().chain(listed.lines()).filter_map(release).collect();
        if commits.len() < 2 || !commits.last().is_some_and(|last| bad.starts_with(&last.tag)) {
            return Err(Failure::setup(format!("{} does not come after {}", short(&bad), short(&good)))
                .help("the older commit comes first, and the newer one has it among its ancestors"));
        }
        let source = std::path::absolute(tree).map_err(Failure::setup)?;
        let copy = here.copy().display().to_string();
        let source = source.display().to_string();
        git(tree, &["clone", "--quiet", "--shared", "--no-checkout", "--", &source, &copy])?;
        Ok((here, commits))
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// The command line of a commit's worker, or only its libraries; or why it cannot be tried.
    pub(super) fn command(&self, release: &Release) -> Result<Result<Vec<String>, String>, Failure> {
        git(&self.copy(), &["checkout", "--quiet", "--force", "--detach", &release.tag])?;
        let built = shell(&self.build).current_dir(self.copy()).output().map_err(no_shell)?;
        if !built.status.success() {
            return Ok(Err(format!("it does not build: {}", last_line(&built))));
        }
        let places = BELOW.iter().map(|below| self.copy().join(below));
        let Some(library) = places.into_iter().find(|place| has_library(place)) else {
            return Ok(Err("its build leaves no libllama".to_owned()));
        };
        if !self.needs_worker {
            return Ok(Ok(vec![library.display().to_string()]));
        }
        let home = self.folder.path().join("home");
        let name = format!("commit-{}", short(&release.tag));
        Ok(match tags::add(&home, &library, Some(&name), &[]) {
            Ok(addition) => tags::worker_command(&home, &addition.release).ok_or_else(|| UNOPENED.to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }
}

/// A commit as one of many that are searched: its short name, its day and its first line.
fn release(line: &str) -> Option<Release> {
    let mut parts = line.splitn(3, ' ');
    let (hash, day, subject) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let published = day.parse().ok()?;
    Some(Release { published, note: subject.to_owned(), ..Release::unlisted(short(hash).to_owned()) })
}

fn short(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}

/// The whole name of a commit.
fn commit(tree: &Path, name: &str) -> Result<String, Failure> {
    let found =
        git(tree, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
    found.map(|hash| hash.trim().to_owned()).map_err(|_| {
        Failure::setup(format!("{} has no commit `{name}`", tree.display()))
            .help("name commits, branches or tags of that tree")
    })
}

fn git(folder: &Path, words: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(words)
        .output()
        .map_err(|error| Failure::setup(format!("git could not be started: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::setup(format!("git {} failed in {}: {}", words[0], folder.display(), last_line(&output))))
}

/// The last thing that a program said.
fn last_line(output: &Output) -> String {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(|| output.status.to_string(), plain)
}

fn has_library(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| ["libllama.", "llama.dll"].iter().any(|start| name.starts_with(start)))
}
