//! A sequence's state, understood: sections, cells, and the K and V of every layer, still in the bytes they came in.

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AttentionShape, GgmlType, MemoryShape, RecurrentShape, SectionShape, StreamShape};

/// The state of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<'a> {
    /// The sequence id that the writer used. Cells of a sequence all carry the same.
    pub sequence: i32,
    /// Where the writer kept the sequence among its streams.
    pub streams: StreamShape,
    /// The caches, in llama.cpp's order.
    pub sections: Vec<Section<'a>>,
}

/// One cache's part of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    /// K and V rows per cell.
    Attention(Attention<'a>),
    /// A constant-size state.
    Recurrent(Recurrent<'a>),
}

/// An attention cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention<'a> {
    /// What the cache stores.
    pub shape: AttentionShape,
    /// The cells, in the order in which their rows are stored.
    pub cells: Vec<Cell>,
    /// V is stored by element and not by cell, as contexts without flash attention do.
    pub transposed: bool,
    /// Rotation of K and V. None when the layout does not record it.
    pub rotation: Option<Rotation>,
    /// K of every layer.
    pub keys: Vec<Matrix<'a>>,
    /// V of every layer; empty for caches without V.
    pub values: Vec<Matrix<'a>>,
}

/// A recurrent memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrent<'a> {
    /// Position of every cell. One cell per sequence.
    pub positions: Vec<i32>,
    /// Layers of the model, with or without a recurrent state.
    pub model_layers: u32,
    /// The first row of every present layer (convolution state or token shift).
    pub rows: Vec<Matrix<'a>>,
    /// The second row of the layers that have one.
    pub second_rows: Vec<SecondRow<'a>>,
    /// The state matrix of every present layer.
    pub states: Vec<Matrix<'a>>,
}

/// A second recurrent row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondRow<'a> {
    /// Which of the present layers it belongs to.
    pub layer: u32,
    /// The row. llama.cpp writes its size but not its type, which is that of the first row.
    pub matrix: Matrix<'a>,
}

/// One attention cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Position in the sequence.
    pub position: i32,
    /// 2D position and token, where the layout has them.
    pub extension: Option<CellData>,
}

/// What a cell carries besides its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellData {
    /// Column of a 2D position.
    pub x: i32,
    /// Row of a 2D position.
    pub y: i32,
    /// Token id, where the layout has it. −1 stands for an embedding input.
    pub token: Option<i32>,
}

/// Sizes of the Hadamard rotations of K and V, in elements. 0 means not rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Rotation of K.
    pub keys: u32,
    /// Rotation of V.
    pub values: u32,
}

/// The rows of one tensor for a range of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix<'a> {
    /// Tensor type.
    pub kind: GgmlType,
    /// By cell or by element.
    pub order: Order,
    /// The cells' data, one block after the other. Joining two matrices appends blocks and copies nothing.
    pub blocks: Vec<Block<'a>>,
}

/// The order of a matrix in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One row of `row_bytes` per cell.
    ByCell {
        /// Bytes per cell.
        row_bytes: u64,
    },
    /// One row per element, each with `element_bytes` per cell.
    ByElement {
        /// Bytes of one element.
        element_bytes: u32,
        /// Elements per cell.
        elements: u32,
    },
}

/// Consecutive cells of a matrix, in the bytes of a stored matrix that may hold more cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// All bytes of the stored matrix.
    pub bytes: Cow<'a, [u8]>,
    /// Cells of the stored matrix.
    pub stored_cells: usize,
    /// The cells that belong to this block.
    pub cells: Range<usize>,
}

impl State<'_> {
    /// The shape of this state.
    #[must_use]
    pub fn shape(&self) -> MemoryShape {
        MemoryShape { sections: self.sections.iter().map(Section::shape).collect() }
    }

    /// The last position that the state holds, or none for an empty one.
    #[must_use]
    pub fn last_position(&self) -> Option<i32> {
        self.sections.iter().filter_map(Section::last_position).max()
    }
}

impl Section<'_> {
    /// The shape of this section.
    #[must_use]
    pub fn shape(&self) -> SectionShape {
        match self {
            Self::Attention(attention) => SectionShape::Attention(attention.shape),
            Self::Recurrent(recurrent) => SectionShape::Recurrent(recurrent.shape()),
        }
    }

    /// Number of cells.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        match self {
            Self::Attention(attention) => attention.cells.len(),
            Self::Recurrent(recurrent) => recurrent.positions.len(),
        }
    }

    /// The first position, or none without cells.
    #[must_use]
    pub fn first_position(&self) -> Option<i32> {
        match self {
            Self::Attention(attention) => attention.cells.iter().map(|cell| cell.position).min(),
            Self::Recurrent(recurrent) => recurrent.positions.iter().copied().min(),
        }
    }

    /// The last position, or none without cells.
    #[must_use]
    pub fn last_position(&self) -> Option<i32> {
        match self {
            Self::Attention(attention) => attention.cells.iter().map(|cell| cell.position).max(),
            Self::Recurrent(recurrent) => recurrent.positions.iter().copied().max(),
        }
    }
}

impl Recurrent<'_> {
    /// The shape of this section.
    #[must_use]
    pub fn shape(&self) -> RecurrentShape {
        RecurrentShape {
            present_layers: u32::try_from(self.rows.len()).unwrap_or(u32::MAX),
            second_rows: self.second_rows.iter().map(|second| second.layer).collect(),
        }
    }
}

impl Matrix<'_> {
    /// Number of cells.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        self.blocks.iter().map(|block| block.cells.len()).sum()
    }
}

impl Order {
    /// Bytes that one cell takes.
    #[must_use]
    pub fn cell_bytes(self) -> u64 {
        match self {
            Self::ByCell { row_bytes } => row_bytes,
            Self::ByElement { element_bytes, elements } => u64::from(element_bytes) * u64::from(elements),
        }
    }
}
