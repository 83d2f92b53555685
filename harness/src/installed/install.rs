//! Installing a subject: fetch what it needs into its folder, put the adapter beside it, ask it who it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

use intact_format::regular;
use intact_protocol::Hello;
use thiserror::Error;

use super::{Adapter, Installed, NameError, Record, Source, SubjectName, adapters, is_part};
use crate::files::write_whole;
use crate::nearest::nearest;
use crate::worker::{Worker, WorkerError};
use intact_base::tool;

/// What is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `name@version`; the version may be left out where the subject itself tells it.
    pub name: String,
    /// The program, for a subject that is one.
    pub program: Option<PathBuf>,
    /// A command line that speaks the protocol, for a subject without an adapter.
    pub command: Vec<String>,
}

/// Told how an installation goes.
pub trait Progress {
    /// A step begins.
    fn step(&self, what: &str);
}

/// Why a subject could not be installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// Its name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no adapter for it.
    #[error("there is no adapter for `{name}`; {hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
    /// Something was left out that this kind of subject needs.
    #[error("{0}")]
    Incomplete(String),
    /// A program that installs it failed.
    #[error("`{command}` failed ({status}):\n{log}")]
    Step {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        log: String,
    },
    /// It was brought and cannot be used.
    #[error("its worker cannot be used: {0}")]
    Worker(#[from] WorkerError),
    /// Something else is where it would go.
    #[error(
        "{} is neither empty nor the folder of an installed subject: nothing in it was changed. Remove it yourself, if \
         nothing in it is needed",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A file could not be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What says that a subject's folder is being filled.
const BEGUN: &str = ".being-installed";
const BEGUN_TEXT: &str = "intact is installing a subject into this folder\n";

/// Longest wait for the first answer: the first start may read a whole package.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of a failed step that are shown.
const SHOWN: usize = 30;

/// Installs a subject; one of that name that is there already is replaced.
///
/// # Errors
/// [`InstallError`]; nothing is installed then.
pub fn install(
    home: &Path,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<(Installed, Hello), InstallError> {
    let (name, version) = match wanted.name.split_once('@') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (wanted.name.as_str(), None),
    };
    if !is_part(name) {
        return Err(NameError(wanted.name.clone()).into());
    }
    let means = Means::of(name, wanted)?;
    let version = version.map_or_else(|| means.told_version(name, progress), Ok)?;
    let name: SubjectName = format!("{name}@{version}").parse()?;
    let folder = name.folder(home);
    let at = |source| InstallError::Io { path: folder.clone(), source };
    if !is_ours(&folder).map_err(at)? {
        return Err(InstallError::Foreign(folder));
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(at)?;
    }
    fs::create_dir_all(&folder).map_err(at)?;
    write_whole(&folder.join(BEGUN), BEGUN_TEXT).map_err(at)?;
    let brought = || {
        let adapter = means.adapter().map(|adapter| adapter.name.to_owned());
        let record = Record { version: 1, adapter, command: means.bring(&name, &folder, progress)? };
        let hello = greet(&record.command)?;
        let installed = Installed { name: name.clone(), folder: folder.clone(), record };
        installed.write().map_err(at)?;
        fs::remove_file(folder.join(BEGUN)).map_err(at)?;
        Ok((installed, hello))
    };
    let installed = brought();
    if installed.is_err() {
        // What has come so far is of no use, and can be large.
        let _left_behind = fs::remove_dir_all(&folder);
    }
    installed
}

/// Whether a folder is not there, empty, an installed subject's, or one whose installation did not come to its end.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let begun = || regular::read(folder.join(BEGUN)).is_ok_and(|text| text == BEGUN_TEXT.as_bytes());
    Ok(entries.next().is_none() || begun() || matches!(super::read(folder), Ok(Some(_))))
}

/// How a subject comes into its folder.
enum Means {
    Command(Vec<String>),
    Program(&'static Adapter, PathBuf),
    Package(&'static Adapter),
}

impl Means {
    fn of(name: &str, wanted: &Wanted) -> Result<Self, InstallError> {
        if !wanted.command.is_empty() {
            return Ok(Self::Command(wanted.command.iter().map(|word| from_anywhere(word)).collect()));
        }
        let adapter = Adapter::named(name).ok_or_else(|| unknown(name))?;
        match (adapter.source, &wanted.program) {
            (Source::Program, Some(program)) => {
                let found = fs::canonicalize(program);
                let program = found.map_err(|source| InstallError::Io { path: program.clone(), source })?;
                Ok(Self::Program(adapter, program))
            }
            (Source::Program, None) => Err(InstallError::Incomplete(format!(
                "`{name}` is a program that you have: say where it is with --bin PATH"
            ))),
            (Source::Npm { .. } | Source::Pip | Source::Wheel { .. }, _) => Ok(Self::Package(adapter)),
        }
    }

    fn adapter(&self) -> Option<&'static Adapter> {
        match self {
            Self::Command(_) => None,
            Self::Program(adapter, _) | Self::Package(adapter) => Some(adapter),
        }
    }

    /// The version that the subject tells of itself.
    fn told_version(&self, name: &str, progress: &dyn Progress) -> Result<String, InstallError> {
        if matches!(self, Self::Package(_)) {
            return Err(InstallError::Incomplete(format!(
                "say which version of `{name}`: intact subjects add {name}@VERSION"
            )));
        }
        let scratch =
            tempfile::tempdir().map_err(|source| InstallError::Io { path: std::env::temp_dir(), source })?;
        let asked = SubjectName { name: name.to_owned(), version: "asked".to_owned() };
        let command = self.bring(&asked, scratch.path(), progress)?;
        let told = greet(&command)?.version;
        let kept = |character: &char| is_part(&format!("0{character}"));
        Ok(told.chars().filter(kept).collect())
    }

    /// Puts everything that it needs into its folder and gives the command line of its worker.
    fn bring(
        &self,
        name: &SubjectName,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, InstallError> {
        if let Some(adapter) = self.adapter() {
            let unpacked = adapter.unpack(folder);
            unpacked.map_err(|source| InstallError::Io { path: folder.to_owned(), source })?;
        }
        Ok(match self {
            Self::Command(command) => command.clone(),
            Self::Program(adapter, program) => vec![
                adapter.interpreter.to_owned(),
                adapter.main(folder),
                "--bin".to_owned(),
                program.display().to_string(),
            ],
            Self::Package(adapter) => {
                let interpreter = fetch(adapter, name, folder, progress)?;
                let mut command = vec![interpreter.clone(), adapter.main(folder)];
                if let Source::Wheel { launcher } = adapter.source {
                    command.extend(["--subject".to_owned(), adapter.name.to_owned(), "--bin".to_owned()]);
                    command.extend([interpreter, Adapter::file(launcher, folder)]);
                }
                command
            }
        })
    }
}

/// Fetches a package into the folder and gives the interpreter that finds it there.
fn fetch(
    adapter: &Adapter,
    name: &SubjectName,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<String, InstallError> {
    let SubjectName { name, version } = name;
    match adapter.source {
        Source::Npm { platforms } => {
            progress.step(&format!("fetching {name} {version} with npm"));
            let packages = [format!("{name}@{version}"), format!("{platforms}/{}@{version}", npm_platform())];
            // Its scripts would fetch or compile another llama.cpp; the optional packages are for other platforms.
            let flags =
                ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            let place = ["install".as_ref(), "--prefix".as_ref(), folder.as_os_str()];
            carry_out(Command::new("npm").args(place).args(flags).args(packages))?;
            Ok(adapter.interpreter.to_owned())
        }
        Source::Pip | Source::Wheel { .. } => {
            let (environment, python) = (folder.join("venv"), folder.join("venv/bin/python"));
            progress.step("making a Python environment");
            let arguments: [&OsStr; 3] = ["-m".as_ref(), "venv".as_ref(), environment.as_ref()];
            carry_out(Command::new(adapter.interpreter).args(arguments))?;
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            if adapter.source == Source::Pip {
                progress
                    .step(&format!("fetching and compiling {name} {version} with pip, which takes a while"));
            } else {
                progress.step(&format!("fetching {name} {version} with pip"));
                pip.arg("--only-binary=:all:");
            }
            carry_out(pip.arg(format!("{name}=={version}")))?;
            Ok(python.display().to_string())
        }
        Source::Program => Ok(adapter.interpreter.to_owned()),
    }
}

/// The npm platform of this machine, as packages of prebuilt programs name it.
fn npm_platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "mac",
        "windows" => "win",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let metal = if (os, arch) == ("mac", "arm64") { "-metal" } else { "" };
    format!("{os}-{arch}{metal}")
}

fn carry_out(command: &mut Command) -> Result<(), InstallError> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let failed = |status: String, log: String| InstallError::Step { command: line.clone(), status, log };
    let output = command.stdin(Stdio::null()).output();
    let program = command.get_program().to_owned();
    let output = output.map_err(|error| {
        let remedy = tool::remedy(Path::new(&program), &error);
        failed(error.to_string(), remedy.unwrap_or_else(|| "is it installed?".to_owned()))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Err(failed(output.status.to_string(), lines[lines.len().saturating_sub(SHOWN)..].join("\n")))
}

/// Asks a worker who it is; it must pass the compliance probe.
fn greet(command: &[String]) -> Result<Hello, WorkerError> {
    let (worker, hello) = Worker::start(command, PATIENCE)?;
    worker.leave(PATIENCE);
    Ok(hello)
}

/// A word of a command line. A file that it names must be found from other folders too.
fn from_anywhere(word: &str) -> String {
    let file = Path::new(word);
    let named = file.is_file() && word.contains(std::path::MAIN_SEPARATOR);
    let absolute = named.then(|| std::path::absolute(file).ok()).flatten();
    absolute.map_or_else(|| word.to_owned(), |file| file.display().to_string())
}

fn unknown(name: &str) -> InstallError {
    let known: Vec<&str> = adapters().iter().map(|adapter| adapter.name).collect();
    let near = nearest(name, &known).map(|near| format!("did you mean `{near}`?"));
    let hint = near.unwrap_or_else(|| {
        format!(
            "there is one for {}. A program of yours that speaks the protocol: intact subjects add {name} -- COMMAND",
            known.join(", ")
        )
    });
    InstallError::Unknown { name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Progress for Silent {
        fn step(&self, _what: &str) {}
    }

    fn wanted(name: &str, command: &[&str]) -> Wanted {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Wanted { name: name.to_owned(), program: None, command }
    }

    #[test]
    fn nothing_is_left_of_a_subject_whose_worker_cannot_be_used() {
        let home = tempfile::tempdir().expect("a folder");
        let refused = install(home.path(), &wanted("mine@1", &["true"]), &Silent);
        assert!(matches!(refused, Err(InstallError::Worker(_))), "{refused:?}");
        assert!(!home.path().join("mine/1").exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("mine/1");
        fs::create_dir_all(&folder).expect("made");
        for (name, text, ours) in [
            ("notes.txt", "mine", false),
            (super::super::RECORD, "a = 1", false),
            (BEGUN, "mine", false),
            (BEGUN, BEGUN_TEXT, true),
        ] {
            fs::write(folder.join(name), text).expect("written");
            let refused = install(home.path(), &wanted("mine@1", &["true"]), &Silent);
            assert_eq!(!matches!(refused, Err(InstallError::Foreign(_))), ours, "{name}: {refused:?}");
            assert_eq!(folder.join(name).exists(), !ours, "{name}");
        }
    }

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused_before_anything_is_started() {
        let home = tempfile::tempdir().expect("a folder");
        for name in ["../mine", "..", "mine/1@1", ""] {
            let refused = install(home.path(), &wanted(name, &["true"]), &Silent);
            assert!(matches!(refused, Err(InstallError::Name(_))), "{name}: {refused:?}");
        }
    }

    #[test]
    fn files_of_a_command_are_found_from_other_folders() {
        assert!(Path::new(&from_anywhere("src/lib.rs")).is_absolute());
        for word in ["python3", "Cargo.toml", "--bin", "src/nowhere.rs"] {
            assert_eq!(from_anywhere(word), word);
        }
    }
}
