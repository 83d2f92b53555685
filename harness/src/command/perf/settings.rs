//! What is measured with: models, KV types, lengths.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::models::model_file;
use super::super::worker::missing_model;
use super::Failure;
use crate::perf::measure::Setting;

/// The sessions that are measured: each model with each KV type and each length.
#[derive(Debug, Args)]
pub(super) struct SettingArguments {
    /// A model: a GGUF file, or `id:` and an id of `intact models list`; can be given several times
    #[arg(short, long = "model", value_name = "FILE.gguf|id:ID", default_value = "id:kv-0.5b")]
    models: Vec<PathBuf>,

    /// KV types, by ggml's names
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_values = ["f16", "q8_0"])]
    kv: Vec<String>,

    /// Lengths of the session, in tokens
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_values_t = [256],
        value_parser = clap::value_parser!(u32).range(16..=1_000_000)
    )]
    tokens: Vec<u32>,

    /// Threads that evaluate tokens
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,

    /// The folder that sessions are saved in while they are measured [default: the system's temporary folder]
    ///
    /// A folder in memory, such as /dev/shm, takes the disk out of the comparison.
    #[arg(long, value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
}

impl SettingArguments {
    /// The settings, every model's file in its place.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Failure> {
        let mut settings = Vec::new();
        for given in &self.models {
            let model = model_file(given)?;
            if !model.is_file() {
                return Err(missing_model(&model));
            }
            for kv in &self.kv {
                settings.extend(self.tokens.iter().map(|&tokens| Setting {
                    name: name(given),
                    model: model.clone(),
                    kv: kv.clone(),
                    tokens,
                    threads: self.threads,
                }));
            }
        }
        Ok(settings)
    }
}

/// The id of a listed model, the stem of a file.
fn name(given: &Path) -> String {
    let text = given.to_string_lossy();
    match text.strip_prefix("id:") {
        Some(id) => id.to_owned(),
        None => given.file_stem().map_or(text.clone(), |stem| stem.to_string_lossy()).into_owned(),
    }
}
