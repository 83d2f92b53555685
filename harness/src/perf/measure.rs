//! Driving one worker through a cycle of operations, each measured by the worker itself.

mod conversation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::{fs, io};

use intact_protocol::{FlashAttention, Hello, Timings, Work};
use tempfile::TempDir;
use thiserror::Error;

use self::conversation::{Answered, Conversation, measured};
use super::row::{Operation, Row};
use crate::worker::WorkerError;

/// A session to measure with: model, length and KV type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of the model.
    pub name: String,
    /// Its GGUF file.
    pub model: PathBuf,
    /// Type of the numbers in the KV cache, by ggml's name.
    pub kv: String,
    /// Tokens of the session.
    pub tokens: u32,
    /// Threads that evaluate tokens.
    pub threads: u32,
}

impl Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} with {} tokens in {}", self.name, self.tokens, self.kv)
    }
}

impl Setting {
    /// The row of an operation with it.
    #[must_use]
    pub fn row(&self, operation: Operation) -> Row {
        Row { model: self.name.clone(), kv: self.kv.clone(), tokens: self.tokens, operation }
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Seconds, on the worker's clock.
    pub seconds: f64,
    /// Bytes that the operation moved, where it says.
    pub bytes: Option<u64>,
    /// What the worker counted meanwhile, by name; empty where it was not asked to.
    pub counts: BTreeMap<String, u64>,
}

/// What a cycle gave of each operation: a measurement, or why there is none.
pub type Cycle = Vec<(Operation, Result<Sample, String>)>;

/// Why a worker could not be measured at all.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The worker failed.
    #[error("the worker `{command}` cannot be measured: {source}")]
    Worker {
        /// Its command line.
        command: String,
        /// What happened.
        source: WorkerError,
    },
    /// It could not do what everything else needs.
    #[error("the worker `{command}` cannot be measured: {reason}")]
    Preparation {
        /// Its command line.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The scratch folder.
    #[error("the folder {path} cannot be used: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A worker's saved sessions, made once and loaded many times.
#[derive(Debug)]
pub struct Prepared {
    command: Vec<String>,
    setting: Setting,
    folder: PathBuf,
    bytes: u64,
    turned: Result<(), String>,
    blind: Result<(), String>,
}

/// A worker in the middle of being measured, with copies of the saved sessions: where files happen to lie in memory is
/// another chance for every block.
#[derive(Debug)]
pub struct Bench<'p> {
    prepared: &'p Prepared,
    folder: TempDir,
    engine: Conversation,
    blind: Result<Conversation, String>,
}

impl Prepared {
    /// Has a worker save the sessions that are loaded later, into a folder of their own.
    ///
    /// # Errors
    /// [`MeasureError`] where there is nothing to measure. What only some operations lack is told by [`Bench::cycle`].
    pub fn new(
        command: &[String],
        setting: &Setting,
        folder: PathBuf,
    ) -> Result<(Self, Hello), MeasureError> {
        fs::create_dir_all(&folder)
            .map_err(|source| MeasureError::Folder { path: folder.clone(), source })?;
        let (mut worker, hello) = Conversation::start(command, &setting.model, &folder)?;
        // V in another order, and perhaps another type, than a reader of the setting has: its loads must transcode.
        let turned = saved(&mut worker, setting, "f16", FlashAttention::Off, &folder.join(TURNED))?;
        let base = saved(&mut worker, setting, &setting.kv, FlashAttention::On, &folder.join(BASE))?;
        worker.leave();
        let bytes =
            base.map_err(|reason| MeasureError::Preparation { command: command.join(" "), reason })?;
        let blind = blind_saved(command, setting, &folder);
        let prepared = Self {
            command: command.to_vec(),
            setting: setting.clone(),
            folder,
            bytes,
            turned: turned.map(|_| ()),
            blind,
        };
        Ok((prepared, hello))
    }

    fn copies(&self) -> io::Result<TempDir> {
        let copies = TempDir::new_in(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copies.path().join(entry.file_name()))?;
            }
        }
        Ok(copies)
    }

    /// Starts processes to measure in.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn bench(&self) -> Result<Bench<'_>, MeasureError> {
        let reader = |command: &[String]| -> Result<Conversation, MeasureError> {
            let (mut worker, _) = Conversation::start(command, &self.setting.model, &self.folder)?;
            let opened = worker.open(&self.setting, &self.setting.kv, FlashAttention::On)?;
            opened.map_err(|reason| MeasureError::Preparation { command: command.join(" "), reason })?;
            Ok(worker)
        };
        let copies = self.copies();
        let folder = copies.map_err(|source| MeasureError::Folder { path: self.folder.clone(), source })?;
        let engine = reader(&self.command)?;
        let blind = match &self.blind {
            Ok(()) => Ok(reader(&blind(&self.command))?),
            Err(reason) => Err(reason.clone()),
        };
        let mut bench = Bench { prepared: self, folder, engine, blind };
        bench.restore()?;
        Ok(bench)
    }
}

const BASE: &str = "base.json";
const TURNED: &str = "turned.json";
const LLAMA: &str = "llama.json";

/// The same worker, as llama.cpp's own path without checks.
fn blind(command: &[String]) -> Vec<String> {
    command.iter().cloned().chain(["--subject".to_owned(), "blind".to_owned()]).collect()
}

/// Fills a session and saves it. Gives the bytes of the save.
fn saved(
    worker: &mut Conversation,
    setting: &Setting,
    kv: &str,
    attention: FlashAttention,
    path: &Path,
) -> Answered<u64> {
    if let Err(reason) = worker.open(setting, kv, attention)? {
        return Ok(Err(reason));
    }
    if let Err(reason) = worker.fill(setting.tokens)? {
        return Ok(Err(reason));
    }
    Ok(worker.save(path)?.map(|saved| saved.bytes))
}

/// The same through llama.cpp's own path. A worker that does not have it is measured without.
fn blind_saved(command: &[String], setting: &Setting, folder: &Path) -> Result<(), String> {
    let saved = Conversation::start(&blind(command), &setting.model, folder).and_then(|(mut worker, _)| {
        let saved = saved(&mut worker, setting, &setting.kv, FlashAttention::On, &folder.join(LLAMA));
        worker.leave();
        saved
    });
    saved.map_err(|error| error.to_string()).flatten().map(|_| ())
}

impl Bench<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Measures every operation once.
    ///
    /// # Errors
    /// [`MeasureError::Worker`] when a process died.
    pub fn cycle(&mut self) -> Result<Cycle, MeasureError> {
        let mut cycle = Cycle::new();
        cycle.push((Operation::LoadDirect, self.load(BASE, "direct")?));
        let first_text = self.engine.first_text()?;
        let first_text = first_text.map(|seconds| Sample { seconds, bytes: None, counts: BTreeMap::new() });
        cycle.push((Operation::FirstText, first_text));
        let transcoded = match &self.prepared.turned {
            Ok(()) => self.load(TURNED, "transcoded")?,
            Err(reason) => Err(reason.clone()),
        };
        cycle.push((Operation::LoadTranscoded, transcoded));
        cycle.push((Operation::LoadReprefilled, self.load(BASE, "reprefilled")?));
        self.saves(&mut cycle)?;
        for (operation, work) in [(Operation::Copy, Work::Copy), (Operation::Fold, Work::Fold)] {
            let bytes = self.prepared.bytes;
            let floor = self.engine.floor(work, bytes)?;
            cycle.push((operation, floor.and_then(|timings| sample(timings, Some(bytes)))));
        }
        self.llama(&mut cycle)?;
        Ok(cycle)
    }

    /// Lets the processes go.
    pub fn leave(self) {
        self.engine.leave();
        if let Ok(blind) = self.blind {
            blind.leave();
        }
    }

    /// Makes the sessions live that everything else is done with.
    fn restore(&mut self) -> Result<(), MeasureError> {
        let loaded = self.load(BASE, "direct")?;
        let reason = |reason| MeasureError::Preparation { command: self.prepared.command.join(" "), reason };
        loaded.map(|_| ()).map_err(reason)?;
        let llama = self.file(LLAMA);
        if let Ok(blind) = &mut self.blind {
            let _told_by_the_cycle = blind.load(&llama, None)?;
        }
        Ok(())
    }

    fn load(&mut self, file: &str, route: &str) -> Answered<Sample> {
        let loaded = self.engine.load(&self.folder.path().join(file), Some(route))?;
        let bytes = Some(self.prepared.bytes);
        Ok(loaded.and_then(|loaded| sample(loaded.receipt.timings, bytes)))
    }

    /// A first save, one more turn, and a save over it.
    fn saves(&mut self, cycle: &mut Cycle) -> Result<(), MeasureError> {
        let path = self.file("cycle.json");
        let full = self.engine.save(&path)?;
        let again = match self.engine.turn()? {
            Ok(()) => self.engine.save(&path)?,
            Err(reason) => Err(reason),
        };
        let files: BTreeSet<PathBuf> =
            [&full, &again].into_iter().flatten().flat_map(|saved| saved.files.clone()).collect();
        for (operation, saved) in [(Operation::SaveFull, full), (Operation::SaveIncremental, again)] {
            let saved = saved.and_then(|saved| sample(saved.timings, Some(saved.bytes)));
            cycle.push((operation, saved));
        }
        // A worker that names files elsewhere does not have them removed.
        let own: Vec<PathBuf> =
            files.into_iter().filter(|file| is_directly_in(self.folder.path(), file)).collect();
        for file in own {
            let removed = fs::remove_file(&file);
            removed.map_err(|source| MeasureError::Folder { path: file, source })?;
        }
        Ok(())
    }

    fn llama(&mut self, cycle: &mut Cycle) -> Result<(), MeasureError> {
        let path = self.file(LLAMA);
        let blind = match &mut self.blind {
            Ok(blind) => blind,
            Err(reason) => {
                let none = |operation| (operation, Err(reason.clone()));
                cycle.extend([Operation::LlamaSave, Operation::LlamaLoad].map(none));
                return Ok(());
            }
        };
        let saved = blind.save(&path)?;
        let bytes = saved.as_ref().ok().map(|saved| saved.bytes);
        let saved = saved.and_then(|saved| sample(saved.timings, bytes));
        cycle.push((Operation::LlamaSave, saved));
        let loaded = blind.load(&path, None)?;
        let loaded = loaded.and_then(|loaded| sample(loaded.receipt.timings, bytes));
        cycle.push((Operation::LlamaLoad, loaded));
        Ok(())
    }
}

/// Whether a file is in a folder, and not by a way that leads out of it.
fn is_directly_in(folder: &Path, file: &Path) -> bool {
    file.parent() == Some(folder) && file.file_name().is_some()
}

fn sample(timings: Timings, bytes: Option<u64>) -> Result<Sample, String> {
    measured(timings.total_seconds).map(|seconds| Sample { seconds, bytes, counts: timings.counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_itself_are_removed() {
        let folder = Path::new("/tmp/bench");
        assert!(is_directly_in(folder, Path::new("/tmp/bench/cycle.kv")));
        for elsewhere in
            ["/home/me/model.gguf", "/tmp/bench/../cycle.kv", "/tmp/bench", "cycle.kv", "/tmp/bench/.."]
        {
            assert!(!is_directly_in(folder, Path::new(elsewhere)), "{elsewhere}");
        }
    }
}
