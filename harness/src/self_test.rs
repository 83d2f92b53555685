//! The self-test: does the harness itself judge rightly? Every way in which a worker can misbehave goes through a whole
//! run, and every planted mutant of the judge and of the gate must be found out.

pub mod toy;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use intact_fake_worker::{MISBEHAVIOURS, Misbehaviour};

use crate::exit::Exit;
use crate::judge::Evidence;
use crate::judge::mutant::{self, Mutated};
use crate::run::{self, Progress, RunError, RunOptions};

/// The subcommand that makes this program the worker that misbehaves.
pub const FAKE_WORKER: &str = "fake-worker";

/// What became of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was checked.
    pub name: String,
    /// What must come of it.
    pub expected: String,
    /// What came of it.
    pub found: String,
}

impl Checked {
    /// Whether it came out as it must.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.expected == self.found
    }
}

/// What the self-test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// The verdict on every way to misbehave.
    pub misbehaviours: Vec<Checked>,
    /// What found each mutant of the judge and the gate out.
    pub mutants: Vec<Mutated>,
}

impl SelfTest {
    /// Whether everything came out as it must.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.misbehaviours.iter().all(Checked::passes)
            && self.mutants.iter().all(|mutant| mutant.killed_by.is_some())
    }
}

/// Runs the self-test with this program as the worker that misbehaves, in a folder that is left as it is found.
///
/// # Errors
/// [`RunError`], where a run could not be made at all.
pub fn self_test(program: &Path, folder: &Path, progress: &dyn Progress) -> Result<SelfTest, RunError> {
    let (strangers, known): (Vec<&Misbehaviour>, Vec<&Misbehaviour>) =
        MISBEHAVIOURS.iter().partition(|row| ["hello", "unknown"].contains(&row.at));
    let witness: Arc<Mutex<Vec<Evidence>>> = Arc::default();
    let options = RunOptions { witness: Some(Arc::clone(&witness)), ..prepared(program, folder, &known)? };
    let results = run::run(&options, progress)?;
    let mut misbehaviours: Vec<Checked> = known
        .iter()
        .map(|row| {
            let found = results
                .cells
                .iter()
                .find(|cell| cell.dims.get("subject").is_some_and(|name| name == row.name));
            let found = found.map_or("no cell", |cell| cell.verdict.name());
            Checked { name: row.name.to_owned(), expected: row.verdict.to_owned(), found: found.to_owned() }
        })
        .collect();
    for row in strangers {
        let refused = run::run(&prepared(program, folder, &[row])?, progress);
        let found = match refused {
            Err(error) if error.exit() == Exit::SetUp => "not let in",
            Err(_) => "another error",
            Ok(_) => "let in",
        };
        let (name, found) = (row.name.to_owned(), found.to_owned());
        misbehaviours.push(Checked { name, expected: "not let in".to_owned(), found });
    }
    let seen = witness.lock().unwrap_or_else(PoisonError::into_inner);
    let mutants = mutant::of_the_judge(&seen, &toy::thresholds()).into_iter().chain(mutant::of_the_gate());
    Ok(SelfTest { misbehaviours, mutants: mutants.collect() })
}

/// A configuration in which every subject misbehaves in a way of its own, with one cell for each.
fn prepared(program: &Path, folder: &Path, rows: &[&Misbehaviour]) -> Result<RunOptions, RunError> {
    let [config, model, expectations] =
        ["intact.toml", "model.gguf", "expectations.toml"].map(|name| folder.join(name));
    let subjects = rows.iter().map(|row| {
        let command = [&program.display().to_string(), FAKE_WORKER, "--misbehave", row.name];
        (row.name, "judged", command.map(str::to_owned).to_vec())
    });
    let text = toy::config([("one", model.display().to_string())], subjects);
    // Who never answers is waited for.
    let text = text.replace("timeout_seconds = 30", "timeout_seconds = 5");
    let files: [(&Path, &str); 3] = [(&model, "a toy"), (&config, &text), (&expectations, "version = 1\n")];
    for (path, text) in files {
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
        written.map_err(|error| RunError::Folder { path: path.to_owned(), reason: error.to_string() })?;
    }
    Ok(RunOptions {
        out: folder.join("out"),
        config: Some(config),
        filter: Some("ctx(512)".to_owned()),
        tags: Some(folder.join("tags")),
        no_retry: true,
        ..RunOptions::default()
    })
}
