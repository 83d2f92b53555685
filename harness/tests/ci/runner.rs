//! A runner of steps: a folder, stubs in the search path, and GitHub's files for outputs, environment and summary.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::document::{Script, expressions};

/// Where steps run.
pub(crate) struct Runner {
    folder: TempDir,
    /// What expressions stand for.
    pub(crate) context: BTreeMap<String, String>,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) said: String,
}

/// Answers as `intact` does, and notes how it was called. It ends as `$CODE_OF_<subcommand>` says.
const INTACT: &str = r#"#!/bin/bash
printf '%s\n' "$*" >>"$CALLS"
code=CODE_OF_$1
out=
for ((i = 1; i <= $#; i++)); do
    if [ "${!i}" = --out ]; then next=$((i + 1)); out=${!next}; fi
    if [ "${!i}" = --markdown ]; then next=$((i + 1)); echo '# What this does' >"${!next}"; fi
done
case $1 in
plan) echo '{"include":[{"partition":"1/2","artifact":"1-of-2"},{"partition":"2/2","artifact":"2-of-2"}]}' ;;
run | consume | merge) if [ -z "$WITHOUT_RESULTS" ]; then mkdir -p "$out" && echo '{}' >"$out/results.json"; fi ;;
produce) mkdir -p "$out" ;;
perf) mkdir -p "$out" && echo '| speed |' >"$out/perf.md" ;;
report) echo "a report" ;;
esac
exit "${!code:-0}"
"#;

const GH: &str = r#"#!/bin/bash
printf 'gh %s\n' "$*" >>"$CALLS"
printf '%s\n' "$GH_TOKEN" >"${CALLS%calls}token-of-gh"
case "$*" in *"--body-file -"*) cat >"${CALLS%calls}body" ;; esac
case "$*" in *--edit-last*) exit "${CODE_OF_EDIT:-0}" ;; esac
exit "${CODE_OF_COMMENT:-0}"
"#;

impl Runner {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("bin/intact", INTACT), ("bin/gh", GH)] {
            write_program(&folder.path().join(name), text);
        }
        for part in ["work", "temp", "home"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        Self { folder, context: BTreeMap::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is in a file of the working folder, or of GitHub's; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The calls of the stubs so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.text("calls").lines().map(str::to_owned).collect()
    }

    pub(crate) fn set(&mut self, expression: &str, value: impl Into<String>) {
        self.context.insert(expression.to_owned(), value.into());
    }

    /// Runs a script as GitHub's bash does, with more environment, and takes its outputs into the context.
    pub(crate) fn run(&mut self, script: &Script, more: &[(&str, &str)]) -> Ended {
        let search =
            format!("{}:{}", self.path("bin").display(), std::env::var("PATH").expect("a search path"));
        let own = script.environment.iter().map(|(name, value)| (name.clone(), self.evaluated(value)));
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script.script])
            .current_dir(self.path("work"))
            .env("PATH", search)
            .env("HOME", self.path("home"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("CALLS", self.path("calls"))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_ENV", self.path("environment"))
            .env("GITHUB_PATH", self.path("search-path"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .envs(own)
            .envs(more.iter().copied())
            .output()
            .expect("bash runs");
        for line in self.text("output").lines() {
            let (name, value) = line.split_once('=').expect("name=value");
            self.set(&format!("steps.{}.outputs.{name}", script.id), value);
        }
        let _none = fs::remove_file(self.path("output"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code().expect("it ends by itself"),
            said: text(&output.stdout) + &text(&output.stderr),
        }
    }

    /// A text with its expressions replaced by what they stand for.
    pub(crate) fn evaluated(&self, text: &str) -> String {
        expressions(text).into_iter().fold(text.to_owned(), |text, expression| {
            let value = self.context.get(&expression);
            let value = value.unwrap_or_else(|| panic!("the test knows no value for `{expression}`"));
            text.replacen(&format!("${{{{ {expression} }}}}"), value, 1)
        })
    }
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}
