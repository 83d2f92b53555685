//! What is measured: one operation on one session.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One measured quantity: an operation on a session of one model, length and KV type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name of the model.
    pub model: String,
    /// Type of the numbers in the KV cache, by ggml's name.
    pub kv: String,
    /// Tokens of the session, as asked for; the real number is within a sentence of it.
    pub tokens: u32,
    /// The operation.
    pub operation: Operation,
}

impl Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} with {} tokens in {}", self.operation, self.model, self.tokens, self.kv)
    }
}

/// An operation that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A first save: everything is written.
    SaveFull,
    /// A save after one more turn, over the file of the turn before.
    SaveIncremental,
    /// A load whose KV goes back as it was saved.
    LoadDirect,
    /// A load whose KV is encoded anew, because it was saved with V transposed or in another type.
    LoadTranscoded,
    /// A load that evaluates every token again.
    LoadReprefilled,
    /// From a short message right after a load to the first text of the reply.
    FirstText,
    /// llama.cpp's own save of a sequence file: no checks, not flushed to the disk.
    LlamaSave,
    /// llama.cpp's own load of it: no checks.
    LlamaLoad,
    /// Copying as many bytes in memory as a full save writes.
    Copy,
    /// Folding as many bytes into one number.
    Fold,
}

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The gate decides on it.
    Gated,
    /// Shown for comparison; llama.cpp's own path.
    Reference,
    /// No change of the code can move it. If it moves, the machine did, and nothing is proven.
    Control,
}

impl Operation {
    /// Every operation, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::SaveFull,
        Self::SaveIncremental,
        Self::LoadDirect,
        Self::LoadTranscoded,
        Self::LoadReprefilled,
        Self::FirstText,
        Self::LlamaSave,
        Self::LlamaLoad,
        Self::Copy,
        Self::Fold,
    ];

    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SaveFull => "save-full",
            Self::SaveIncremental => "save-incremental",
            Self::LoadDirect => "load-direct",
            Self::LoadTranscoded => "load-transcoded",
            Self::LoadReprefilled => "load-reprefilled",
            Self::FirstText => "first-text",
            Self::LlamaSave => "llama-save",
            Self::LlamaLoad => "llama-load",
            Self::Copy => "copy",
            Self::Fold => "fold",
        }
    }

    /// What it is, for a table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SaveFull => "full save",
            Self::SaveIncremental => "save after one turn",
            Self::LoadDirect => "load, direct",
            Self::LoadTranscoded => "load, transcoded",
            Self::LoadReprefilled => "load, re-prefilled",
            Self::FirstText => "first text after a load",
            Self::LlamaSave => "llama.cpp's own save",
            Self::LlamaLoad => "llama.cpp's own load",
            Self::Copy => "copy of the bytes in memory",
            Self::Fold => "arithmetic on the bytes",
        }
    }

    /// What its rows are for.
    #[must_use]
    pub const fn part(self) -> Part {
        match self {
            Self::Copy | Self::Fold => Part::Control,
            Self::LlamaSave | Self::LlamaLoad => Part::Reference,
            _ => Part::Gated,
        }
    }
}

impl Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_called_the_same_everywhere() {
        for operation in Operation::ALL {
            let json = serde_json::to_value(operation).expect("JSON");
            assert_eq!(json, operation.name());
        }
    }
}
