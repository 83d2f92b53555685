//! Which programs of others may be started.
//!
//! A configuration names the command lines of its subjects. One that lies in a run's folder, a bundle or a bucket was written
//! by whoever made that, and its command lines would run as whoever opens it. So they are shown, and started only after
//! `--trust`, which is remembered for that place and exactly these command lines: other ones are asked about again. What a
//! user runs from a configuration of their own is theirs, and remembered for the folder that it writes, so that going on
//! with it asks nothing. intact's own worker needs no trust: what it can be told here is what it saves and loads.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use intact_base::tool;
use intact_format::regular;
use serde::Serialize;
use thiserror::Error;

use crate::config::Config;
use crate::files::put;
use crate::folder::RUN;
use crate::home;
use crate::text;

/// Name of the engine's worker program.
pub(crate) const WORKER: &str = "intact-worker";
/// Options with which it saves and loads, and does nothing else.
const OPTIONS: [&str; 4] = ["--subject", "--container", "--slow-load", "--damage"];
/// Records that are kept without looking whether their folders are still there.
const KEPT: usize = 200;

/// What the user says of programs that others name.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// They may be started.
    pub given: bool,
    /// Where it is remembered that they may; nowhere if not given.
    pub home: Option<PathBuf>,
}

impl Trust {
    /// What has been said before holds, and nothing more.
    #[must_use]
    pub fn remembered() -> Self {
        Self { given: false, home: default_home() }
    }

    /// Whatever is named may be started, and nothing is remembered.
    #[must_use]
    pub fn given() -> Self {
        Self { given: true, home: None }
    }
}

/// The folder in which trust is remembered: `$INTACT_HOME/trusted`, else `~/.cache/intact/trusted`. `None` where no home
/// folder is known.
#[must_use]
pub fn default_home() -> Option<PathBuf> {
    home::folder("trusted")
}

/// What somebody else may have written: where it lies, and the worker that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The folder, or the URL that it was fetched from.
    pub place: String,
    /// The program that takes the place of every `intact-worker`.
    pub worker: Option<PathBuf>,
}

/// The programs that a configuration starts, without intact's own worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Programs(Vec<Program>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Program {
    /// Whose worker it is.
    subject: String,
    command: Vec<String>,
    /// Variables of the environment that it is given besides the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<String>,
}

/// Programs that are not trusted. They have not been started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place} names programs that you have not said you trust, and they were not started:\n{programs}")]
pub struct Untrusted {
    place: String,
    programs: Programs,
}

/// Proof that whatever a configuration names may be started.
#[derive(Debug)]
pub(crate) struct Admitted(());

impl Programs {
    /// Those of a configuration, with the worker that takes the place of intact's own.
    pub(crate) fn of(config: &Config, worker: Option<&Path>) -> Self {
        let named = config.subjects.iter().filter(|subject| {
            let commanded = !subject.command.is_empty() && !is_own(&subject.command);
            // What is installed was installed here; what it is given besides is the configuration's.
            commanded || !subject.pass_env.is_empty()
        });
        let named = named.map(|subject| Program {
            subject: subject.name.clone(),
            command: subject.command.clone(),
            environment: subject.pass_env.clone(),
        });
        let worker = worker.filter(|path| !is_beside(path)).map(|path| Program {
            subject: WORKER.into(),
            command: vec![path.display().to_string()],
            environment: Vec::new(),
        });
        Self(named.chain(worker).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the record that they are trusted at a place.
    fn digest(&self, place: &str) -> String {
        let json = serde_json::to_string(&(place, &self.0)).unwrap_or_default();
        blake3::hash(json.as_bytes()).to_hex().to_string()
    }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, program) in self.0.iter().enumerate() {
            let words: Vec<String> = program.command.iter().map(|word| text::quoted(word)).collect();
            let what = if words.is_empty() { "what is installed".to_owned() } else { words.join(" ") };
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}  {}: {}", text::line(&program.subject), text::line(&what))?;
            if !program.environment.is_empty() {
                write!(f, ", with {}", text::line(&program.environment.join(", ")))?;
            }
        }
        Ok(())
    }
}

/// Makes sure that what a configuration names may be started: it is the user's own, intact's own worker, or trusted.
pub(crate) fn admit(
    trust: &Trust,
    foreign: Option<&Foreign>,
    programs: &Programs,
) -> Result<Admitted, Untrusted> {
    let Some(Foreign { place, .. }) = foreign.filter(|_| !programs.is_empty()) else {
        return Ok(Admitted(()));
    };
    if trust.given {
        remember(trust, place, programs);
        return Ok(Admitted(()));
    }
    let record = trust.home.as_ref().map(|home| home.join(programs.digest(place)));
    if record.is_some_and(|record| fs::symlink_metadata(record).is_ok_and(|there| there.is_file())) {
        return Ok(Admitted(()));
    }
    Err(Untrusted { place: place.clone(), programs: programs.clone() })
}

/// Remembers that these programs may be started where a configuration at this place names them. Where that cannot be
/// written, the user is asked again.
pub(crate) fn remember(trust: &Trust, place: &str, programs: &Programs) {
    if let Some(home) = trust.home.as_ref().filter(|_| !programs.is_empty()) {
        let _asked_again = write(home, place, programs);
    }
}

fn write(home: &Path, place: &str, programs: &Programs) -> io::Result<()> {
    fs::create_dir_all(home)?;
    tidy(home)?;
    put(&home.join(programs.digest(place)), |part| fs::write(part, format!("{place}\n{programs}\n")))
}

/// Of many records, those whose folders are gone are removed.
fn tidy(home: &Path) -> io::Result<()> {
    let records: Vec<PathBuf> = fs::read_dir(home)?.flatten().map(|entry| entry.path()).collect();
    for record in records.iter().filter(|_| records.len() > KEPT) {
        let told = regular::read_text(record).unwrap_or_default();
        let place = Path::new(told.lines().next().unwrap_or_default());
        if place.is_absolute() && !place.exists() {
            fs::remove_file(record)?;
        }
    }
    Ok(())
}

/// A folder as the place of what somebody else may have written.
pub(crate) fn place_of(folder: &Path) -> String {
    let whole = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    whole.unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

/// A place where parts are kept, whichever way a folder is written.
pub(crate) fn place_at(address: &str) -> String {
    let folder = address.strip_prefix("file://").unwrap_or(address);
    if folder.contains("://") { address.to_owned() } else { place_of(Path::new(folder)) }
}

/// Where the configuration at a path comes from, if not from the user: it lies in a run's folder, whoever named it; or nobody
/// named it and it is another user's.
pub(crate) fn foreign(config: &Path, named: bool) -> Option<Foreign> {
    let folder = crate::files::folder_of(config);
    let in_a_run = folder.join(RUN).symlink_metadata().is_ok();
    let theirs = !named && !is_ours(config);
    (in_a_run || theirs).then(|| Foreign { place: place_of(folder), worker: None })
}

/// Whether a path leads to the configuration of the working folder, and that is the user's own.
pub(crate) fn is_of_the_working_folder(config: &Path) -> bool {
    let here = Path::new("intact.toml").canonicalize();
    let same = matches!((config.canonicalize(), here), (Ok(config), Ok(here)) if config == here);
    same && foreign(Path::new("intact.toml"), false).is_none()
}

#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|there| there.uid() == own || there.uid() == 0)
}

#[cfg(not(unix))]
fn is_ours(_path: &Path) -> bool {
    true
}

/// Whether a command line is intact's own worker, told nothing but how to save and load.
fn is_own(command: &[String]) -> bool {
    let [program, arguments @ ..] = command else { return false };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-%._".contains(&byte));
    let pairs = arguments.chunks(2).all(|pair| {
        matches!(pair, [option, value] if OPTIONS.contains(&option.as_str()) && plain(value) && !value.starts_with('-'))
    });
    program == WORKER && pairs
}

/// Whether it is the worker that came with this command.
fn is_beside(path: &Path) -> bool {
    let same = |own: PathBuf| Some(own.canonicalize().ok()? == path.canonicalize().ok()?);
    tool::beside(WORKER).and_then(same).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(command: &[&str]) -> Programs {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let program = Program { subject: "engine".into(), command, environment: Vec::new() };
        Programs(vec![program])
    }

    fn foreign_at(place: &str) -> Foreign {
        Foreign { place: place.into(), worker: None }
    }

    #[test]
    fn what_is_not_trusted_is_shown_and_trust_is_of_a_place_and_of_what_was_shown() {
        let home = tempfile::tempdir().expect("a folder");
        let asked = Trust { given: false, home: Some(home.path().join("trusted")) };
        let given = Trust { given: true, ..asked.clone() };
        let (here, there) = (foreign_at("/here"), foreign_at("/there"));
        let evil = programs(&["sh", "-c", "id > \u{1b}[2Jx; true"]);
        let told = admit(&asked, Some(&here), &evil).expect_err("nobody trusts it").to_string();
        assert!(told.contains("/here") && told.contains("engine: sh -c 'id > \u{fffd}[2Jx; true'"), "{told}");
        assert!(admit(&asked, None, &evil).is_ok(), "what is the user's own is not asked about");
        assert!(admit(&given, Some(&here), &evil).is_ok());
        assert!(admit(&asked, Some(&here), &evil).is_ok(), "it is remembered");
        assert!(admit(&asked, Some(&there), &evil).is_err(), "for that place");
        assert!(admit(&asked, Some(&here), &programs(&["sh", "-c", "rm -rf ~"])).is_err(), "and these words");
        assert!(admit(&Trust::default(), Some(&here), &evil).is_err());
    }

    #[test]
    fn only_the_worker_that_saves_and_loads_is_our_own() {
        for (command, own) in [
            (&["intact-worker"][..], true),
            (&["intact-worker", "--subject", "blind", "--container", "whole-state"], true),
            (&["intact-worker", "quantize", "/etc/passwd", "/home/me/.bashrc", "f16"], false),
            (&["intact-worker", "--subject", "quantize"], true),
            (&["intact-worker", "--subject"], false),
            (&["intact-worker", "--subject=blind"], false),
            (&["intact-worker", "--subject", "--help"], false),
            (&["intact-worker", "--log", "x"], false),
            (&["./intact-worker"], false),
            (&["/tmp/intact-worker"], false),
            (&["sh", "-c", "intact-worker"], false),
            (&[], false),
        ] {
            let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(is_own(&words), own, "{command:?}");
        }
    }

    #[test]
    fn a_configuration_in_a_runs_folder_is_nobodys_own_and_one_beside_no_run_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("intact.toml");
        fs::write(&config, "").expect("written");
        assert_eq!(foreign(&config, true), None);
        assert_eq!(foreign(&config, false), None);
        fs::write(folder.path().join(RUN), "").expect("written");
        for named in [false, true] {
            assert_eq!(foreign(&config, named), Some(foreign_at(&place_of(folder.path()))));
        }
    }
}
