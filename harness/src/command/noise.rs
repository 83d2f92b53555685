//! `intact noise`: what a model's own noise is, and what parts it from a restore that is wrong.

use std::path::PathBuf;

use clap::Args;
use intact_format::regular;

use super::Failure;
use super::models::{model_file, quantize};
use super::worker::{MOST_THREADS, find, missing_model};
use crate::exit::Exit;
use crate::files::replace_own;
use crate::fleeting::FleetingFolder;
use crate::noise::{Finding, Options, Study, StudyError, Watch, markdown, overview, study};
use crate::tags::{default_home, select, worker_command};

/// Measure what tells a right restore from a wrong one on a model
///
/// Holds one conversation under many settings, restores it in the ways that intact has, and does the same with models
/// and images that are wrong on purpose: weights changed by 1, 3 and 10 %, layers swapped, an adapter left out, another
/// RoPE, another session's cells, a rotation misread. For each candidate measure it then compares the largest figure of
/// what is right with the smallest of what is wrong. Tables go to standard output, as Markdown; progress to standard
/// error. A model of a hundred million weights takes about ten minutes and, meanwhile, three times its size on the
/// disk.
#[derive(Debug, Args)]
pub(super) struct Noise {
    /// The model: a GGUF file, or `id:` and an id of `intact models list`
    #[arg(value_name = "MODEL", required_unless_present = "from")]
    model: Option<PathBuf>,

    /// Measure nothing: put the figures of earlier studies into one table, for each route and model
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "model")]
    from: Vec<PathBuf>,

    /// Also write every figure
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Study only routes whose names contain this, for example `q8_0`
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// A worker of another llama.cpp release, whose sessions are crossed with the default one's: a tag
    /// of `intact tags list`, or a program under a name of yours
    #[arg(long = "other", value_name = "TAG|NAME=PROGRAM", value_parser = other)]
    others: Vec<Other>,

    /// What changes of the weights are drawn from
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,

    /// Threads that evaluate tokens
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS))]
    threads: u32,

    /// Where changed models and images are kept meanwhile [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,

    /// The worker to use, instead of the one beside this command
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

/// A worker by its name, and its command line.
type Other = (String, Vec<String>);

fn other(text: &str) -> Result<Other, String> {
    if let Some((name, program)) = text.split_once('=') {
        return Ok((name.to_owned(), vec![program.to_owned()]));
    }
    let home = default_home().ok_or("no home folder is known: set INTACT_HOME")?;
    let chosen = select(&[text.to_owned()], Some(&home)).map_err(|unknown| unknown.to_string())?;
    let command = chosen.first().and_then(|release| worker_command(&home, release));
    let command = command.ok_or_else(|| {
        format!("there is no worker for llama.cpp {text}: `intact tags fetch {text}` gets one")
    })?;
    Ok((text.to_owned(), command))
}

impl Noise {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let Some(given) = &self.model else { return over(&self.from) };
        let model = model_file(given)?;
        if !model.is_file() {
            return Err(missing_model(&model));
        }
        let worker = find(self.worker.as_deref())?;
        // A study is as large as several models: what one that was killed left is removed by the next.
        let folder = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let scratch = FleetingFolder::make(&folder).map_err(|error| {
            Failure::setup(format!("no folder could be made for temporary files: {error}"))
        })?;
        let unquantized = match is_unquantized(&model)? {
            true => Some(model.clone()),
            false => {
                let file = scratch.path().join("f16.gguf");
                let made = quantize(&worker, &model, &file, "f16", self.threads);
                made.is_ok().then_some(file)
            }
        };
        let name = given.file_stem().unwrap_or(given.as_os_str()).to_string_lossy();
        let name = name.strip_prefix("id:").unwrap_or(&name).to_owned();
        let options = Options {
            model,
            name,
            unquantized,
            release: release(&worker)?,
            worker,
            others: self.others,
            scratch: scratch.path().to_owned(),
            seed: self.seed,
            threads: self.threads,
            only: self.only,
        };
        let study = study(&options, &Told).map_err(failed)?;
        print!("{}", markdown(&study));
        if let Some(file) = &self.json {
            let json = serde_json::to_vec_pretty(&study).map_err(Failure::setup)?;
            let is_study = |there: &[u8]| serde_json::from_slice::<Study>(there).is_ok();
            replace_own(file, json, is_study)
                .map_err(|error| Failure::setup(format!("{} cannot be written: {error}", file.display())))?;
        }
        Ok(Exit::Fine)
    }
}

/// Prints the figures of several studies in one table.
fn over(files: &[PathBuf]) -> Result<Exit, Failure> {
    let read = |file: &PathBuf| -> Result<Study, Failure> {
        let text = regular::read(file).map_err(|error| Failure::unreadable(file, &error))?;
        serde_json::from_slice(&text).map_err(|error| Failure::setup(format!("{}: {error}", file.display())))
    };
    let studies = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    print!("{}", overview(&studies));
    Ok(Exit::Fine)
}

/// Whether an adapter can be drawn for the attention's matrices as they are.
fn is_unquantized(model: &std::path::Path) -> Result<bool, Failure> {
    let gguf = intact_format::gguf::Gguf::open(model)
        .map_err(|error| Failure::setup(format!("{}: {error}", model.display())))?;
    let mut attention = gguf.tensors.iter().filter(|tensor| tensor.name.ends_with(".attn_q.weight"));
    Ok(attention.all(|tensor| ["F32", "F16", "BF16"].contains(&tensor.kind.to_string().as_str())))
}

/// The llama.cpp release of a worker.
fn release(worker: &std::path::Path) -> Result<String, Failure> {
    let patience = std::time::Duration::from_secs(60);
    let command = [worker.display().to_string()];
    let (worker, hello) = crate::worker::Worker::start(&command, patience).map_err(Failure::setup)?;
    worker.leave(patience);
    Ok(hello.release)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn failed(error: StudyError) -> Failure {
    Failure::setup(&error).help("the model must run in the worker, with a chat of a few hundred tokens")
}

/// Progress on standard error, a line for each case.
struct Told;

impl Watch for Told {
    fn found(&self, finding: &Finding) {
        eprintln!("{:?}: {}: {}", finding.kind, finding.route, finding.case);
    }

    fn left_out(&self, what: &str) {
        eprintln!("left out: {what}");
    }
}
