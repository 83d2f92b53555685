//! The self-test: does the harness itself judge rightly? Every way in which a worker can misbehave goes through a whole
//! run, and every planted mutant of the judge and of the gate must be found out.

mod mutant;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use intact_fake_worker::{MISBEHAVIOURS, Misbehaviour};

use crate::config::{Config, DEFAULT_CONFIG};
use crate::exit::Exit;
use crate::judge::{Evidence, Thresholds, judge};
use crate::run::{self, Progress, RunError, RunOptions};
use crate::verdict::Verdict;

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

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutated {
    /// What is wrong with it.
    pub name: &'static str,
    /// What found it out; none where nothing did.
    pub killed_by: Option<String>,
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
    let mutants = mutant::of_the_judge(&seen, &thresholds()).into_iter().chain(mutant::of_the_gate());
    Ok(SelfTest { misbehaviours, mutants: mutants.collect() })
}

fn thresholds() -> Thresholds {
    let config = Config::parse(DEFAULT_CONFIG, Path::new("the built-in intact.toml"));
    config
        .map(|config| config.thresholds)
        .unwrap_or_else(|error| unreachable!("the built-in configuration: {error}"))
}

/// A configuration in which every subject misbehaves in a way of its own, with one cell for each.
fn prepared(program: &Path, folder: &Path, rows: &[&Misbehaviour]) -> Result<RunOptions, RunError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| RunError::Folder { path, reason: error.to_string() }
    };
    let (config, model) = (folder.join("intact.toml"), folder.join("model.gguf"));
    let thresholds = thresholds();
    let thresholds = toml::to_string(&toml::Table::from_iter([(
        "thresholds".to_owned(),
        toml::Value::try_from(thresholds)
            .map_err(|error| RunError::Folder { path: config.clone(), reason: error.to_string() })?,
    )]));
    let thresholds =
        thresholds.map_err(|error| RunError::Folder { path: config.clone(), reason: error.to_string() })?;
    let mut text = format!(
        "{HEAD}\n[[models]]\nname = \"toy\"\npath = {model:?}\n\n{thresholds}",
        model = model.display().to_string()
    );
    for row in rows {
        let command = [&program.display().to_string(), FAKE_WORKER, "--misbehave", row.name];
        let name = row.name;
        text += &format!("\n[[subjects]]\nname = {name:?}\npart = \"judged\"\ncommand = {command:?}\n");
    }
    let expectations = folder.join("expectations.toml");
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    std::fs::write(&model, "a toy").map_err(failed(&model))?;
    std::fs::write(&config, text).map_err(failed(&config))?;
    std::fs::write(&expectations, "version = 1\n").map_err(failed(&expectations))?;
    Ok(RunOptions {
        out: folder.join("out"),
        config: Some(config),
        tags: Some(folder.join("tags")),
        no_retry: true,
        ..RunOptions::default()
    })
}

const HEAD: &str = r#"version = 1
run = { plan = "all", timeout_seconds = 5, scored_tokens = 8 }
plans.all = { about = "Everything.", blocks = [{ vary = "all" }] }
policies.default = {}

[[axes]]
name = "model"
about = "The model."
sets = ["model"]
values = ["toy"]

[[axes]]
name = "parameters"
about = "Where parameters come from."
sets = ["parameters"]
values = ["saved"]

[conversation]
system = "Be brief."
continuation = "And so it went on and on."
session = [{ user = "Hello?", reply = "Hello." }, { user = "Who is there?", reply = "Nobody." }]
other = [{ user = "What now?", reply = "Nothing." }]
bystander = [{ user = "What time is it?", reply = "Noon." }]
"#;

/// The verdict that the real judge comes to.
fn rightly(evidence: &Evidence, thresholds: &Thresholds) -> Verdict {
    judge(evidence, thresholds).verdict
}
