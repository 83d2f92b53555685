//! The head of a model.

use std::path::{Path, PathBuf};

use intact_format::gguf::Gguf;
use serde::Serialize;

use super::bytes;
use crate::command::Failure;
use crate::command::table::facts;

/// What the head of a model says.
#[derive(Serialize)]
pub(super) struct Model {
    kind: &'static str,
    file: PathBuf,
    bytes: u64,
    version: u32,
    architecture: Option<String>,
    name: Option<String>,
    tensors: usize,
    metadata: usize,
    chat_template: bool,
}

impl Model {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let gguf = Gguf::open(path).map_err(Failure::setup)?;
        let text = |key| gguf.text(key).map(str::to_owned);
        Ok(Self {
            kind: "model",
            file: path.to_owned(),
            bytes: gguf.file_size,
            version: gguf.version,
            architecture: text("general.architecture"),
            name: text("general.name"),
            tensors: gguf.tensors.len(),
            metadata: gguf.metadata.len(),
            chat_template: gguf.get("tokenizer.chat_template").is_some(),
        })
    }

    pub(super) fn text(&self) -> String {
        let unknown = || "not named".to_owned();
        let template = if self.chat_template { "yes" } else { "none: ChatML is used" };
        facts(&[
            ("file".into(), format!("GGUF model, version {}, {}", self.version, bytes(self.bytes))),
            ("architecture".into(), self.architecture.clone().unwrap_or_else(unknown)),
            ("name".into(), self.name.clone().unwrap_or_else(unknown)),
            ("tensors".into(), self.tensors.to_string()),
            ("metadata".into(), format!("{} entries", self.metadata)),
            ("chat template".into(), template.into()),
        ])
    }
}
