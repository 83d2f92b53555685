//! `intact models derive`: other models of a model, by llama.cpp's quantizer and by seeded changes of the weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::fetch::model_file;
use crate::change::Change;
use crate::command::Failure;
use crate::command::worker::{MOST_THREADS, find};
use crate::exit::Exit;

/// Make a model from another one: other weights of the same shape
///
/// --weights has llama.cpp's own quantizer write the weights in another type; where the rows of a matrix are not whole
/// blocks of it, llama.cpp takes another type for that matrix. --change alters the weights, by a seed: the same bytes
/// on every machine. noise=0.03 multiplies every number, or every block's scale where they are quantized, by numbers
/// around 1 with a standard deviation of 0.03; swap=3,7 swaps two layers; lora=8,0.05 merges a low-rank change of rank
/// 8 with 5 % of the norm into the attention of a model that is not quantized, and adapter=8,0.05 writes the same as an
/// adapter file. With both, the weights are written first.
#[derive(Debug, Args)]
pub(super) struct Derive {
    /// The model: a GGUF file, or `id:` and an id of `intact models list`
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Type of the weights: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_1, q5_0, q4_k_m, q4_k_s, q4_1, q4_0
    #[arg(long, value_name = "TYPE", required_unless_present = "change")]
    weights: Option<String>,

    /// What is done to the weights: noise=SHARE, swap=LAYER,LAYER, lora=RANK,SHARE, adapter=RANK,SHARE
    #[arg(long, value_name = "CHANGE")]
    change: Option<Change>,

    /// What the numbers of a change are drawn from
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,

    /// Where the file goes
    #[arg(short, long, value_name = "FILE.gguf")]
    out: PathBuf,

    /// Threads that quantize
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS))]
    threads: u32,

    /// The worker whose llama.cpp quantizes, instead of the one beside this command
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

impl Derive {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let model = model_file(&self.model)?;
        // The model itself may be there, whose weights would be gone.
        Failure::unless_free(&[&self.out])?;
        if let Some(weights) = &self.weights {
            let worker = find(self.worker.as_deref())?;
            quantize(&worker, &model, &self.out, weights, self.threads)?;
        }
        if let Some(change) = self.change {
            let source = if self.weights.is_some() { &self.out } else { &model };
            change.make(source, self.seed, &self.out).map_err(Failure::setup)?;
        }
        let bytes = fs::metadata(&self.out).map_err(|error| Failure::unreadable(&self.out, &error))?.len();
        println!("{} ({bytes} bytes)", self.out.display());
        Ok(Exit::Fine)
    }
}

/// Has a worker write the model `from` with weights of another type: to `to`, whole or not at all.
pub(in crate::command) fn quantize(
    worker: &Path,
    from: &Path,
    to: &Path,
    weights: &str,
    threads: u32,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::setup(format!("{}: {error}", to.display()));
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let scratch = tempfile::Builder::new().prefix(".quantized-").tempdir_in(folder).map_err(failed)?;
    let part = scratch.path().join("model.gguf");
    let mut command = Command::new(worker);
    command.args(["quantize", "--threads", &threads.to_string()]).arg(from).arg(&part).arg(weights);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::setup(format!("the worker {}: {error}", worker.display())))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::setup(format!("the worker could not quantize: {}", said.trim())));
    }
    fs::rename(&part, to).map_err(failed)
}
