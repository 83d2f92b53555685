//! A bundle that plays one cell of a run again, anywhere, from what that run read.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::regular;

use super::{Progress, RunError, RunOptions, is_same, produce};
use crate::config::Config;
use crate::files::write_whole;
use crate::filter::Matcher;
use crate::folder::{CONFIG, FolderError, RESULTS, RunFolder};
use crate::quantity::as_expected;
use crate::results::{Cell, Results};
use crate::text::{code, markdown};
use crate::trust::Trust;

/// Largest model file that goes into a bundle unless it is asked for.
const LARGEST: u64 = 64 << 20;

/// What is to be bundled.
#[derive(Debug, Clone, Default)]
pub struct BundleOptions {
    /// The run's folder.
    pub from: PathBuf,
    /// The cell.
    pub cell: String,
    /// The folder of the bundle.
    pub out: PathBuf,
    /// Models go in whatever their size.
    pub with_models: bool,
    /// The program that takes the place of every `intact-worker`, where a session has to be saved again.
    pub worker: Option<PathBuf>,
    /// What the user says of programs that the run names.
    pub trust: Trust,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// What went into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Sessions of the run itself, in the bundle as the run read them.
    pub original: usize,
    /// Sessions that the run did not keep, saved again.
    pub saved_again: usize,
    /// Models that stayed where they are because of their size.
    pub models_left_out: Vec<PathBuf>,
    /// The command that plays the cell again.
    pub replay: PathBuf,
}

/// Bundles a cell: its sessions, the configuration, the models, and a command that plays it again without a network.
///
/// # Errors
/// [`RunError`].
pub fn bundle(options: &BundleOptions, progress: &dyn Progress) -> Result<Bundle, RunError> {
    let folder = RunFolder::open(&options.from)?;
    if is_same(&options.from, &options.out) {
        let message =
            format!("{} is the run itself: choose another folder with --out", options.out.display());
        return Err(RunError::Merge(message));
    }
    check_free(&options.out)?;
    let found = cell(&folder, &options.cell)?;
    let matcher = Matcher::Exact(options.cell.clone());
    let asked = RunOptions::of_folder(&options.from)?;
    let produced = produce(
        &RunOptions {
            out: options.out.clone(),
            filter: Some(format!("id({matcher})")),
            kept: Some(options.from.clone()),
            worker: options.worker.clone(),
            trust: options.trust.clone(),
            partition: None,
            from: Vec::new(),
            command: options.command.clone(),
            ..asked
        },
        progress,
    )?;
    let models_left_out = take_models_along(options)?;
    let write = |name: &str, text: String| {
        let path = options.out.join(name);
        write_whole(&path, text).map_err(failed(&path)).map(|()| path)
    };
    if let Some(cell) = &found {
        let json = serde_json::to_string_pretty(cell).map_err(|error| RunError::Merge(error.to_string()))?;
        write(CELL, json + "\n")?;
    }
    write(README, readme(&options.cell, found.as_ref(), &models_left_out))?;
    let replay = write(REPLAY, SCRIPT.to_owned())?;
    executable(&replay).map_err(failed(&replay))?;
    let original = produced.there;
    Ok(Bundle { original, saved_again: produced.sessions - original, models_left_out, replay })
}

const REPLAY: &str = "replay.sh";
const CELL: &str = "cell.json";
const README: &str = "README.md";
const MODELS: &str = "models";
/// What a bundle has besides a run's files.
const OWN: [&str; 4] = [REPLAY, CELL, README, MODELS];

/// A bundle is known by this text, so it stays as it is.
const SCRIPT: &str = "#!/bin/sh\n# Plays the cell again; arguments go to `intact consume`. INTACT names the command, INTACT_WORKER the worker.\n\
set -eu\ncd \"$(dirname \"$0\")\"\nexec \"${INTACT:-intact}\" consume --from . --out replay \"$@\"\n";

/// Makes sure that no file of somebody else's is in the way of those that only bundles have.
fn check_free(out: &Path) -> Result<(), FolderError> {
    RunFolder::check_free(out)?;
    let is_bundle = regular::read(out.join(REPLAY)).is_ok_and(|script| script == SCRIPT.as_bytes());
    let there = |name: &&&str| out.join(name).symlink_metadata().is_ok();
    match OWN.iter().find(there).filter(|_| !is_bundle) {
        Some(name) => {
            let found = format!("its {name} is none of a bundle's");
            Err(FolderError::Foreign { path: out.to_owned(), found })
        }
        None => Ok(()),
    }
}

/// What the run says of the cell. It must be one of its cells.
fn cell(folder: &RunFolder, id: &str) -> Result<Option<Cell>, RunError> {
    let planned = folder.plan()?;
    if !planned.cells.iter().any(|cell| cell.id == id) {
        let ids: Vec<&str> = planned.cells.iter().map(|cell| cell.id.as_str()).collect();
        let near = crate::nearest::nearest(id, &ids).map(|near| format!("; did you mean {near}?"));
        let message = format!("{} has no cell {id}{}", folder.path().display(), near.unwrap_or_default());
        return Err(RunError::Merge(message));
    }
    let results = folder.file(RESULTS);
    if results.is_file() {
        let results = Results::read(&results)?;
        return Ok(results.cells.into_iter().find(|cell| cell.id == id));
    }
    Ok(None)
}

/// Copies model files into the bundle and lets its configuration name the copies. Fixtures are made on the spot.
fn take_models_along(options: &BundleOptions) -> Result<Vec<PathBuf>, RunError> {
    let folder = RunFolder::open(&options.out)?;
    let mut manifest = folder.manifest()?;
    let path = folder.file(CONFIG);
    let mut config = Config::read(&path)?;
    let mut left_out = Vec::new();
    let configured = config.models.iter_mut().filter_map(|model| model.path.as_mut());
    for (number, model) in configured.chain(manifest.models.iter_mut()).enumerate() {
        let size = fs::metadata(&*model).map_err(failed(model))?.len();
        if size > LARGEST && !options.with_models {
            left_out.push(model.clone());
            continue;
        }
        // Names of models follow from names of files, so the name stays, in a folder of its own.
        let name = Path::new(MODELS).join(number.to_string()).join(model.file_name().unwrap_or_default());
        let copy = options.out.join(&name);
        let copied = copy.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&*model, &copy));
        copied.map_err(failed(&copy))?;
        *model = name;
    }
    let text = toml::to_string(&config).map_err(|error| RunError::Merge(error.to_string()))?;
    write_whole(&path, text).map_err(failed(&path))?;
    folder.write_manifest(&manifest)?;
    Ok(left_out)
}

fn readme(id: &str, cell: Option<&Cell>, left_out: &[PathBuf]) -> String {
    let mut text = format!("# {}\n\n", markdown(id));
    if let Some(cell) = cell {
        let word = as_expected(cell);
        text += &format!("It ended **{}**, {word}:\n\n> {}\n\n", cell.verdict, markdown(&cell.message));
    }
    text += "`./replay.sh` runs it again: it loads the sessions of this folder and judges what came back. It needs the \
             command `intact` of the version in `run.json`, and its worker; nothing is fetched. Where `intact.toml` names \
             another program than that worker, the program would run with your rights: it is shown, and started by \
             `./replay.sh --trust` only.\n\n\
             | file | what it is |\n|---|---|\n\
             | `run.json` | who saved the sessions, on what machine, with what command line |\n\
             | `plan.json` | the cell with all its values |\n\
             | `artifacts.jsonl`, `artifacts/` | the saved sessions |\n\
             | `intact.toml`, `expectations.toml` | the configuration, and what is expected |\n\
             | `cell.json` | what the run found |\n";
    for model in left_out {
        let shown = code(&model.display().to_string());
        text += &format!(
            "\nThe model {shown} is too large to be here; `intact repro --with-models` includes it.\n"
        );
    }
    text
}

#[cfg(unix)]
fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |error| RunError::Folder { path, reason: error.to_string() }
}
