//! What a model's memory consists of: the one thing that the state bytes do not say themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sections of a sequence's state, in the order in which llama.cpp writes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryShape {
    /// One entry per cache: a sliding-window pair has two attention sections, a hybrid an attention and a recurrent one.
    pub sections: Vec<SectionShape>,
}

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SectionShape {
    /// K and V rows per cell.
    Attention(AttentionShape),
    /// A constant-size state per sequence.
    Recurrent(RecurrentShape),
}

/// What an attention cache stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionShape {
    /// The model needs the cell extension (2D positions, token ids). Layouts that have none do not write it even so.
    pub extended_cells: bool,
    /// The cache has V rows. Latent attention and indexers have K rows only.
    pub values: bool,
}

/// What a recurrent memory stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecurrentShape {
    /// Number of layers that have a recurrent state. A hybrid's attention layers have none.
    pub present_layers: u32,
    /// Which of the present layers carry a second row, counted from 0 among the present ones, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second_rows: Vec<u32>,
}

/// Where one sequence's cells are among the streams of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamShape {
    /// Number of streams: 1 for a unified cache, otherwise one per sequence that the context allows.
    pub count: u32,
    /// The stream that holds this sequence.
    pub index: u32,
}

impl StreamShape {
    /// One stream, which is what a unified cache writes.
    pub const SINGLE: Self = Self { count: 1, index: 0 };
}

impl Default for StreamShape {
    fn default() -> Self {
        Self::SINGLE
    }
}

impl MemoryShape {
    /// One attention cache with K and V and plain cells: most dense and mixture-of-experts models.
    #[must_use]
    pub fn dense() -> Self {
        Self {
            sections: vec![SectionShape::Attention(AttentionShape { extended_cells: false, values: true })],
        }
    }

    /// Whether every section is an attention cache, so that a sequence can be cut at a cell.
    #[must_use]
    pub fn is_attention_only(&self) -> bool {
        self.sections.iter().all(|section| matches!(section, SectionShape::Attention(_)))
    }
}
